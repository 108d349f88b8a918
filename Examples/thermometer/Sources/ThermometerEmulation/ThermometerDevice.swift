// The device in software: what it is, and what it answers.

import Synchronization
public import USB
public import USBEmulation

/// Measures every so often, and says so on interrupt IN 1: hundredths and a counter, two bytes
/// each, little endian.
public final class ThermometerDevice: EmulatedDevice {
    public let descriptors = EmulatedDescriptors(
        speed: .full,
        device: [
            18, 1, 0x00, 0x02,  // USB 2.0
            0, 0, 0, 64,  // the class is the interface's, 64 bytes at endpoint 0
            0x09, 0x12, 0x02, 0x00,  // 1209:0002, which pid.codes keeps for tests
            0x00, 0x01, 1, 2, 3, 1,  // version 1.00, strings 1 to 3, one configuration
        ],
        configurations: [
            [
                9, 2, 25, 0, 1, 1, 0, 0x80, 50,  // Configuration 1: 25 bytes, one interface, 100 mA.
                9, 4, 0, 0, 1, 0xff, 0, 0, 0,  // Interface 0, vendor-specific, one endpoint.
                7, 5, 0x81, 3, 4, 0, 5,  // Interrupt IN 1, 4 bytes every 5 ms.
            ]
        ], strings: [1: "Example", 2: "Thermometer", 3: "0001"])

    private struct State {
        var interval: UInt64 = 1_000_000_000
        var next: UInt64 = 0
        var number: UInt16 = 0
    }
    private let state = Mutex(State())

    public init() {}

    /// Milliseconds between readings, for tests.
    public var interval: Int { state.withLock { Int($0.interval / 1_000_000) } }

    /// Plugged in, or reset: everything is as new.
    public func attached(now: UInt64, signal: any EmulationSignal) { state.withLock { $0 = State() } }

    /// The requests that are the device's own; those that every device has are answered already.
    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        guard setup.requestType == 0x41, setup.request == 1, setup.value >= 10 else { return .stall }
        state.withLock { state in
            state.interval = UInt64(setup.value) * 1_000_000
            state.next = min(state.next, now + state.interval)
        }
        return .accepted
    }

    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        state.withLock { state in
            guard now >= state.next else { return .later(at: state.next) }
            state.next = now + state.interval
            state.number &+= 1
            let hundredths = 2000 + state.number % 100
            let report = [hundredths & 0xff, hundredths >> 8, state.number & 0xff, state.number >> 8].map { UInt8($0) }
            buffer.copyBytes(from: report.prefix(buffer.count))
            return .data(count: min(report.count, buffer.count), ends: true)
        }
    }
}
