// SHA-256 of an object's bytes as they are written or read, by libcrypto.

import CLibCrypto

/// Counts bytes in, one after the other; tells the digest at the end.
///
/// `@unchecked Sendable`: the context has one owner, which only changes it exclusively.
public struct ObjectDigest: ~Copyable, @unchecked Sendable {
    private let context: OpaquePointer

    public init() {
        precondition(Self.isPrepared, "libcrypto can't be initialised")
        // No memory, or a libcrypto without SHA-256, is a broken machine.
        guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            preconditionFailure("libcrypto can't make a digest")
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        precondition(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "libcrypto can't make a digest")
    }

    /// 64 hexadecimal digits of what was counted in so far.
    public func text() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        guard let copy = EVP_MD_CTX_new() else { preconditionFailure("libcrypto has no memory") }
        defer { EVP_MD_CTX_free(copy) }
        precondition(
            EVP_MD_CTX_copy_ex(copy, context) == 1 && EVP_DigestFinal_ex(copy, &digest, nil) == 1, "libcrypto can't make a digest")
        return digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Whether a text is such a digest, to the letter.
    public static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0 }
    }

    /// No configuration file that could load code, nothing that runs at exit while other threads
    /// are at work.
    private static let isPrepared =
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT), nil) == 1
}
