// What a device in software is: descriptors, and what it answers on each endpoint. Its timing is the engine's, its contents are its own.

public import USB

/// The descriptors of an emulated device.
public struct EmulatedDescriptors: Sendable {
    /// The speed it runs at.
    public var speed: USBSpeed
    /// 18 bytes (USB 2.0 table 9-8).
    public var device: [UInt8]
    /// Each configuration with everything that belongs to it (USB 2.0 §9.6.3).
    public var configurations: [[UInt8]]
    /// String descriptors by index, from 1, in US English.
    public var strings: [UInt8: String]
    /// Binary device object store, where there is one.
    public var bos: [UInt8]?

    public init(
        speed: USBSpeed, device: [UInt8], configurations: [[UInt8]], strings: [UInt8: String] = [:], bos: [UInt8]? = nil
    ) {
        self.speed = speed
        self.device = device
        self.configurations = configurations
        self.strings = strings
        self.bos = bos
    }
}

/// The answer to a control request.
public enum ControlAnswer: Sendable {
    /// IN: the data stage (cut to `wLength`). OUT: accepted.
    case data([UInt8])
    case stall
    /// Never answered: the host's time-out has to end it.
    case silence
    /// Not yet: the same request comes again at this time (CLOCK_MONOTONIC ns), unless the host has given up by then.
    case later(at: UInt64)

    public static let accepted = ControlAnswer.data([])
}

/// What an IN endpoint has to send.
///
/// Lent memory is read only on the engine's thread, before the device is called again, so it may be handed over.
public enum InAnswer: @unchecked Sendable {
    /// `count` bytes were written. `ends`: a short packet (or the end of what there is to say) ends the transfer here.
    case data(count: Int, ends: Bool)
    /// Bytes in memory of the device's own, which stay as they are until the engine calls it again: what is large need not be copied.
    case lent(UnsafeRawBufferPointer, ends: Bool)
    /// Nothing yet (NAK): ask again at this time (CLOCK_MONOTONIC ns), or when the device calls `EmulationSignal.ready`.
    case later(at: UInt64?)
    case stall
}

/// A device in software. The engine calls it from one thread only, at the times a bus would.
public protocol EmulatedDevice: AnyObject, Sendable {
    var descriptors: EmulatedDescriptors { get }

    /// The host has imported the device; everything is as after a reset. `now` is CLOCK_MONOTONIC in ns, here and below.
    func attached(now: UInt64, signal: any EmulationSignal)
    /// The host has gone, or resets the device.
    func detached()

    /// A request that the engine does not answer itself: the engine answers descriptors, addresses, configuration, interface and halt requests.
    func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer
    /// A request that the engine is about to answer itself. `nil` lets it; anything else is the answer, and nothing changes.
    func standard(_ setup: ControlSetup, now: UInt64) -> ControlAnswer?
    /// SET_INTERFACE was accepted (also called with 0 for every interface on SET_CONFIGURATION).
    func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64)
    /// CLEAR_FEATURE(ENDPOINT_HALT).
    func haltCleared(endpoint: EndpointAddress, now: UInt64)
    /// The host has taken back the last transfer that it had queued. (What the host never says to a bulk endpoint: that it is done.)
    func idled(endpoint: EndpointAddress, now: UInt64)

    /// The packet of one isochronous IN slot into `buffer`. `time` is the slot's own time on the bus, which only grows; slots that no host
    /// had asked for in time are skipped (and with them what the device sent), unless the engine holds the bus back.
    /// Returns the number of bytes, 0 for a zero-length packet.
    func isochronousIn(endpoint: EndpointAddress, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int
    /// Whether the bus has room for the transfers of an isochronous endpoint. Where not, each is refused with ENOSPC, as Linux's EHCI driver
    /// does it, which takes every alternate setting.
    func hasRoom(endpoint: EndpointAddress) -> Bool
    /// Whether it has what it sends in isochronous slots before `time`. Where not, an engine that holds the bus back waits for
    /// `EmulationSignal.ready` for a while, and then goes on; any other does not ask.
    func isReady(endpoint: EndpointAddress, until time: UInt64) -> Bool
    /// Bulk or interrupt IN: as much as there is, at most `buffer.count`, a multiple of the packet size unless it ends the transfer.
    func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer
    /// Whether it takes the next bulk OUT transfer: `nil` for now, else when to ask again (NAK),
    /// CLOCK_MONOTONIC ns.
    func takesOut(endpoint: EndpointAddress, now: UInt64) -> UInt64?
    /// Bulk or interrupt OUT.
    func dataOut(endpoint: EndpointAddress, now: UInt64, data: UnsafeRawBufferPointer) -> TransferStatus
}

/// What a device does that leaves a method out: nothing, and STALL on endpoints of its own.
extension EmulatedDevice {
    public func attached(now: UInt64, signal: any EmulationSignal) {}
    public func detached() {}
    public func standard(_ setup: ControlSetup, now: UInt64) -> ControlAnswer? { nil }
    public func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {}
    public func haltCleared(endpoint: EndpointAddress, now: UInt64) {}
    public func idled(endpoint: EndpointAddress, now: UInt64) {}
    public func isochronousIn(endpoint: EndpointAddress, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int { 0 }
    public func hasRoom(endpoint: EndpointAddress) -> Bool { true }
    public func isReady(endpoint: EndpointAddress, until time: UInt64) -> Bool { true }
    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer { .stall }
    public func takesOut(endpoint: EndpointAddress, now: UInt64) -> UInt64? { nil }
    public func dataOut(endpoint: EndpointAddress, now: UInt64, data: UnsafeRawBufferPointer) -> TransferStatus { .stall }
}

/// The device's way to the engine, from any thread.
public protocol EmulationSignal: Sendable {
    /// An endpoint that said `later` may have something now. Endpoint 0: a request that was put off may have its answer.
    func ready(endpoint: EndpointAddress)
    /// What an IN endpoint was given and the host has not fetched is thrown away, as a camera does that starts anew. From the device's own methods.
    func flush(endpoint: EndpointAddress)
    /// The cable is pulled: the connection ends, and the device is not offered until `plug`.
    func unplug()
    func plug()
}
