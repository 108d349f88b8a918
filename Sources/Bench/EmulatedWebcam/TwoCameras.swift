// A laptop's camera: one device with a colour and an infrared camera, two video functions that know
// nothing of each other.

public import USB
public import USBEmulation

/// Two emulated cameras behind one plug. The second one's interfaces and endpoints are numbered
/// behind the first one's.
public final class TwoCameras: EmulatedDevice, @unchecked Sendable {
    // Sendable: the engine calls from one thread only; each camera has locks of its own for its
    // other threads.
    public let descriptors: EmulatedDescriptors
    private let cameras: [EmulatedWebcam]

    /// Of a camera.
    private static let interfaces: UInt8 = 2
    private static let endpoints: UInt8 = 2

    /// `log` is told what the cameras do and suffer; from any thread. The infrared camera has the
    /// options of the other but for its formats.
    public init(options: EmulatedWebcamOptions = .init(), log: (@Sendable (String) -> Void)? = nil) throws {
        var infrared = options
        infrared.formats = [.grey]
        // What goes wrong goes wrong with the colour camera: the other one is there to be left
        // alone.
        infrared.faults = FaultPlan()
        let (first, second) = (try EmulatedWebcam(options: options, log: log), try EmulatedWebcam(options: infrared, log: log))
        cameras = [first, second]
        descriptors = Self.descriptors(first.descriptors, second.descriptors)
    }

    // MARK: Descriptors

    private static func descriptors(_ first: EmulatedDescriptors, _ second: EmulatedDescriptors) -> EmulatedDescriptors {
        var result = first
        let header = Array(first.configurations[0].prefix(9))
        var body = named(first.configurations[0].dropFirst(9), shift: false, name: 4)
        body += named(second.configurations[0].dropFirst(9), shift: true, name: 5)
        var configuration = header + body
        configuration[2] = UInt8(configuration.count & 0xff)
        configuration[3] = UInt8(configuration.count >> 8)
        configuration[4] = 2 * interfaces
        result.configurations = [configuration]
        result.strings[4] = "Colour Camera"
        result.strings[5] = "Infrared Camera"
        return result
    }

    /// A camera's descriptors, behind the other's where `shift` says so, with a name for its
    /// function and its control interface.
    private static func named(_ bytes: some Sequence<UInt8>, shift: Bool, name: UInt8) -> [UInt8] {
        var bytes = Array(bytes)
        let (interfaces, endpoints) = shift ? (Self.interfaces, Self.endpoints) : (0, 0)
        var position = 0
        var subclass: UInt8 = 0
        while position < bytes.count, bytes[position] >= 2 {
            switch (bytes[position + 1], bytes[position + 2]) {
            case (0x0b, _):
                // Interface association: bFirstInterface, iFunction.
                bytes[position + 2] += interfaces
                bytes[position + 7] = name
            case (0x04, _):
                // Interface: bInterfaceNumber, iInterface of VideoControl.
                bytes[position + 2] += interfaces
                subclass = bytes[position + 6]
                if subclass == 1 { bytes[position + 8] = name }
            case (0x05, _): bytes[position + 2] += endpoints
            case (0x24, 0x01) where subclass == 1:
                // VideoControl header (UVC 1.1 §3.7.2): baInterfaceNr.
                for place in 12..<Int(bytes[position]) { bytes[position + place] += interfaces }
            case (0x24, 0x01):
                // VideoStreaming input header (§3.9.2.1): bEndpointAddress.
                bytes[position + 6] += endpoints
            default: break
            }
            position += Int(bytes[position])
        }
        return bytes
    }

    // MARK: Life on the bus

    public func attached(now: UInt64, signal: any EmulationSignal) {
        for (index, camera) in cameras.enumerated() {
            camera.attached(now: now, signal: ShiftedSignal(signal: signal, endpoints: UInt8(index) * Self.endpoints))
        }
    }

    public func detached() { for camera in cameras { camera.detached() } }

    /// The other end of a signal: a camera's endpoints are numbered from 1.
    private struct ShiftedSignal: EmulationSignal {
        let signal: any EmulationSignal
        let endpoints: UInt8

        private func shifted(_ endpoint: EndpointAddress) -> EndpointAddress { EndpointAddress(rawValue: endpoint.rawValue + endpoints) }
        func ready(endpoint: EndpointAddress) { signal.ready(endpoint: shifted(endpoint)) }
        func flush(endpoint: EndpointAddress) { signal.flush(endpoint: shifted(endpoint)) }
        func unplug() { signal.unplug() }
        func plug() { signal.plug() }
    }

    // MARK: Whose it is

    private func camera(interface: UInt8) -> (camera: EmulatedWebcam, interface: UInt8)? {
        let index = Int(interface / Self.interfaces)
        return index < cameras.count ? (cameras[index], interface % Self.interfaces) : nil
    }

    private func camera(endpoint: EndpointAddress) -> (camera: EmulatedWebcam, endpoint: EndpointAddress)? {
        let number = endpoint.number
        guard number >= 1, Int((number - 1) / Self.endpoints) < cameras.count else { return nil }
        let index = (number - 1) / Self.endpoints
        return (cameras[Int(index)], EndpointAddress(number: number - index * Self.endpoints, direction: endpoint.direction))
    }

    /// The camera that a request is for, and the request as that one numbers it; the first one's
    /// for the device as a whole.
    private func addressed(_ setup: ControlSetup) -> (camera: EmulatedWebcam, setup: ControlSetup)? {
        var setup = setup
        let low = UInt8(truncatingIfNeeded: setup.index)
        switch setup.requestType & 0x1f {
        case 1:
            guard let (camera, interface) = camera(interface: low) else { return nil }
            setup.index = setup.index & 0xff00 | UInt16(interface)
            return (camera, setup)
        case 2 where low & 0x7f != 0:
            guard let (camera, endpoint) = camera(endpoint: EndpointAddress(rawValue: low)) else { return nil }
            setup.index = setup.index & 0xff00 | UInt16(endpoint.rawValue)
            return (camera, setup)
        default: return (cameras[0], setup)
        }
    }

    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        guard let (camera, setup) = addressed(setup) else { return .stall }
        return camera.control(setup, data: data, now: now)
    }

    public func standard(_ setup: ControlSetup, now: UInt64) -> ControlAnswer? {
        guard let (camera, setup) = addressed(setup) else { return .stall }
        return camera.standard(setup, now: now)
    }

    public func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {
        guard let (camera, interface) = camera(interface: interface) else { return }
        camera.alternateSettingChanged(interface: interface, to: alternateSetting, now: now)
    }

    public func haltCleared(endpoint: EndpointAddress, now: UInt64) {
        guard let (camera, endpoint) = camera(endpoint: endpoint) else { return }
        camera.haltCleared(endpoint: endpoint, now: now)
    }

    public func isochronousIn(endpoint: EndpointAddress, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let (camera, endpoint) = camera(endpoint: endpoint) else { return 0 }
        return camera.isochronousIn(endpoint: endpoint, time: time, into: buffer)
    }

    public func isReady(endpoint: EndpointAddress, until time: UInt64) -> Bool {
        guard let (camera, endpoint) = camera(endpoint: endpoint) else { return true }
        return camera.isReady(endpoint: endpoint, until: time)
    }

    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        guard let (camera, endpoint) = camera(endpoint: endpoint) else { return .stall }
        return camera.dataIn(endpoint: endpoint, now: now, into: buffer)
    }
}
