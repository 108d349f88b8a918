// An SSH public key: `ssh-ed25519 AAAAC3… comment`.

import FoundationEssentials

/// A public key of any kind that SSH knows; what it signed can be checked for some kinds only.
public struct PublicKey: Hashable, Sendable {
    /// `"ssh-ed25519"`
    public let type: String
    /// RFC 4253 §6.6: the type and the key's numbers.
    public let blob: [UInt8]

    static let ed25519 = "ssh-ed25519"
    static let ecdsaP256 = "ecdsa-sha2-nistp256"
    /// An RSA key of 16,384 bits has 2 KiB.
    static let maximumBlobBytes = 8 << 10

    public init(blob: [UInt8]) throws(TrustError) {
        guard blob.count <= Self.maximumBlobBytes else {
            throw TrustError(.malformed, "The public key is larger than \(Self.maximumBlobBytes) bytes.")
        }
        var reader = SSHReader(blob, of: "The public key")
        type = try reader.text()
        guard !type.isEmpty, type.utf8.allSatisfy({ $0 > 32 }) else { throw reader.malformed("it has no type") }
        self.blob = blob
        // Of the kinds that we know also what follows.
        switch type {
        case Self.ed25519:
            guard try reader.string().count == 32 else { throw reader.malformed("it is not a key of 32 bytes") }
            try reader.end()
        case Self.ecdsaP256:
            guard try reader.text() == "nistp256" else { throw reader.malformed("its curve is not nistp256") }
            guard try reader.string().count == 65 else { throw reader.malformed("it is not a point of 65 bytes") }
            try reader.end()
        default: break
        }
    }

    /// The line of a `.pub` file; what follows the key is its comment.
    public init(line: String) throws(TrustError) {
        let words = line.split(maxSplits: 2, whereSeparator: { $0 == " " || $0 == "\t" })
        guard words.count >= 2, let blob = Armour.base64(words[1].utf8) else {
            throw TrustError(
                .malformed, "\"\(line.prefix(40))\" is not a public key: a type and its base64 are expected, as in a .pub file.")
        }
        try self.init(blob: blob)
        guard type == words[0] else { throw TrustError(.malformed, "The public key says it is \(words[0]), but it is \(type).") }
    }

    init(ed25519 key: [UInt8]) {
        var writer = SSHWriter()
        writer.text(Self.ed25519)
        writer.string(key)
        (type, blob) = (Self.ed25519, writer.bytes)
    }

    /// As in a `.pub` file, without a comment.
    public var line: String { "\(type) \(Data(blob).base64EncodedString())" }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    public var fingerprint: String {
        let text = Data(Digest.sha256(blob)).base64EncodedString()
        return "SHA256:" + text.prefix { $0 != "=" }
    }

    /// Whether signatures of such a key can be checked. Throws `unsupported` with what to use instead.
    public func checkSupported() throws(TrustError) {
        guard type == Self.ed25519 || type == Self.ecdsaP256 else {
            throw TrustError(
                .unsupported,
                "Keys of type \(type) are not supported: sign with an ed25519 key (ssh-keygen -t ed25519), or ecdsa with 256 bits.")
        }
    }

    /// Checks a signature as SSH writes one (RFC 8709 §6, RFC 5656 §3.1.2) over `message`.
    func check(_ signature: [UInt8], of message: [UInt8]) throws(TrustError) {
        try checkSupported()
        var reader = SSHReader(signature, of: "The signature")
        let algorithm = try reader.text()
        guard algorithm == type else { throw reader.malformed("it was made with \(algorithm), but the key is \(type)") }
        let body = try reader.string()
        try reader.end()
        let (key, numbers) = try type == Self.ed25519 ? (ed25519Key(), body) : (ecdsaKey(), Self.numbers(body))
        guard key.isValid(numbers, of: message) else {
            throw TrustError(.wrongSignature, "The signature does not match: what was signed has been altered, or the signature has.")
        }
    }

    /// RFC 8709 §4
    private func ed25519Key() throws(TrustError) -> SigningKey {
        var reader = bodyReader()
        let raw = try reader.string()
        try reader.end()
        guard let key = SigningKey(ed25519: raw) else { throw reader.malformed("an ed25519 key has 32 bytes") }
        return key
    }

    private func ecdsaKey() throws(TrustError) -> SigningKey {
        guard let key = SigningKey(ecdsaP256: try ecdsaPoint()) else { throw bodyReader().malformed("it is not a point of the curve") }
        return key
    }

    /// The public point of an ECDSA key (RFC 5656 §3.1), which nobody has looked at yet.
    func ecdsaPoint() throws(TrustError) -> [UInt8] {
        var reader = bodyReader()
        guard try reader.text() == "nistp256" else { throw reader.malformed("its curve is not nistp256") }
        let point = try reader.string()
        try reader.end()
        return point
    }

    /// The numbers r and s of an ECDSA signature, 32 bytes each.
    private static func numbers(_ signature: [UInt8]) throws(TrustError) -> [UInt8] {
        var reader = SSHReader(signature, of: "The signature")
        let numbers = try reader.number(bytes: SigningKey.numberBytes) + reader.number(bytes: SigningKey.numberBytes)
        try reader.end()
        return numbers
    }

    /// What follows the type.
    var body: ArraySlice<UInt8> {
        // The type has been read from these bytes: its length, and itself.
        blob.dropFirst(4 + type.utf8.count)
    }

    private func bodyReader() -> SSHReader { SSHReader(body, of: "The public key") }
}
