// A driver on disk: a folder NAME.driver with its manifest, the manifest's signature and the executable.

import CLinux
import Glibc
package import Spawn
import Synchronization
import Trust
package import Wire

/// A driver that is installed, and that may run.
///
/// What runs is what was verified: the manifest is read once and its signature checked over those bytes; the executable is read into sealed memory,
/// its SHA-256 compared with the manifest's there, and executed from there.
package final class DriverBundle: Sendable {
    package static let suffix = ".driver"
    package static let manifestName = "driver.yaml"
    package static let signatureName = "driver.yaml.sig"
    private static let maximumSignatureBytes = 64 << 10

    /// What it is made of: two bundles with the same contents are the same driver.
    package struct Contents: Hashable, Sendable {
        package var manifest: [UInt8]
        package var executable: [UInt8]
        /// In the manifest's order.
        package var interfaces: [[UInt8]] = []
    }

    /// The folder's path.
    package let path: String
    package let manifest: DriverManifest
    package let verdict: Verdict
    /// Their SHA-256.
    package let contents: Contents
    /// What the driver answers, in the manifest's order.
    package let interfaces: [VarlinkInterface]
    let manifestBytes: [UInt8]
    let signatureBytes: [UInt8]?

    private struct Sealed {
        var identity: FileIdentity
        var executable: SealedExecutable
    }
    /// Tells whether a file is still the one that was read.
    private struct FileIdentity: Hashable {
        var device: UInt
        var inode: UInt
        var size: Int
        var seconds: Int
        var nanoseconds: Int
    }
    private let sealed = Mutex<Sealed?>(nil)
    private let isFrozen = Atomic(false)

    /// Reads and verifies the bundle in the folder at `path`. Blocks while it reads.
    /// - Parameter known: executables that were read before, by their SHA-256: one that the manifest names is not read again.
    package init(path: String, trust: DriverTrust, sealed known: [[UInt8]: SealedExecutable] = [:]) throws(BundleError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw BundleError(path: path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw BundleError(path: path, problem: status.st_mode & S_IFMT == S_IFLNK ? "it is a symbolic link" : "it is not a folder")
        }
        let manifestPath = path + "/" + Self.manifestName
        guard let bytes = try BundleFile.read(manifestPath, maximum: ManifestParser.maximumBytes) else {
            throw BundleError(path: manifestPath, errno: ENOENT)
        }
        let manifest = try ManifestParser.parse(bytes, path: manifestPath)
        let signature = try BundleFile.read(path + "/" + Self.signatureName, maximum: Self.maximumSignatureBytes)
        do throws(BundleError) {
            try Self.checkName(path, manifest)
            do throws(TrustError) {
                verdict = try trust.verdict(of: bytes, signature: signature)
            } catch {
                var failure = BundleError(path: path, problem: error.description)
                failure.isUntrusted = true
                throw failure
            }
            if case .signed = verdict, manifest.executableDigest == nil {
                throw BundleError(
                    path: path,
                    problem: "its manifest does not give the executable's sha256, so its signature does not cover the executable")
            }
            let definitions = try InterfaceFile.read(in: path, manifest, isSigned: verdict != .unsigned)
            interfaces = definitions.map(\.interface)
            let digest: [UInt8]
            if let expected = manifest.executableDigest, verdict != .unsigned, let executable = known[expected] {
                let identity = try Self.check(path + "/" + manifest.executable)
                sealed.withLock { $0 = Sealed(identity: identity, executable: executable) }
                digest = expected
            } else {
                digest = try Self.seal(path + "/" + manifest.executable, manifest).digest
            }
            contents = Contents(
                manifest: Digest.sha256(bytes), executable: digest, interfaces: definitions.map(\.digest))
        } catch {
            var failure = BundleError(path: error.path, problem: error.problem, manifest: manifest)
            failure.isUntrusted = error.isUntrusted
            throw failure
        }
        self.path = path
        self.manifest = manifest
        manifestBytes = bytes
        signatureBytes = signature
    }

    /// `"io.userdriver.webcam 0.1.0"`
    package var title: String { "\(manifest.id) \(manifest.version)" }

    package func interface(_ name: String) -> VarlinkInterface? { interfaces.first { $0.name == name } }

    package var executablePath: String { path + "/" + manifest.executable }

    /// From here on the bytes that ran are what it is, whatever becomes of its folder: another version takes its place there.
    package func freeze() { isFrozen.store(true, ordering: .relaxed) }

    /// The executable's bytes, sealed. Those of a signed driver are kept, whatever becomes of the file; those of an unsigned one are read again
    /// when the file is another one than before. Blocks while it reads.
    package func executable() throws(BundleError) -> SealedExecutable {
        let kept = sealed.withLock { $0 }
        if let kept, verdict != .unsigned || isFrozen.load(ordering: .relaxed) { return kept.executable }
        let identity = try Self.check(executablePath)
        if let kept, kept.identity == identity { return kept.executable }
        let executable = try Self.seal(executablePath, manifest).executable
        return sealed.withLock { sealed in
            // Somebody else was quicker: what runs already counts.
            if let kept = sealed, kept.identity == identity { return kept.executable }
            sealed = Sealed(identity: identity, executable: executable)
            return executable
        }
    }

    /// `NAME.driver` holds the driver `NAME`, or `….NAME`: what a person reads in a listing is what it is.
    private static func checkName(_ path: String, _ manifest: DriverManifest) throws(BundleError) {
        let folder = BundleFile.name(path)
        guard folder.hasSuffix(suffix) else { throw BundleError(path: path, problem: "a driver's folder must be called NAME\(suffix)") }
        let name = folder.dropLast(suffix.count)
        guard !name.isEmpty, manifest.id == name || manifest.id.hasSuffix("." + name) else {
            throw BundleError(
                path: path, problem: "it has the wrong name: \(manifest.id) belongs in \(manifest.name)\(suffix), not in \(folder)")
        }
    }

    private static func seal(
        _ path: String, _ manifest: DriverManifest
    ) throws(BundleError) -> (executable: SealedExecutable, digest: [UInt8]) {
        try check(path)
        let executable: SealedExecutable
        let digest: [UInt8]
        do throws(SpawnError) {
            executable = try SealedExecutable(path: path)
            digest = try executable.withBytes { Digest.sha256($0) }
        } catch {
            var failure = BundleError(path: path, problem: "\(error)")
            failure.systemError = error.errno
            throw failure
        }
        if let expected = manifest.executableDigest, expected != digest {
            throw BundleError(
                path: path,
                problem: "the executable is not the one that the manifest names: its SHA-256 begins with "
                    + "\(Hexadecimal.text(digest).prefix(12)), not with \(Hexadecimal.text(expected).prefix(12))")
        }
        return (executable, digest)
    }

    @discardableResult
    private static func check(_ path: String) throws(BundleError) -> FileIdentity {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw BundleError(path: path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw BundleError(path: path, problem: "the executable is not a regular file") }
        guard status.st_mode & S_IXUSR != 0 else { throw BundleError(path: path, problem: "the executable is not executable") }
        return FileIdentity(
            device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size), seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec)
    }
}
