// A node between a daemon that a test plays and a host that a test plays: the kernel's end of the socket is ours.

import CLinux
import FileDescriptors
import FakeDaemon
import FrameRing
import Glibc
import Synchronization
import USB
import USBEmulation
import USBIPHost
import UVC
import UserDriverClient
import Wire

@testable import VideoNode

/// What the daemon says of the camera.
enum FakeCamera {
    static let formats: [CameraFormat] = [
        CameraFormat(format: "yuy2", width: 64, height: 48, fps: [30, 15]),
        CameraFormat(format: "yuy2", width: 160, height: 120, fps: [30]),
        CameraFormat(format: "mjpeg", width: 320, height: 240, fps: [60, 30, 7.5]),
        // Nobody vouches for these.
        CameraFormat(format: "vp8", width: 320, height: 240, fps: [30]), CameraFormat(format: "nv12", width: 0, height: -1, fps: [30]),
    ]

    static let controls: [CameraControl] = [
        CameraControl(
            name: "brightness", description: "Brightness", type: "integer", minimum: -64, maximum: 64, step: 2, default: 0, value: 10),
        CameraControl(
            name: "exposure_auto", description: "Exposure auto", type: "bitmap", minimum: 1, maximum: 8, step: 1, default: 8, value: 8,
            menu: [CameraControl.MenuItem(value: 1, text: "manual"), CameraControl.MenuItem(value: 8, text: "aperture priority")]),
        CameraControl(
            name: "exposure_time_absolute", description: "Exposure time", type: "integer", minimum: 3, maximum: 2047, step: 1,
            default: 250, value: 300, automatic: true),
        CameraControl(
            name: "pan_absolute", description: "Pan", type: "integer", minimum: -3600, maximum: 3600, step: 3600, default: 0, value: 0),
        CameraControl(
            name: "tilt_absolute", description: "Tilt", type: "integer", minimum: -7200, maximum: 7200, step: 3600, default: 0, value: -3600
        ),
        CameraControl(
            name: "gain", description: "Gain", type: "integer", minimum: 0, maximum: 1, step: 1, default: 0, value: 0, problem: "silent"),
    ]

    static var status: DeviceStatus {
        DeviceStatus(
            id: "1209:0001:T", bus: "1-1", vendorId: "1209", productId: "0001", name: "Test camera", kind: "webcam",
            driver: "io.userdriver.webcam", state: .running, pid: 1, restarts: 0, streams: [], drivenSince: 7)
    }

    static var facts: NodeFacts {
        NodeFacts(
            name: "Test camera", serial: NodeSerial.text(camera: "1209:0001:T", index: 1), formats: NodeFormats(formats),
            controls: NodeControls(controls))
    }
}

final class NodeBench: Sendable {
    /// How the daemon answers what is asked of the camera.
    struct Behaviour: Sendable {
        /// The error of `Watch`, without the interface's name.
        var refusesToStream: String?
        var values = Dictionary(uniqueKeysWithValues: FakeCamera.controls.map { ($0.name, $0) })
        var held: Set<String> = ["exposure_time_absolute"]
        var formats = FakeCamera.formats
        var hasButton = false
        /// What was set, in order.
        var set: [String] = []
    }

    let behaviour: Shared
    let daemon: FakeDaemon
    let stream: FakeStream
    let node: VideoNode
    let connection: EmulatedConnection?
    let host: USBIPDevice
    let function: VideoFunction

