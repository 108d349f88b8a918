// The smallest device that uses every kind of endpoint: what tests of hosts are run against, and where an author of a device may start.

import Synchronization
public import USB

/// A vendor-specific high-speed device that sends back what it gets.
///
/// - Bulk OUT 1 → bulk IN 1: each transfer comes back as one message.
/// - Interrupt IN 2: eight bytes every 2 ms, a counter (little endian).
/// - Interface 1, alternate settings 1 (1 × 1024 bytes each microframe) and 2 (3 × 1024): isochronous IN 3, packets of `LoopbackPacket`.
/// - Vendor requests to the device: see `Request`.
public final class LoopbackDevice: EmulatedDevice {
    /// `bRequest` of the vendor requests (`bmRequestType` 0x40 OUT, 0xC0 IN).
    public enum Request {
        /// OUT keeps the data stage, IN returns it.
        public static let store: UInt8 = 1
        /// Refused.
        public static let stall: UInt8 = 2
        /// Never answered.
        public static let silence: UInt8 = 3
        /// OUT: the endpoint in `wValue` answers STALL to its next transfer.
        public static let stallEndpoint: UInt8 = 4
        /// OUT: the cable is pulled.
        public static let unplug: UInt8 = 5
        /// IN: eight bytes, how often each was called: attached, detached, haltCleared, alternateSettingChanged (little-endian words).
        public static let history: UInt8 = 6
    }

    public static let bulkOut = EndpointAddress(rawValue: 0x01)
    public static let bulkIn = EndpointAddress(rawValue: 0x81)
    public static let interruptIn = EndpointAddress(rawValue: 0x82)
    public static let isochronousIn = EndpointAddress(rawValue: 0x83)
    /// What the loop holds before bulk OUT is refused.
    public static let mostHeld = 1 << 20

    public let descriptors: EmulatedDescriptors

    private struct State {
        var signal: (any EmulationSignal)?
        var stored: [UInt8] = []
        var messages: [[UInt8]] = []
        var held = 0
        var sentOfFirst = 0
        var stalling: Set<EndpointAddress> = []
        var counter: UInt64 = 0
        var nextInterrupt: UInt64 = 0
        var packets: UInt32 = 0
        var history: [UInt16] = [0, 0, 0, 0]
    }
    // The engine calls from one thread; the lock is for the compiler, and for `unplug` and `plug`.
    private let state = Mutex(State())

    public init(serialNumber: String = "LOOP-1") {
        let configuration: [UInt8] = [
            9, 2, 80, 0, 2, 1, 0, 0x80, 50,  // Configuration 1: 80 bytes, 2 interfaces, 100 mA.
            9, 4, 0, 0, 3, 0xff, 0, 0, 0,  // Interface 0, vendor-specific, 3 endpoints.
            7, 5, 0x01, 2, 0x00, 0x02, 0,  // Bulk OUT 1, 512 bytes.
            7, 5, 0x81, 2, 0x00, 0x02, 0,  // Bulk IN 1, 512 bytes.
            7, 5, 0x82, 3, 0x08, 0x00, 5,  // Interrupt IN 2, 8 bytes every 16 microframes.
            9, 4, 1, 0, 0, 0xff, 0, 0, 0,  // Interface 1 without endpoints.
            9, 4, 1, 1, 1, 0xff, 0, 0, 0,  // Interface 1, alternate setting 1.
            7, 5, 0x83, 5, 0x00, 0x04, 1,  // Isochronous IN 3, 1024 bytes each microframe.
            9, 4, 1, 2, 1, 0xff, 0, 0, 0,  // Interface 1, alternate setting 2.
            7, 5, 0x83, 5, 0x00, 0x14, 1,  // Isochronous IN 3, 3 × 1024 bytes each microframe.
        ]
        descriptors = EmulatedDescriptors(
            speed: .high,
            device: [
                18, 1, 0x00, 0x02,  // USB 2.0
                0xff, 0, 0, 64,  // vendor-specific, 64 bytes at endpoint 0
                0x09, 0x12, 0x01, 0x00,  // 1209:0001, which pid.codes keeps for tests
                0x00, 0x01, 1, 2, 3, 1,  // version 1.00, strings 1 to 3, one configuration
            ],
            configurations: [configuration], strings: [1: "UserDriver", 2: "Loopback", 3: serialNumber])
    }

    /// Pulls the cable.
    public func unplug() { state.withLock { $0.signal }?.unplug() }
    /// Plugs it in again.
    public func plug() { state.withLock { $0.signal }?.plug() }

