// Signs a driver: the digests of its files go into the manifest, the manifest's signature beside
// it.

import Glibc
import Spawn
package import Trust

package enum BundleSigner {
    /// Writes the SHA-256 of the executable and of each interface's definition into the manifest of
    /// the bundle at `path`: from there on `ssh-keygen -Y sign` can sign it too. Returns the
    /// manifest's bytes.
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
        var text = ManifestText(bytes)
        if manifest.executableDigest != digest { text.setExecutableDigest(digest) }
        var wanted = manifest
        wanted.executableDigest = digest
        for (index, provided) in manifest.provides.enumerated() {
            let digest = Digest.sha256(try InterfaceFile.bytes(path + "/" + provided.file))
            if provided.digest != digest { text.setDigest(digest, of: provided.interface) }
            wanted.provides[index].digest = digest
        }
        let changed = text.bytes
        if changed == bytes { return bytes }
        guard try ManifestParser.parse(changed, path: file) == wanted else {
            throw BundleError(
                path: file, problem: "sha256 can't be written: executable, and interface in provides, must be on lines of their own")
        }
        // What could not be installed is not signed either.
        _ = try InterfaceFile.read(in: path, wanted, isSigned: true)
        try BundleFile.replace(file, changed)
        return changed
    }

    /// Signs the bundle at `path`, whose manifest gets the digests first.
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
}
