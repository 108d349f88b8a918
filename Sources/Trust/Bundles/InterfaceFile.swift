// The definitions of interfaces that lie in a bundle: read once, bounded, compared with the
// manifest's digests.

import CLinux
import Glibc
import Trust
import Wire

enum InterfaceFile {
    struct Definition {
        var interface: VarlinkInterface
        var digest: [UInt8]
    }

    /// The definitions of all interfaces that the manifest provides.
    /// - Parameter isSigned: each has to have its digest in the manifest, or the signature would
    ///   not cover it.
    static func read(in folder: String, _ manifest: DriverManifest, isSigned: Bool) throws(BundleError) -> [Definition] {
        var result: [Definition] = []
        for provided in manifest.provides {
            let file = folder + "/" + provided.file
            if isSigned, provided.digest == nil {
                throw BundleError(
                    path: folder, problem: "its manifest does not give the sha256 of \(provided.file), so its signature does not cover it")
            }
            let bytes = try bytes(file)
            let digest = Digest.sha256(bytes)
            if let expected = provided.digest, expected != digest {
                throw BundleError(
                    path: file,
                    problem: "the definition is not the one that the manifest names: its SHA-256 begins with "
                        + "\(Hexadecimal.text(digest).prefix(12)), not with \(Hexadecimal.text(expected).prefix(12))")
            }
            let interface: VarlinkInterface
            do throws(VarlinkSyntaxError) {
                interface = try VarlinkInterface(parsing: bytes)
            } catch {
                throw BundleError(path: file, problem: "\(error)")
            }
            guard interface.name == provided.interface else {
                throw BundleError(path: file, problem: "it defines \(interface.name), not \(provided.interface)")
            }
            for method in provided.methods.keys.sorted() where interface.method(method) == nil {
                throw BundleError(path: file, problem: "it has no method \(method.prefix(40)), which the manifest mentions")
            }
            result.append(Definition(interface: interface, digest: digest))
        }
        return result
    }

    static func bytes(_ file: String) throws(BundleError) -> [UInt8] {
        var status = stat()
        let folder = BundleFile.parent(file)
        guard lstat(folder, &status) == 0 else { throw BundleError(path: folder, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw BundleError(path: folder, problem: "it is not a folder") }
        guard let bytes = try BundleFile.read(file, maximum: VarlinkInterface.maximumBytes) else {
            throw BundleError(path: file, errno: ENOENT)
        }
        guard bytes.count <= VarlinkInterface.maximumBytes else {
            throw BundleError(path: file, problem: "it has more than \(VarlinkInterface.maximumBytes) bytes")
        }
        return bytes
    }
}
