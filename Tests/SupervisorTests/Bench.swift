// A supervisor with a device of no substance and a test driver: everything real but the device.

import CLinux
import CameraInterface
import FileDescriptors
import Dispatch
import FoundationEssentials
import Glibc
import Logging
import Spawn
import Synchronization
import Testing
import USB
import Wire

@testable import Supervisor

/// A folder that goes when it is let go.
final class TemporaryFolder: Sendable {
    let path: String
    init() {
        var template = Array("/tmp/userdriver-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }
    deinit {
        precondition(path.hasPrefix("/tmp/userdriver-test-"))
        do { try FileManager.default.removeItem(atPath: path) } catch { print("\(path) stays behind: \(error)") }
    }
}

/// A source whose devices a test plugs in and out.
final class FakeSource: DeviceSource {
    private struct State {
        var failure: DeviceOpenFailure?
        var opens = 0
        var takeovers = 0
        var keeps = false
        var resets = 0
        var releases = 0
        var held: [Int32] = []
        var givenBack: [String] = []
        var isForgetful = false
        var isTaken = false
        var returnFailure: DeviceOpenFailure?
    }
    private let events: AsyncStream<DeviceSourceEvent>
    private let continuation: AsyncStream<DeviceSourceEvent>.Continuation
    private let state = Mutex(State())

    init() { (events, continuation) = AsyncStream.makeStream(of: DeviceSourceEvent.self) }

    func run(_ report: @escaping @Sendable (DeviceSourceEvent) async -> Void) async {
        for await event in events { await report(event) }
    }
    func reopen(_ device: USBDeviceInformation, _ grant: DeviceGrant, held: DeviceHold) async throws(DeviceOpenFailure) -> OpenedDevice {
        state.withLock { $0.takeovers += 1 }
        return OpenedDevice(OwnedDescriptor(clinux_memfd("device", 0)), transport: .usbip, usbipDeviceID: 1, hold: held)
    }
    func open(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> OpenedDevice {
        let failure = state.withLock { state in
            state.opens += 1
            if grant.resets { state.resets += 1 }
            return state.failure
        }
        if let failure { throw failure }
        let hold = state.withLock { $0.keeps } ? DeviceHold(.file(clinux_memfd("stream", 0), interfaces: 0)) : nil
        return OpenedDevice(OwnedDescriptor(clinux_memfd("device", 0)), transport: .usbip, usbipDeviceID: 1, hold: hold)
    }
    func released(_ device: USBDeviceInformation, function: USBFunction) async { state.withLock { $0.releases += 1 } }
    func giveBack(_ device: USBDeviceInformation, function: USBFunction) async throws(DeviceOpenFailure) {
        let failure = state.withLock { state in
            state.isTaken = false
            state.givenBack.append(device.path)
            return state.returnFailure
        }
        if let failure { throw failure }
    }
    func hasTaken(_ device: USBDeviceInformation, function: USBFunction) -> Bool { state.withLock { $0.isTaken } }
    /// From now on it is as if the device had been the kernel's driver's.
    func take() { state.withLock { $0.isTaken = true } }
    func failGivingBack(with failure: DeviceOpenFailure) { state.withLock { $0.returnFailure = failure } }

    func recognises(_ file: Int32, as device: USBDeviceInformation) -> Bool { state.withLock { !$0.isForgetful } }
    /// What an earlier supervisor left is not known.
    func disown() { state.withLock { $0.isForgetful = true } }

    func plug(_ device: USBDeviceInformation) { continuation.yield(.arrived(device)) }
    func unplug(_ path: String) { continuation.yield(.left(path: path)) }
    func failOpening(with failure: DeviceOpenFailure?) { state.withLock { $0.failure = failure } }
    /// From now on what is opened can be taken over.
    func keepDevices() { state.withLock { $0.keeps = true } }
    /// Paths of devices that were given back to the kernel's drivers.
    var givenBack: [String] { state.withLock { $0.givenBack } }
    var opens: Int { state.withLock { $0.opens } }
    var takeovers: Int { state.withLock { $0.takeovers } }
    var resets: Int { state.withLock { $0.resets } }
}

/// Descriptors of a device with one video-control interface.
func makeDevice(
    path: String = "1-1", vendor: UInt16 = 0x1234, product: UInt16 = 0x5678, serial: String? = "S1", interfaceClass: UInt8 = 0x0e
) -> USBDeviceInformation {
    func word(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xff), UInt8(value >> 8)] }
    // Device descriptor (USB 2.0 table 9-8), bcdDevice 1.00, one configuration.
    let device: [UInt8] = [18, 1, 0x00, 0x02, 0xef, 2, 1, 64] + word(vendor) + word(product) + [0x00, 0x01, 1, 2, 3, 1]
    // Configuration (table 9-10) with one interface (table 9-12), no endpoints.
    let configuration: [UInt8] = [9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, interfaceClass, 1, 0, 0]
    return USBDeviceInformation(
        path: path, speed: .high, descriptors: device + configuration, manufacturer: "Nobody", product: "Thing", serialNumber: serial)
}

/// A client whose waiting is done on a thread of its own.
final class TestClient: Sendable {
    let socket: VarlinkSocket
    private let queue = DispatchQueue(label: "test-client")

