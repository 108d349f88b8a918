// SHA-256 of an object's bytes as they are written or read.

import CDigest

/// Counts bytes in, one after the other; tells the digest at the end.
///
/// The code is our own (`CDigest`), as a driver's process is to load no library for it: libcrypto is
/// 5 MB of memory mapped, relocated at each start, for this one function.
public struct ObjectDigest: ~Copyable, Sendable {
    private var digest = cdigest_sha256()

    public init() { cdigest_sha256_begin(&digest) }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        cdigest_sha256_update(&digest, bytes.baseAddress, bytes.count)
    }

    /// 64 hexadecimal digits of what was counted in so far.
    public func text() -> String {
        var result = [UInt8](repeating: 0, count: 32)
        withUnsafePointer(to: digest) { cdigest_sha256_end($0, &result) }
        return result.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Whether a text is such a digest, to the letter.
    public static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0 }
    }
}
