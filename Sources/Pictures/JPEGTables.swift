// Huffman tables for JPEGs that come without: many cameras' MJPEG leaves out the standard ones.

/// JPEG files as a sequence of segments, without decoding them.
public enum JPEGTables {
    /// The same JPEG with the standard Huffman tables (ITU-T T.81 annex K.3) before its first scan, if it has none before that;
    /// otherwise, or where the segments can't be followed, the bytes as they are.
    public static func completed(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count > 4, bytes[0] == 0xff, bytes[1] == 0xd8 else { return bytes }
        var position = 2
        while position + 4 <= bytes.count, bytes[position] == 0xff {
            let marker = bytes[position + 1]
            switch marker {
            case 0xff:
                position += 1
                continue
            case 0xc4, 0xd9, 0x00, 0x01, 0xd0...0xd8:
                return bytes
            case 0xda:
                return Array(bytes[..<position]) + standardTables + Array(bytes[position...])
            default:
                let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
                guard length >= 2 else { return bytes }
                position += 2 + length
            }
        }
        return bytes
    }

    /// A DHT segment with all four tables.
    static let standardTables: [UInt8] = {
        var tables: [UInt8] = []
        for (identifier, counts, values) in [
            (UInt8(0x00), [0, 1, 5, 1, 1, 1, 1, 1, 1], Array(UInt8(0)...11)),
            (0x10, [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], luminanceAC),
            (0x01, [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1], Array(UInt8(0)...11)),
            (0x11, [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], chrominanceAC),
        ] as [(UInt8, [UInt8], [UInt8])] {
            tables += [identifier] + counts + [UInt8](repeating: 0, count: 16 - counts.count) + values
        }
        let length = UInt16(tables.count + 2)
        return [0xff, 0xc4, UInt8(length >> 8), UInt8(length & 0xff)] + tables
    }()

    /// Table K.5: run and size, by growing code.
    private static let luminanceAC = withRest([
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81,
        0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82,
    ])

    /// Table K.6.
    private static let chrominanceAC = withRest([
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08,
        0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1,
    ])

    /// The 16-bit codes at both tables' ends go to whatever run and size (1 to 10) has no shorter code, in order.
    private static func withRest(_ short: [UInt8]) -> [UInt8] {
        short + (UInt8(0x01)...0xfa).filter { (1...10).contains($0 & 0x0f) && !short.contains($0) }
    }
}