    init(_ path: String) throws {
        socket = try VarlinkSocket.connect(path: path)
        // Who is silent so long says where it was waited for, before the test's own time is over.
        var limit = timeval(tv_sec: 180, tv_usec: 0)
        setsockopt(socket.descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    private func onQueue<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                queue.async { continuation.resume(with: Result { try work() }) }
            }
        } onCancel: {
            // A test whose time is over does not wait for a reply.
            socket.shutdown()
        }
    }

    func send(_ method: String, _ parameters: JSONValue = [:], more: Bool = false) async throws {
        let call = VarlinkCall(method: method, parameters: parameters, more: more)
        try await onQueue { [socket] in try socket.send(call) }
    }

    /// The next reply, with its descriptors, which the caller closes. `nil` at the end.
    func receive() async throws -> (reply: VarlinkReply, descriptors: [Int32])? {
        try await onQueue { [socket] in try socket.receive(VarlinkReply.self).map { ($0.message, $0.descriptors) } }
    }

    func call(_ method: String, _ parameters: JSONValue = [:]) async throws -> JSONValue {
        try await send(method, parameters)
        guard let (reply, descriptors) = try await receive() else { throw CallError("End", "the connection ended") }
        for descriptor in descriptors { close(descriptor) }
        if let error = reply.error { throw CallError(error, reply.parameters["message"]?.stringValue ?? "") }
        return reply.parameters
    }

    /// Reads replies until one has that event.
    func event(_ names: String...) async throws -> JSONValue {
        while let (reply, descriptors) = try await receive() {
            for descriptor in descriptors { close(descriptor) }
            if let error = reply.error { throw CallError(error, reply.parameters["message"]?.stringValue ?? "") }
            if names.contains(reply.parameters["event"]?.stringValue ?? "") { return reply.parameters }
        }
        throw CallError("End", "the connection ended before \(names)")
    }
}

/// A running supervisor.
final class Bench: Sendable {
    let folder: TemporaryFolder
    let source: FakeSource
    let supervisor: Supervisor
    let configuration: SupervisorConfiguration

    /// Executables of this package, beside the tests'.
    static func executable(_ name: String) -> String {
        let path = realpath("/proc/self/exe", nil).map { String(cString: $0) } ?? ""
        return path.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/" + name
    }

    /// A debug build's driver is linked with the runtime in the toolchain's folder, which is that of this process.
    static let runtimeFolders: [String] = {
        // Where it can't be read no driver starts, which every test sees.
        let maps = String(decoding: (try? StateFile.read("/proc/self/maps", maximumBytes: 1 << 20)) ?? [], as: UTF8.self)
        guard let line = maps.split(separator: "\n").first(where: { $0.hasSuffix("/libswiftCore.so") }),
            let start = line.firstIndex(of: "/")
        else { return [] }
        return [String(line[start...].dropLast("/libswiftCore.so".count))]
    }()

