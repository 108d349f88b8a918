// gzip, as some scanners compress what nobody asked them to (RFC 1952).

import CZlib
import Pictures

enum Gzip {
    static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
        var length = compressBound(uLong(bytes.count))
        var stream = [UInt8](repeating: 0, count: Int(length))
        guard compress2(&stream, &length, bytes, uLong(bytes.count), 9) == Z_OK, length > 6 else { return nil }
        // Of zlib's stream without its two bytes of header and four of checksum.
        let deflated = stream[2..<Int(length) - 4]
        var checksum = CRC32()
        bytes.withUnsafeBytes { checksum.update($0) }
        func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
        // No time, no flags, unknown system.
        return [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255] + deflated + word(checksum.value) + word(UInt32(truncatingIfNeeded: bytes.count))
    }
}