    /// - Parameter attach: takes the daemon, and returns the host's end of a socket at whose other end somebody else serves such a node.
    init(
        _ behaviour: Behaviour = Behaviour(), facts: NodeFacts = FakeCamera.facts, slots: Int = 8, capacity: Int = 1 << 20,
        attach: ((FakeDaemon) throws -> Int32)? = nil
    ) throws {
        let state = Shared(behaviour)
        let stream = try FakeStream(slotCount: slots, capacity: capacity)
        let daemon = try FakeDaemon { call, socket in try Self.answer(call, socket, state, stream) }
        state.daemon.withLock { $0.daemon = daemon }
        self.behaviour = state
        self.daemon = daemon
        self.stream = stream
        node = VideoNode(facts, of: daemon.client.camera("1209:0001:T"))
        var pair: [Int32] = [-1, -1]
        if let attach {
            connection = nil
            pair[1] = try attach(daemon)
        } else {
            guard clinux_stream_pair(&pair) == 0 else { throw USBError(.connection, operation: "socketpair") }
            connection = try EmulatedConnection(device: node, socket: pair[0], name: "node")
        }
        let descriptors = node.descriptors
        let bytes = descriptors.device + descriptors.configurations.flatMap { $0 }
        host = try USBIPDevice(
            adopting: OwnedDescriptor(pair[1]),
            information: USBDeviceInformation(path: "node", speed: descriptors.speed, descriptors: bytes),
            deviceID: 0x5544_0001)
        guard let configuration = DescriptorSet(parsing: bytes).configurations.first,
            let function = VideoFunction.all(in: configuration, speed: descriptors.speed).first
        else { throw USBError(.malformedAnswer, operation: "parsing the node's descriptors") }
        self.function = function
    }

    deinit {
        host.close()
        connection?.end()
    }

    final class Shared: Sendable {
        struct Weak { weak var daemon: FakeDaemon? }
        private let behaviour: Mutex<Behaviour>
        let daemon = Mutex(Weak())
        /// Who called `Events`.
        let listeners = Mutex<[VarlinkSocket]>([])
        init(_ behaviour: Behaviour) { self.behaviour = Mutex(behaviour) }

        func withLock<R: Sendable>(_ body: (inout sending Behaviour) -> sending R) -> R { behaviour.withLock(body) }
    }

    private static func answer(_ call: VarlinkCall, _ socket: VarlinkSocket, _ shared: Shared, _ stream: FakeStream) throws {
        func refuse(_ error: String) throws {
            try socket.send(VarlinkReply(error: "io.userdriver." + error, parameters: ["message": "As the test wants it."]))
        }
        switch call.methodName {
        case "Watch":
            if let error = shared.withLock({ $0.refusesToStream }) { return try refuse(error) }
            shared.daemon.withLock { $0.daemon }?.watched(by: socket)
            var reply = stream.reply("opened")
            if case .object(var members) = reply.parameters, let request = call.parameters["request"] {
                members["description"] = request
                reply.parameters = .object(members)
            }
            let owned = try stream.memory.readOnlyDescriptor()
            let descriptor = owned.number
            try socket.send(reply, descriptors: [descriptor])
        case "GetControl":
            let name = call.parameters["name"]?.stringValue ?? ""
            guard let control = shared.withLock({ $0.values[name] }) else { return try refuse("InvalidParameter") }
            try socket.send(VarlinkReply(["control": try JSONValue(encoding: control)]))
        case "SetControl":
            let name = call.parameters["name"]?.stringValue ?? ""
            let value = call.parameters["value"]?.intValue ?? 0
            let control = shared.withLock { behaviour -> CameraControl? in
                guard !behaviour.held.contains(name), let control = behaviour.values[name] else { return nil }
                behaviour.values[name]?.value = value
                behaviour.set.append("\(name)=\(value)")
                return behaviour.values[name] ?? control
            }
            guard let control else { return try refuse("DeviceError") }
            try socket.send(VarlinkReply(["control": try JSONValue(encoding: control)]))
        case "Status":
            try socket.send(VarlinkReply(["devices": try JSONValue(encoding: [FakeCamera.status])]))
        case "Events": shared.listeners.withLock { $0.append(socket) }
        case "ControlNames":
            try socket.send(VarlinkReply(["controls": [], "button": .bool(shared.withLock { $0.hasButton })]))
        case "Formats": try socket.send(VarlinkReply(["formats": try JSONValue(encoding: shared.withLock { $0.formats })]))
        case "GetControls": try socket.send(VarlinkReply(["controls": try JSONValue(encoding: FakeCamera.controls)]))
        default: try refuse("MethodNotFound")
        }
    }

