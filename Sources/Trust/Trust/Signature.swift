// A detached signature in OpenSSH's format (PROTOCOL.sshsig): what `ssh-keygen -Y sign` writes into FILE.sig.

/// A signature of some bytes, and the key that claims to have made it.
public struct Signature: Hashable, Sendable {
    public enum HashAlgorithm: String, Hashable, Sendable {
        case sha256, sha512

        func digest(of message: [UInt8]) -> [UInt8] {
            switch self {
            case .sha256: Digest.sha256(message)
            case .sha512: Digest.sha512(message)
            }
        }
    }

    public let key: PublicKey
    /// What it was made for, so that a signature for one purpose is not valid for another.
    public let namespace: String
    public let hashAlgorithm: HashAlgorithm
    /// The algorithm's name and what it made.
    let body: [UInt8]
    /// For the format's future; signed with the rest.
    let reserved: [UInt8]

    static let armourName = "SSH SIGNATURE"
    private static let magic = Array("SSHSIG".utf8)

    /// Parses the text of a `.sig` file. Nothing is checked yet but its form.
    public init(armoured text: [UInt8]) throws(TrustError) {
        let subject = "The signature"
        var reader = SSHReader(try Armour.decode(text, name: Self.armourName, subject: subject), of: subject)
        guard Array(try reader.bytes(Self.magic.count)) == Self.magic else { throw reader.malformed("it does not begin with SSHSIG") }
        let version = try reader.uint32()
        guard version == 1 else {
            throw TrustError(.unsupported, "The signature has version \(version) of its format; only 1 is supported.")
        }
        key = try PublicKey(blob: try reader.string())
        namespace = try reader.text()
        guard !namespace.isEmpty else { throw reader.malformed("it has no namespace") }
        reserved = try reader.string()
        let hash = try reader.text()
        guard let algorithm = HashAlgorithm(rawValue: hash) else {
            throw TrustError(.unsupported, "The signature uses a hash named \"\(hash.prefix(40))\"; only sha256 and sha512 are supported.")
        }
        hashAlgorithm = algorithm
        body = try reader.string()
        try reader.end()
    }

    /// Signs `message`.
    public init(of message: [UInt8], by key: PrivateKey, namespace: String, hashAlgorithm: HashAlgorithm = .sha512) throws {
        self.key = key.publicKey
        self.namespace = namespace
        self.hashAlgorithm = hashAlgorithm
        reserved = []
        body = try key.sign(Self.signed(message, namespace, [], hashAlgorithm))
    }

    public var armoured: String {
        var writer = SSHWriter()
        writer.raw(Self.magic)
        writer.uint32(1)
        writer.string(key.blob)
        writer.text(namespace)
        writer.string(reserved)
        writer.text(hashAlgorithm.rawValue)
        writer.string(body)
        return Armour.encode(writer.bytes, name: Self.armourName)
    }

    /// Whether the key made this of `message`. Says nothing of whose key it is.
    public func check(_ message: [UInt8]) throws(TrustError) {
        try key.check(body, of: Self.signed(message, namespace, reserved, hashAlgorithm))
    }

    /// What the key signs in place of the message.
    private static func signed(_ message: [UInt8], _ namespace: String, _ reserved: [UInt8], _ algorithm: HashAlgorithm) -> [UInt8] {
        var writer = SSHWriter()
        writer.raw(magic)
        writer.text(namespace)
        writer.string(reserved)
        writer.text(algorithm.rawValue)
        writer.string(algorithm.digest(of: message))
        return writer.bytes
    }
}
