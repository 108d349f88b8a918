// Signs a driver: its executable's SHA-256 goes into the manifest, the manifest's signature beside it.

import Glibc
import Spawn
package import Trust

package enum BundleSigner {
    /// Writes the executable's SHA-256 into the manifest of the bundle at `path`: from there on `ssh-keygen -Y sign` can sign it too.
    /// Returns the manifest's bytes.
    @discardableResult
    package static func writeDigest(_ path: String) throws(BundleError) -> [UInt8] {
        let file = path + "/" + DriverBundle.manifestName
        guard let bytes = try BundleFile.read(file, maximum: ManifestParser.maximumBytes) else {
            throw BundleError(path: file, errno: ENOENT)
        }
        let manifest = try ManifestParser.parse(bytes, path: file)
        let digest: [UInt8]
        do {
            digest = try SealedExecutable(path: path + "/" + manifest.executable).withBytes { Digest.sha256($0) }
        } catch {
            throw BundleError(path: path, problem: "the executable can't be read: \(error)")
        }
        if manifest.executableDigest == digest { return bytes }
        let changed = insert(digest, into: bytes)
        guard try ManifestParser.parse(changed, path: file).executableDigest == digest else {
            throw BundleError(path: file, problem: "sha256 can't be written: executable has to stand on a line of its own")
        }
        try BundleFile.replace(file, changed)
        return changed
    }

    /// Signs the bundle at `path`, whose manifest gets the executable's digest first.
    package static func sign(_ path: String, by key: PrivateKey) throws(BundleError) {
        let manifest = try writeDigest(path)
        let text: String
        do {
            text = try Signature(of: manifest, by: key, namespace: DriverTrust.namespace).armoured
        } catch {
            throw BundleError(path: path, problem: "it can't be signed: \(error)")
        }
        try BundleFile.replace(path + "/" + DriverBundle.signatureName, Array(text.utf8))
    }

    /// Replaces the line `sha256:`, or puts it below `executable:`. Everything else stays as it is, comments too.
    private static func insert(_ digest: [UInt8], into manifest: [UInt8]) -> [UInt8] {
        let line = Array("sha256: \(Hexadecimal.text(digest))".utf8)
        var lines = manifest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
        if let index = lines.firstIndex(where: { $0.starts(with: "sha256:".utf8) }) {
            lines[index] = line
        } else if let index = lines.firstIndex(where: { $0.starts(with: "executable:".utf8) }) {
            lines.insert(line, at: index + 1)
        }
        return Array(lines.joined(separator: [UInt8(ascii: "\n")]))
    }
}
