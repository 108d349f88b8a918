// An SSH private key without a passphrase: OpenSSH's PROTOCOL.key.

/// A key that signs.
public struct PrivateKey: Sendable {
    private let key: SigningKey
    /// Ed25519's 32 bytes (RFC 8032 §5.1.5), or ECDSA's number.
    private let secret: [UInt8]
    public let publicKey: PublicKey
    /// What follows the key in its `.pub` file, mostly `user@host`.
    public let comment: String

    private static let armourName = "OPENSSH PRIVATE KEY"
    private static let magic = Array("openssh-key-v1\0".utf8)

    /// A new Ed25519 key.
    public init(comment: String = "") {
        var generator = SystemRandomNumberGenerator()
        secret = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        guard let key = SigningKey(ed25519Secret: secret) else { preconditionFailure("any 32 bytes are an Ed25519 key") }
        self.key = key
        publicKey = PublicKey(ed25519: key.ed25519)
        self.comment = comment
    }

    /// The text of a file that `ssh-keygen` made.
    public init(file text: [UInt8]) throws(TrustError) {
        let subject = "The private key"
        let first = text.prefix { $0 != UInt8(ascii: "\n") }
        if let line = String(validating: first, as: UTF8.self), line.hasPrefix("-----BEGIN "), !line.contains("OPENSSH") {
            throw TrustError(.unsupported, "The private key is not an OpenSSH key (\(line.prefix(60))): ssh-keygen -p -f FILE converts it.")
        }
        var reader = SSHReader(try Armour.decode(text, name: Self.armourName, subject: subject), of: subject)
        guard Array(try reader.bytes(Self.magic.count)) == Self.magic else { throw reader.malformed("it does not begin as one") }
        let cipher = try reader.text()
        let derivation = try reader.text()
        _ = try reader.string()
        guard cipher == "none", derivation == "none" else {
            throw TrustError(
                .unsupported,
                "The private key is protected by a passphrase, which this program does not ask for: sign with ssh-keygen (-Y sign).")
        }
        guard try reader.uint32() == 1 else { throw reader.malformed("it holds several keys") }
        let publicKey = try PublicKey(blob: try reader.string())
        let inner = try reader.string()
        try reader.end()
        try publicKey.checkSupported()
        self.publicKey = publicKey
        (key, secret, comment) = try Self.secret(inner, of: publicKey)
    }

    private static func secret(_ bytes: [UInt8], of publicKey: PublicKey) throws(TrustError) -> (SigningKey, [UInt8], String) {
        var reader = SSHReader(bytes, of: "The private key")
        guard try reader.uint32() == reader.uint32() else { throw reader.malformed("its check numbers differ") }
        guard try reader.text() == publicKey.type else { throw reader.malformed("its halves are of different types") }
        let secret: [UInt8]
        let key: SigningKey?
        // The public half is told again; what counts is the one that stands outside, which the secret has to fit.
        _ = try reader.string()
        if publicKey.type == PublicKey.ed25519 {
            let pair = try reader.string()
            guard pair.count == 64 else { throw reader.malformed("an ed25519 key has 64 bytes") }
            secret = Array(pair[..<32])
            key = SigningKey(ed25519Secret: secret).flatMap { PublicKey(ed25519: $0.ed25519) == publicKey ? $0 : nil }
        } else {
            _ = try reader.string()
            secret = try reader.number(bytes: SigningKey.numberBytes)
            key = SigningKey(ecdsaP256: try publicKey.ecdsaPoint(), secret: secret)
        }
        guard let key else { throw reader.malformed("its halves do not belong together") }
        let comment = try reader.text()
        // Padded with 1, 2, 3… to the cipher's block.
        guard reader.rest.count < 256, reader.rest.enumerated().allSatisfy({ UInt8(truncatingIfNeeded: $0.offset + 1) == $0.element })
        else {
            throw reader.malformed("its padding is wrong")
        }
        return (key, secret, comment)
    }

    /// As ssh-keygen writes it, without a passphrase.
    public var file: String {
        var inner = SSHWriter()
        // The check numbers tell a wrong passphrase; there is none.
        inner.uint32(0)
        inner.uint32(0)
        inner.text(publicKey.type)
        switch key.kind {
        case .ed25519:
            inner.string(key.ed25519)
            inner.string(secret + key.ed25519)
        case .ecdsaP256:
            // The curve and the point, as they stand in the public key.
            inner.raw(publicKey.body)
            inner.number(secret)
        }
        inner.text(comment)
        inner.raw((1...8).prefix((8 - inner.bytes.count % 8) % 8).map { UInt8($0) })
        var writer = SSHWriter()
        writer.raw(Self.magic)
        writer.text("none")
        writer.text("none")
        writer.text("")
        writer.uint32(1)
        writer.string(publicKey.blob)
        writer.string(inner.bytes)
        return Armour.encode(writer.bytes, name: Self.armourName)
    }

    /// A signature as SSH writes one, over `message`.
    func sign(_ message: [UInt8]) throws(TrustError) -> [UInt8] {
        guard let signature = key.signature(of: message) else {
            throw TrustError(.unsupported, "The system's libcrypto could not sign with the key.")
        }
        var writer = SSHWriter()
        writer.text(publicKey.type)
        switch key.kind {
        case .ed25519: writer.string(signature)
        case .ecdsaP256:
            var numbers = SSHWriter()
            numbers.number(signature[..<SigningKey.numberBytes])
            numbers.number(signature[SigningKey.numberBytes...])
            writer.string(numbers.bytes)
        }
        return writer.bytes
    }
}
