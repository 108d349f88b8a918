// Adds to the lists of signers and of revoked keys.

import Glibc
package import Trust

package enum TrustFileEditor {
    /// False when a line already says so.
    package static func trust(_ signer: AllowedSigner, in path: String) throws(BundleError) -> Bool {
        let bytes = try BundleFile.read(path, maximum: AllowedSigners.maximumBytes, isOwned: true) ?? []
        do throws(TrustError) {
            if try AllowedSigners(parsing: bytes).entries.contains(signer) { return false }
        } catch {
            throw BundleError(path: path, problem: error.description)
        }
        try append(AllowedSigners.line(signer), to: bytes, path)
        return true
    }

    /// False when it is revoked already.
    package static func revoke(_ key: PublicKey, in path: String) throws(BundleError) -> Bool {
        let bytes = try BundleFile.read(path, maximum: RevocationList.maximumBytes, isOwned: true) ?? []
        do throws(TrustError) {
            if try RevocationList(parsing: bytes).revokes(key) { return false }
        } catch {
            throw BundleError(path: path, problem: error.description)
        }
        guard !RevocationList.isBinary(bytes) else {
            throw BundleError(path: path, problem: "it is a KRL, which ssh-keygen adds to: ssh-keygen -k -u -f \(path) KEY.pub")
        }
        try append(key.line, to: bytes, path)
        return true
    }

    /// The key in a `.pub` file.
    package static func publicKey(at path: String) throws(BundleError) -> (key: PublicKey, comment: String) {
        guard let bytes = try BundleFile.read(path, maximum: 64 << 10) else { throw BundleError(path: path, errno: ENOENT) }
        let text = String(decoding: bytes, as: UTF8.self)
        let line = text.split(whereSeparator: \.isNewline).map(String.init).first { !$0.hasPrefix("#") } ?? ""
        do throws(TrustError) {
            let key = try PublicKey(line: line)
            let words = line.split(maxSplits: 2, whereSeparator: { $0 == " " || $0 == "\t" })
            return (key, words.count == 3 ? String(words[2]) : "")
        } catch {
            throw BundleError(path: path, problem: error.description)
        }
    }

    package static func privateKey(at path: String) throws(BundleError) -> PrivateKey {
        guard let bytes = try BundleFile.read(path, maximum: 64 << 10) else { throw BundleError(path: path, errno: ENOENT) }
        do throws(TrustError) { return try PrivateKey(file: bytes) } catch { throw BundleError(path: path, problem: error.description) }
    }

    private static func append(_ line: String, to bytes: [UInt8], _ path: String) throws(BundleError) {
        let separator: [UInt8] = bytes.isEmpty || bytes.last == UInt8(ascii: "\n") ? [] : [UInt8(ascii: "\n")]
        try BundleFile.makeFolder(BundleFile.parent(path))
        try BundleFile.replace(path, bytes + separator + Array((line + "\n").utf8))
    }
}