    /// Tells everybody who listens what the camera says by itself.
    func say(_ name: String, _ parameters: JSONValue) throws {
        let reply = VarlinkReply(
            [
                "time": "2026-01-01T00:00:00.000Z", "device": "1209:0001:T", "event": "device", "message": "", "name": .string(name),
                "parameters": parameters,
            ], continues: true)
        for listener in behaviour.listeners.withLock({ $0 }) { try listener.send(reply) }
    }

    // MARK: The host

    func configure() async throws {
        _ = try await host.control(
            ControlSetup(requestType: 0, request: 9, value: 1, index: 0, length: 0), sending: [], timeout: .seconds(5))
        try await host.claim(interface: NodeInterface.control)
        try await host.claim(interface: NodeInterface.streaming)
    }

    /// Probe and commit, as this project's own driver does it.
    func commit(_ format: String, _ width: Int, _ height: Int, rate: Double = 30) async throws -> NegotiatedStream {
        let interface = function.streamingInterfaces[0]
        let choice = try interface.choose(StreamWish(format: format, width: width, height: height, rate: rate))
        return try await StreamNegotiation(device: host, interface: interface, uvcVersion: function.uvcVersion).negotiate(choice)
    }

    func get(_ request: VideoRequest, _ selector: UInt8, entity: UInt8, interface: UInt8 = 0, length: Int) async throws -> [UInt8] {
        try await host.control(
            request.setup(selector: selector, entity: entity, interface: interface, length: length), sending: [], timeout: .seconds(5))
    }

    func set(_ selector: UInt8, entity: UInt8, interface: UInt8 = 0, _ bytes: [UInt8]) async throws {
        _ = try await host.control(
            VideoRequest.setCur.setup(selector: selector, entity: entity, interface: interface, length: bytes.count), sending: bytes,
            timeout: .seconds(5))
    }

    /// The error code that uvcvideo would ask for after a stall.
    func requestError() async throws -> UInt8? {
        try await get(.getCur, VideoSelector.requestErrorCode, entity: 0, length: 1).first
    }
}

/// The host's end of the streaming endpoint: transfers as uvcvideo has them, and frames of what they bring.
final class HostReader {
    let queue: any TransferQueue
    private let payloadLimit: Int
    private let transferSize: Int
    private var payload: [UInt8] = []
    private(set) var submitted = 0

    init(_ bench: NodeBench, _ stream: NegotiatedStream, transferSize: Int = 16384, count: Int = 5) throws {
        queue = try bench.host.transferQueue(endpoint: NodeInterface.endpoint, type: .bulk)
        payloadLimit = Int(stream.parameters.maxPayloadTransferSize)
        self.transferSize = transferSize
        for _ in 0..<count { try submit() }
    }

    func submit() throws {
        try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: transferSize)))
        submitted += 1
    }

    /// The next frame: its header and its bytes.
    func frame(timeout: Duration = .seconds(20)) throws -> (header: [UInt8], bytes: [UInt8])? {
        while let done = try queue.next(timeout: timeout) {
            guard done.status == .completed else { return nil }
            payload += done.buffer.bytes.prefix(done.actualLength)
            let ends = done.actualLength < done.length || payload.count >= payloadLimit
            try queue.submit(done.recycled())
            guard ends else { continue }
            defer { payload = [] }
            guard payload.count >= 12 else { return nil }
            return (Array(payload.prefix(12)), Array(payload.dropFirst(12)))
        }
        return nil
    }
}

func pattern(_ count: Int, _ seed: UInt8) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) &+ seed } }

/// Waits for something that another thread brings about, and fails a test that waits for ever by its time limit.
func until(_ condition: () async -> Bool) async {
    while await !condition() { await Task.yield() }
}