    /// Writes a bundle for the test driver under a name that says how it behaves.
    static func makeBundle(
        in folder: String, id: String = "test", behaviour: String, of program: String = "test-driver", deviceClass: UInt8 = 0x0e,
        version: String = "1", extra: String = ""
    ) throws {
        let bundle = folder + "/\(id).driver"
        mkdir(bundle, 0o755)
        let manifest = """
            id: \(id)
            version: "\(version)"
            kind: test
            executable: \(behaviour)
            provides:
              - interface: io.userdriver.camera
                methods:
                  GetControl: {idempotent: true}
                  SetControl: {deadline: 100ms}
                  ResetControls: {idempotent: true, resumes: true}
                  Formats: {right: administrator}
            streams: [video]
            match:
              - {class: \(deviceClass)}
            interfaces:
              - {class: \(deviceClass)}
            \(extra)
            """
        try StateFile.write(Array(manifest.utf8), to: bundle + "/driver.yaml")
        mkdir(bundle + "/interfaces", 0o755)
        try StateFile.write(Array(CameraInterface.interface.text.utf8), to: bundle + "/interfaces/io.userdriver.camera.varlink")
        unlink(bundle + "/" + behaviour)
        if link(executable(program), bundle + "/" + behaviour) != 0 {
            let bytes = try StateFile.read(executable(program), maximumBytes: 256 << 20)
            try StateFile.write(bytes, to: bundle + "/" + behaviour)
            chmod(bundle + "/" + behaviour, 0o755)
        }
    }

    init(
        _ behaviour: String = "good", extra: String = "", in folder: TemporaryFolder = TemporaryFolder(),
        source: FakeSource = FakeSource(), adjust: (inout SupervisorConfiguration) -> Void = { _ in }
    ) async throws {
        self.folder = folder
        self.source = source
        mkdir(folder.path + "/state", 0o700)
        mkdir(folder.path + "/drivers", 0o700)
        try Self.makeBundle(in: folder.path + "/drivers", behaviour: behaviour, extra: extra)
        var configuration = SupervisorConfiguration(
            runtimeDirectory: folder.path, stateDirectory: folder.path + "/state", driverFolders: [folder.path + "/drivers"])
        configuration.usesUSB = false
        configuration.libraryFolders = Self.runtimeFolders
        configuration.allowsUnsigned = true
        configuration.namesExecutable = Self.executable("userdriverd")
        configuration.timing.firstRestartDelay = .milliseconds(1)
        configuration.timing.longestRestartDelay = .milliseconds(20)
        configuration.timing.stopPatience = .milliseconds(300)
        configuration.timing.teardown = [.init(signal: SIGTERM, patience: .milliseconds(50))]
        adjust(&configuration)
        self.configuration = configuration
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        if getenv("USERDRIVER_TEST_LOG") != nil { logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) } }
        supervisor = await Supervisor(configuration: configuration, logger: logger, sources: [source], chance: { 0.5 })
        try await supervisor.start()
    }

    func client() throws -> TestClient { try TestClient(configuration.socketPath) }

    func status() async throws -> [DeviceStatus] {
        let reply = try await client().call("io.userdriver.Status")
        return try reply["devices"]?.decoded(as: [DeviceStatus].self) ?? []
    }

    /// Whoever listens to this hears of everything from now on.
    func listener() async throws -> TestClient {
        let client = try client()
        try await client.send("io.userdriver.Events", more: true)
        // The connection's first call is being answered when a second one's reply arrives on another connection, as both are taken in order.
        _ = try await status()
        return client
    }

    /// Plugs the device in and waits until it is driven.
    func drive(_ device: USBDeviceInformation = makeDevice()) async throws {
        let listener = try await listener()
        source.plug(device)
        let event = try await listener.event("running", "failed", "unsupported")
        guard event["event"] == "running" else { throw CallError("NotDriven", "the device is not driven: \(event)") }
    }

    func stop() async { await supervisor.stop() }
}

/// Whether a process of that number exists.
func exists(_ pid: Int32) -> Bool { kill(pid, 0) == 0 }

func inode(_ descriptor: Int32) -> UInt {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? UInt(status.st_ino) : 0
}
