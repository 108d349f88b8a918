// Digests of bytes, by libcrypto.

import CLibCrypto

public enum Digest {
    public static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { digest(bytes, EVP_sha256(), 32) }
    public static func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { sha256($0) } }

    static func sha512(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { digest($0, EVP_sha512(), 64) } }

    /// Only for lists of revoked keys that name them so.
    static func sha1(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { digest($0, EVP_sha1(), 20) } }

    private static func digest(_ bytes: UnsafeRawBufferPointer, _ algorithm: OpaquePointer?, _ length: Int) -> [UInt8] {
        LibCrypto.prepare()
        return [UInt8](unsafeUninitializedCapacity: length) { digest, count in
            var written: UInt32 = 0
            let result = EVP_Digest(bytes.baseAddress, bytes.count, digest.baseAddress, &written, algorithm, nil)
            // No input makes a digest fail; a libcrypto without these three, or no memory, is a broken machine.
            precondition(result == 1 && written == length, "libcrypto can't make a digest")
            count = length
        }
    }
}