    public func attached(now: UInt64, signal: any EmulationSignal) {
        state.withLock {
            $0.signal = signal
            $0.messages = []
            $0.held = 0
            $0.sentOfFirst = 0
            $0.stalling = []
            $0.counter = 0
            $0.nextInterrupt = 0
            $0.packets = 0
            $0.history[0] &+= 1
        }
    }

    public func detached() { state.withLock { $0.history[1] &+= 1 } }

    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        guard setup.requestType & 0x7f == 0x40 else { return .stall }
        let isIn = setup.direction == .in
        switch (setup.request, isIn) {
        case (Request.store, false):
            state.withLock { $0.stored = data }
            return .accepted
        case (Request.store, true): return .data(state.withLock { $0.stored })
        case (Request.silence, _): return .silence
        case (Request.stallEndpoint, false):
            state.withLock { _ = $0.stalling.insert(EndpointAddress(rawValue: UInt8(truncatingIfNeeded: setup.value))) }
            return .accepted
        case (Request.unplug, false):
            unplug()
            return .accepted
        case (Request.history, true):
            return .data(state.withLock { $0.history }.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] })
        default: return .stall
        }
    }

    public func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {
        state.withLock {
            $0.history[3] &+= 1
            if interface == 1 { $0.packets = 0 }
        }
    }

    public func haltCleared(endpoint: EndpointAddress, now: UInt64) { state.withLock { $0.history[2] &+= 1 } }

    public func isochronousIn(endpoint: EndpointAddress, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let number = state.withLock { state in
            defer { state.packets &+= 1 }
            return state.packets
        }
        return LoopbackPacket(number: number, time: time).write(into: buffer)
    }

    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        state.withLock { state in
            if state.stalling.remove(endpoint) != nil { return .stall }
            if endpoint == Self.interruptIn {
                guard now >= state.nextInterrupt else { return .later(at: state.nextInterrupt) }
                state.nextInterrupt = now + 2_000_000
                state.counter &+= 1
                withUnsafeBytes(of: state.counter.littleEndian) { buffer.copyBytes(from: $0.prefix(buffer.count)) }
                return .data(count: min(8, buffer.count), ends: true)
            }
            guard let message = state.messages.first else { return .later(at: nil) }
            let count = min(buffer.count, message.count - state.sentOfFirst)
            buffer.copyBytes(from: message[state.sentOfFirst..<state.sentOfFirst + count])
            state.sentOfFirst += count
            let ends = state.sentOfFirst == message.count
            if ends {
                state.messages.removeFirst()
                state.held -= message.count
                state.sentOfFirst = 0
            }
            return .data(count: count, ends: ends)
        }
    }

    public func dataOut(endpoint: EndpointAddress, now: UInt64, data: UnsafeRawBufferPointer) -> TransferStatus {
        state.withLock { state in
            if state.stalling.remove(endpoint) != nil { return .stall }
            guard state.held + data.count <= Self.mostHeld else { return .stall }
            state.messages.append(Array(data))
            state.held += data.count
            state.signal?.ready(endpoint: Self.bulkIn)
            return .completed
        }
    }
}

/// One isochronous packet of the loopback device: time on the bus in ns and number (both little endian), then bytes that follow from the number.
/// Every seventh packet is empty, and the lengths differ.
public struct LoopbackPacket: Hashable, Sendable {
    public static let headerCount = 12
    public var number: UInt32
    public var time: UInt64

    public init(number: UInt32, time: UInt64) {
        self.number = number
        self.time = time
    }

    /// Bytes of the packet in a slot that has room for `room`.
    public static func count(number: UInt32, room: Int) -> Int {
        number % 7 == 6 || room < headerCount ? 0 : headerCount + Int(number &* 61) % (room - headerCount + 1)
    }

    func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = Self.count(number: number, room: buffer.count)
        guard count > 0 else { return 0 }
        buffer.storeBytes(of: time.littleEndian, as: UInt64.self)
        buffer.storeBytes(of: number.littleEndian, toByteOffset: 8, as: UInt32.self)
        for index in Self.headerCount..<count { buffer[index] = UInt8(truncatingIfNeeded: number &+ UInt32(index)) }
        return count
    }

    /// `nil` unless the bytes are what the device sends in a slot of that room.
    public init?(_ bytes: UnsafeRawBufferPointer, room: Int) {
        guard bytes.count >= Self.headerCount else { return nil }
        time = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        number = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard bytes.count == Self.count(number: number, room: room) else { return nil }
        for index in Self.headerCount..<bytes.count where bytes[index] != UInt8(truncatingIfNeeded: number &+ UInt32(index)) { return nil }
    }
}
