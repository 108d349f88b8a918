// A key of libcrypto's: Ed25519, or ECDSA on P-256. All of its calls about keys and signatures stand here.

import CLibCrypto

enum LibCrypto {
    private static let isPrepared: Bool = {
        // No configuration file that could load code, nothing that runs at exit while other threads are at work.
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT), nil) == 1
    }()

    /// Before the first call of a process.
    static func prepare() { precondition(isPrepared, "libcrypto can't be initialised") }
}

/// A public key, or a pair. Never changed once it is made.
///
/// `@unchecked Sendable`: libcrypto lets any number of threads use a key that nobody changes.
final class SigningKey: @unchecked Sendable {
    enum Kind: Sendable { case ed25519, ecdsaP256 }

    let kind: Kind
    private let key: OpaquePointer

    /// Bytes of a point of P-256 as SSH has it: 4, x, y (SEC 1 §2.3.3, uncompressed).
    static let pointBytes = 65
    /// Of a number modulo the order of P-256.
    static let numberBytes = 32

    private init?(_ kind: Kind, _ key: OpaquePointer?) {
        // What went wrong is of no use to anybody: the bytes are no key.
        guard let key else {
            ERR_clear_error()
            return nil
        }
        (self.kind, self.key) = (kind, key)
    }

    deinit { EVP_PKEY_free(key) }

    /// `nil` unless they are 32 bytes. (A point that is not on the curve shows when a signature is checked.)
    convenience init?(ed25519 publicKey: [UInt8]) {
        LibCrypto.prepare()
        guard publicKey.count == 32 else { return nil }
        self.init(.ed25519, EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, publicKey, publicKey.count))
    }

    convenience init?(ed25519Secret secret: [UInt8]) {
        LibCrypto.prepare()
        guard secret.count == 32 else { return nil }
        self.init(.ed25519, EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, secret, secret.count))
    }

    /// `nil` for what is not a point of the curve, or where the secret number is not this point's.
    convenience init?(ecdsaP256 point: [UInt8], secret: [UInt8]? = nil) {
        LibCrypto.prepare()
        guard point.count == Self.pointBytes, point[0] == 4, secret?.count ?? Self.numberBytes == Self.numberBytes else { return nil }
        let number = secret.flatMap { BN_bin2bn($0, Int32($0.count), nil) }
        defer { BN_clear_free(number) }
        guard (number == nil) == (secret == nil) else { return nil }
        self.init(.ecdsaP256, clibcrypto_p256(point, point.count, number))
        if secret != nil {
            let context = EVP_PKEY_CTX_new(key, nil)
            defer { EVP_PKEY_CTX_free(context) }
            guard EVP_PKEY_check(context) == 1 else {
                ERR_clear_error()
                return nil
            }
        }
    }

    /// The public half of an Ed25519 key.
    var ed25519: [UInt8] {
        precondition(kind == .ed25519)
        return [UInt8](unsafeUninitializedCapacity: 32) { bytes, count in
            count = 32
            precondition(EVP_PKEY_get_raw_public_key(key, bytes.baseAddress, &count) == 1 && count == 32)
        }
    }

    /// Whether the key made this signature of `message`: 64 bytes, for ECDSA the numbers r and s.
    func isValid(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == 64, let signature = kind == .ed25519 ? signature : ECDSASignature.der(signature) else { return false }
        let context = EVP_MD_CTX_new()
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        return EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1
            && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }

    /// 64 bytes. `nil` where libcrypto has no random numbers or no memory; the key must be a pair.
    func signature(of message: [UInt8]) -> [UInt8]? {
        let context = EVP_MD_CTX_new()
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var count = Self.maximumSignatureBytes
        var signature = [UInt8](repeating: 0, count: count)
        guard EVP_DigestSignInit(context, nil, digest, nil, key) == 1,
            EVP_DigestSign(context, &signature, &count, message, message.count) == 1, count <= signature.count
        else { return nil }
        signature.removeLast(signature.count - count)
        return kind == .ed25519 ? signature : ECDSASignature.numbers(signature)
    }

    /// What is more than a signature of either kind.
    private static let maximumSignatureBytes = 128

    /// Ed25519 hashes by itself.
    private var digest: OpaquePointer? { kind == .ed25519 ? nil : EVP_sha256() }
}

/// An ECDSA signature's two forms: DER as libcrypto wants it, two numbers of 32 bytes as we have it from SSH.
private enum ECDSASignature {
    private static let count = SigningKey.numberBytes

    static func der(_ numbers: [UInt8]) -> [UInt8]? {
        guard numbers.count == 2 * count, let signature = ECDSA_SIG_new() else { return nil }
        defer { ECDSA_SIG_free(signature) }
        let (r, s) = numbers.withUnsafeBufferPointer {
            (BN_bin2bn($0.baseAddress, Int32(count), nil), BN_bin2bn($0.baseAddress! + count, Int32(count), nil))
        }
        // The signature owns both from here on.
        guard let r, let s, ECDSA_SIG_set0(signature, r, s) == 1 else {
            BN_free(r)
            BN_free(s)
            return nil
        }
        let length = i2d_ECDSA_SIG(signature, nil)
        guard length > 0 else { return nil }
        return [UInt8](unsafeUninitializedCapacity: Int(length)) { bytes, written in
            var position = bytes.baseAddress
            written = Int(max(0, i2d_ECDSA_SIG(signature, &position)))
        }
    }

    static func numbers(_ der: [UInt8]) -> [UInt8]? {
        let signature = der.withUnsafeBufferPointer {
            var position = $0.baseAddress
            return d2i_ECDSA_SIG(nil, &position, $0.count)
        }
        guard let signature else { return nil }
        defer { ECDSA_SIG_free(signature) }
        var numbers = [UInt8](repeating: 0, count: 2 * count)
        let isWritten = numbers.withUnsafeMutableBufferPointer {
            BN_bn2binpad(ECDSA_SIG_get0_r(signature), $0.baseAddress, Int32(count)) == count
                && BN_bn2binpad(ECDSA_SIG_get0_s(signature), $0.baseAddress! + count, Int32(count)) == count
        }
        return isWritten ? numbers : nil
    }
}
