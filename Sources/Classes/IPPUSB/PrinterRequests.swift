// Class requests of printers (USB Printing Devices 1.1 §4.2), and what a device says it is.

public import USB

/// GET_DEVICE_ID and its answer.
public enum PrinterRequests {
    /// The most that an answer is read of: the length in front has two bytes, real ones are shorter
    /// than this.
    static let longestIdentifier: UInt16 = 4096

    /// GET_DEVICE_ID (§4.2.1) of an interface in an alternate setting. `configuration` counts from 0.
    public static func deviceIdentifier(configuration: UInt16 = 0, interface: UInt8, alternateSetting: UInt8) -> ControlSetup {
        ControlSetup(
            requestType: 0xa1, request: 0, value: configuration, index: UInt16(interface) << 8 | UInt16(alternateSetting),
            length: longestIdentifier)
    }
}

/// An IEEE 1284 identifier: `MFG:HP;MDL:LaserJet;…`.
public struct DeviceIdentifier: Hashable, Sendable {
    /// Keys in capitals, in their order; of a duplicate key the first counts.
    public var fields: [(key: String, value: String)]

    public static func == (a: DeviceIdentifier, b: DeviceIdentifier) -> Bool { a.fields.elementsEqual(b.fields) { $0 == $1 } }
    public func hash(into hasher: inout Hasher) { for field in fields { hasher.combine(field.key) } }

    /// An answer to GET_DEVICE_ID: two bytes of length, big-endian and counting themselves, and the
    /// text. Some devices write the length the other way round, or wrongly: what came counts then.
    public init(parsing answer: [UInt8]) {
        var text = answer[...]
        if answer.count >= 2 {
            let lengths = [Int(answer[0]) << 8 | Int(answer[1]), Int(answer[1]) << 8 | Int(answer[0])]
            let length = lengths.first { 2...answer.count ~= $0 } ?? answer.count
            text = answer[2..<length]
        } else {
            text = []
        }
        self.init(fields: text)
    }

    /// The text alone, as the attribute `printer-device-id` has it (PWG 5107.2).
    public init(_ text: String) { self.init(fields: Array(text.utf8)[...]) }

    private init(fields text: ArraySlice<UInt8>) {
        fields = []
        for entry in text.split(separator: UInt8(ascii: ";")).prefix(64) {
            guard let colon = entry.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let key = Self.trimmed(entry[..<colon]).uppercased()
            guard !key.isEmpty, !fields.contains(where: { $0.key == key }) else { continue }
            fields.append((key, Self.trimmed(entry[entry.index(after: colon)...])))
        }
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        var bytes = bytes
        while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
        while let first = bytes.first, first <= 0x20 { bytes.removeFirst() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The value of the first of these keys that exists.
    public subscript(_ keys: String...) -> String? {
        keys.lazy.compactMap { key in fields.first { $0.key == key && !$0.value.isEmpty }?.value }.first
    }

    /// `MFG` or `MANUFACTURER`
    public var manufacturer: String? { self["MFG", "MANUFACTURER"] }
    /// `MDL` or `MODEL`
    public var model: String? { self["MDL", "MODEL"] }
}
