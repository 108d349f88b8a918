// What a JPEG says of itself before its picture begins.

/// What a JPEG's frame header says (ITU-T T.81 §B.2.2).
public struct JPEGFrame: Hashable, Sendable {
    public var width: Int
    public var height: Int
    /// 1, 3 or 4.
    public var components: Int

    /// `nil` if there is none in these bytes, which may be only the beginning of a JPEG.
    public init?(_ bytes: [UInt8]) {
        guard bytes.starts(with: [0xff, 0xd8]) else { return nil }
        var place = 2
        while place + 4 <= bytes.count {
            guard bytes[place] == 0xff else { return nil }
            let marker = bytes[place + 1]
            // Fill bytes, and markers without a length.
            if marker == 0xff || marker == 0x01 || 0xd0...0xd7 ~= marker {
                place += marker == 0xff ? 1 : 2
                continue
            }
            let length = Int(bytes[place + 2]) << 8 | Int(bytes[place + 3])
            // SOF0 to SOF15, but for DHT, JPG and DAC.
            if 0xc0...0xcf ~= marker, ![0xc4, 0xc8, 0xcc].contains(marker) {
                guard place + 10 <= bytes.count else { return nil }
                height = Int(bytes[place + 5]) << 8 | Int(bytes[place + 6])
                width = Int(bytes[place + 7]) << 8 | Int(bytes[place + 8])
                components = Int(bytes[place + 9])
                guard width > 0, height > 0, [1, 3, 4].contains(components) else { return nil }
                return
            }
            guard length >= 2, marker != 0xda, marker != 0xd9 else { return nil }
            place += 2 + length
        }
        return nil
    }
}
