// Keys that count no more: OpenSSH's KRL (PROTOCOL.krl, `ssh-keygen -k`), or a plain list of public keys.

/// A parsed revocation list. One that is not understood to its last byte is refused as a whole: what it revokes must not be missed.
public struct RevocationList: Hashable, Sendable {
    private var blobs: Set<[UInt8]> = []
    private var sha1: Set<[UInt8]> = []
    private var sha256: Set<[UInt8]> = []

    public static let maximumBytes = 4 << 20
    private static let magic = Array("SSHKRL\n\0".utf8)

    private enum Section {
        static let certificates: UInt8 = 1
        static let explicitKeys: UInt8 = 2
        static let sha1Fingerprints: UInt8 = 3
        static let signature: UInt8 = 4
        static let sha256Fingerprints: UInt8 = 5
        static let extensions: UInt8 = 255
    }

    /// Nobody is revoked.
    public init() {}

    /// A KRL by its first bytes, else a plain list.
    public init(parsing bytes: [UInt8]) throws(TrustError) {
        guard bytes.count <= Self.maximumBytes else {
            throw TrustError(.malformed, "The revocation list is larger than \(Self.maximumBytes) bytes.")
        }
        if bytes.starts(with: Self.magic) { try parseBinary(bytes) } else { try parsePlain(bytes) }
    }

    /// Whether `bytes` are a KRL, which only `ssh-keygen -k -u` adds to.
    public static func isBinary(_ bytes: [UInt8]) -> Bool { bytes.starts(with: magic) }

    public var count: Int { blobs.count + sha1.count + sha256.count }

    public func revokes(_ key: PublicKey) -> Bool {
        if blobs.contains(key.blob) { return true }
        if !sha256.isEmpty, sha256.contains(Digest.sha256(key.blob)) { return true }
        return !sha1.isEmpty && sha1.contains(Digest.sha1(key.blob))
    }

    private mutating func parsePlain(_ bytes: [UInt8]) throws(TrustError) {
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            guard let text = String(validating: line, as: UTF8.self) else {
                throw TrustError(.malformed, "The revocation list's line \(index + 1) is not text.")
            }
            let trimmed = text.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
            if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
            do throws(TrustError) {
                blobs.insert(try PublicKey(line: String(trimmed)).blob)
            } catch {
                throw TrustError(.malformed, "The revocation list's line \(index + 1): \(error)")
            }
        }
    }

    private mutating func parseBinary(_ bytes: [UInt8]) throws(TrustError) {
        var reader = SSHReader(bytes, of: "The revocation list")
        _ = try reader.bytes(Self.magic.count)
        let version = try reader.uint32()
        guard version == 1 else {
            throw TrustError(.unsupported, "The revocation list has version \(version) of its format; only 1 is supported.")
        }
        // Its own number, its date, flags.
        for _ in 0..<3 { _ = try reader.uint64() }
        _ = try reader.string()
        _ = try reader.string()
        while !reader.isAtEnd {
            let type = try reader.byte()
            let section = try reader.string()
            switch type {
            // Certificates are refused wherever they would be met: there is none to revoke.
            case Section.certificates: break
            case Section.explicitKeys: blobs.formUnion(try Self.strings(section, length: nil))
            case Section.sha1Fingerprints: sha1.formUnion(try Self.strings(section, length: 20))
            case Section.sha256Fingerprints: sha256.formUnion(try Self.strings(section, length: 32))
            case Section.extensions: try Self.checkExtension(section)
            case Section.signature:
                throw TrustError(
                    .unsupported, "The revocation list is signed, which is not supported: ssh-keygen -k makes it without a signature.")
            default:
                throw TrustError(
                    .unsupported, "The revocation list has a section of type \(type), which is not known: it can't be relied on.")
            }
        }
    }

    private static func strings(_ section: [UInt8], length: Int?) throws(TrustError) -> Set<[UInt8]> {
        var reader = SSHReader(section, of: "The revocation list")
        var result: Set<[UInt8]> = []
        while !reader.isAtEnd {
            let entry = try reader.string()
            guard length == nil || entry.count == length else { throw reader.malformed("a fingerprint has \(entry.count) bytes") }
            result.insert(entry)
        }
        return result
    }

    private static func checkExtension(_ section: [UInt8]) throws(TrustError) {
        var reader = SSHReader(section, of: "The revocation list")
        let name = try reader.text()
        let isCritical = try reader.byte() != 0
        _ = try reader.string()
        try reader.end()
        guard !isCritical else {
            throw TrustError(
                .unsupported,
                "The revocation list has a critical extension \"\(name.prefix(60))\", which is not known: it can't be relied on.")
        }
    }
}
