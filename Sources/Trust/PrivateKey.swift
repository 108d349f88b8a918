// An SSH private key without a passphrase: OpenSSH's PROTOCOL.key.

import Crypto

/// A key that signs.
public struct PrivateKey: Sendable {
    private enum Secret: Sendable {
        case ed25519(Curve25519.Signing.PrivateKey)
        case ecdsa(P256.Signing.PrivateKey)
    }
    private let secret: Secret
    public let publicKey: PublicKey
    /// What follows the key in its `.pub` file, mostly `user@host`.
    public let comment: String

    private static let armourName = "OPENSSH PRIVATE KEY"
    private static let magic = Array("openssh-key-v1\0".utf8)

    /// A new Ed25519 key.
    public init(comment: String = "") {
        let key = Curve25519.Signing.PrivateKey()
        secret = .ed25519(key)
        publicKey = PublicKey(ed25519: key.publicKey)
        self.comment = comment
    }

    /// The text of a file that `ssh-keygen` made.
    public init(file text: [UInt8]) throws(TrustError) {
        let subject = "The private key"
        let first = text.prefix { $0 != UInt8(ascii: "\n") }
        if let line = String(validating: first, as: UTF8.self), line.hasPrefix("-----BEGIN "), !line.contains("OPENSSH") {
            throw TrustError(.unsupported, "The private key is no OpenSSH key (\(line.prefix(60))): ssh-keygen -p -f FILE converts it.")
        }
        var reader = SSHReader(try Armour.decode(text, name: Self.armourName, subject: subject), of: subject)
        guard Array(try reader.bytes(Self.magic.count)) == Self.magic else { throw reader.malformed("it does not begin as one") }
        let cipher = try reader.text()
        let derivation = try reader.text()
        _ = try reader.string()
        guard cipher == "none", derivation == "none" else {
            throw TrustError(
                .unsupported, "The private key is protected by a passphrase, which is not asked for here: let ssh-keygen sign (-Y sign).")
        }
        guard try reader.uint32() == 1 else { throw reader.malformed("it holds several keys") }
        let publicKey = try PublicKey(blob: try reader.string())
        let inner = try reader.string()
        try reader.end()
        try publicKey.checkSupported()
        self.publicKey = publicKey
        (secret, comment) = try Self.secret(inner, of: publicKey)
    }

    private static func secret(_ bytes: [UInt8], of publicKey: PublicKey) throws(TrustError) -> (Secret, String) {
        var reader = SSHReader(bytes, of: "The private key")
        guard try reader.uint32() == reader.uint32() else { throw reader.malformed("its check numbers differ") }
        guard try reader.text() == publicKey.type else { throw reader.malformed("its halves are of different types") }
        let secret: Secret
        let derived: PublicKey
        do {
            if publicKey.type == PublicKey.ed25519 {
                _ = try reader.string()
                let pair = try reader.string()
                guard pair.count == 64 else { throw reader.malformed("an ed25519 key has 64 bytes") }
                let key = try Curve25519.Signing.PrivateKey(rawRepresentation: pair[..<32])
                (secret, derived) = (.ed25519(key), PublicKey(ed25519: key.publicKey))
            } else {
                _ = try reader.string()
                _ = try reader.string()
                let key = try P256.Signing.PrivateKey(rawRepresentation: try reader.number(bytes: 32))
                (secret, derived) = (.ecdsa(key), PublicKey(ecdsa: key.publicKey))
            }
        } catch let error as TrustError {
            throw error
        } catch {
            throw reader.malformed("its number is no key")
        }
        guard derived == publicKey else { throw reader.malformed("its halves do not belong together") }
        let comment = try reader.text()
        // Padded with 1, 2, 3… to the cipher's block.
        guard reader.rest.count < 256, reader.rest.enumerated().allSatisfy({ UInt8(truncatingIfNeeded: $0.offset + 1) == $0.element })
        else {
            throw reader.malformed("its padding is wrong")
        }
        return (secret, comment)
    }

    /// As ssh-keygen writes it, without a passphrase.
    public var file: String {
        var inner = SSHWriter()
        // The check numbers tell a wrong passphrase; there is none.
        inner.uint32(0)
        inner.uint32(0)
        inner.text(publicKey.type)
        switch secret {
        case .ed25519(let key):
            inner.string(Array(key.publicKey.rawRepresentation))
            inner.string(Array(key.rawRepresentation) + Array(key.publicKey.rawRepresentation))
        case .ecdsa(let key):
            inner.text("nistp256")
            inner.string(Array(key.publicKey.x963Representation))
            inner.number(Array(key.rawRepresentation))
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
    func sign(_ message: [UInt8]) throws -> [UInt8] {
        var writer = SSHWriter()
        writer.text(publicKey.type)
        switch secret {
        case .ed25519(let key): writer.string(Array(try key.signature(for: message)))
        case .ecdsa(let key):
            let raw = Array(try key.signature(for: message).rawRepresentation)
            var numbers = SSHWriter()
            numbers.number(raw[..<32])
            numbers.number(raw[32...])
            writer.string(numbers.bytes)
        }
        return writer.bytes
    }
}
