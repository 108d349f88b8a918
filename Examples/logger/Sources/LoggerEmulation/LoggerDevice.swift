// The device in software: files, read by vendor requests.

public import USB
public import USBEmulation

/// A data logger with a few files, whose bytes follow from their places.
public final class LoggerDevice: EmulatedDevice {
    /// Bytes of each file.
    public static let lengths = [100_000, 0, 4096, 54_321]

    public let descriptors = EmulatedDescriptors(
        speed: .high,
        device: [
            18, 1, 0x00, 0x02,  // USB 2.0
            0, 0, 0, 64,  // the class is the interface's, 64 bytes at endpoint 0
            0x09, 0x12, 0x03, 0x00,  // 1209:0003, which pid.codes keeps for tests
            0x00, 0x01, 1, 2, 3, 1,  // version 1.00, strings 1 to 3, one configuration
        ],
        configurations: [
            [
                9, 2, 18, 0, 1, 1, 0, 0x80, 50,  // Configuration 1: 18 bytes, one interface, 100 mA.
                9, 4, 0, 0, 0, 0xff, 0, 0, 0,  // Interface 0, vendor-specific, no endpoints.
            ]
        ], strings: [1: "Example", 2: "Data logger", 3: "0001"])

    public init() {}

    public func attached(now: UInt64, signal: any EmulationSignal) {}

    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        let file = Int(setup.value)
        guard setup.requestType == 0xc0, file < Self.lengths.count else { return .stall }
        switch setup.request {
        case 1: return .data([UInt8(Self.lengths.count)])
        case 2: return .data((0..<4).map { UInt8(truncatingIfNeeded: Self.lengths[file] >> ($0 * 8)) })
        case 3:
            let start = Int(setup.index) * 512
            let range = start..<max(start, min(start + 512, Self.lengths[file]))
            return .data(range.map { UInt8(truncatingIfNeeded: $0 * 7 / 5 + file * 31) })
        default: return .stall
        }
    }
}
