// A driver on disk: a folder NAME.driver with its manifest and its executable.

import CLinux
import Glibc
import Spawn
import Synchronization

/// How far a bundle is trusted.
enum Verdict: Hashable, Sendable {
    /// Nobody has vouched for it.
    case unsigned

    /// In a word, for `doctor`.
    var text: String {
        switch self {
        case .unsigned: "unsigned"
        }
    }

    /// What status says of a device that is driven without this protection.
    var warnings: [String] {
        switch self {
        case .unsigned: ["unsigned"]
        }
    }
}

/// Decides how far a bundle is trusted. Signatures are checked here, before anything of the bundle runs.
enum Verification {
    static func verdict(of manifest: [UInt8], folder: String) -> Verdict { .unsigned }
}

/// A driver that is installed.
final class DriverBundle: Sendable {
    static let suffix = ".driver"
    static let manifestName = "driver.yaml"

    /// The folder's path.
    let path: String
    let manifest: DriverManifest
    let verdict: Verdict

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

    /// Reads the bundle in the folder at `path`. Blocks while it reads.
    init(path: String) throws(BundleError) {
        let manifestPath = path + "/" + Self.manifestName
        let bytes = try Self.read(manifestPath)
        manifest = try ManifestParser.parse(bytes, path: manifestPath)
        verdict = Verification.verdict(of: bytes, folder: path)
        self.path = path
        try check(executablePath)
    }

    var executablePath: String { path + "/" + manifest.executable }

    /// The executable's bytes, sealed. They are read again only when the file is another one than before. Blocks while it reads.
    func executable() throws -> SealedExecutable {
        let identity = try check(executablePath)
        return try sealed.withLock { sealed in
            if let kept = sealed, kept.identity == identity { return kept.executable }
            let executable = try SealedExecutable(path: executablePath)
            sealed = Sealed(identity: identity, executable: executable)
            return executable
        }
    }

    @discardableResult
    private func check(_ path: String) throws(BundleError) -> FileIdentity {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw BundleError(path: path, problem: String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw BundleError(path: path, problem: "the executable is no regular file") }
        guard status.st_mode & S_IXUSR != 0 else { throw BundleError(path: path, problem: "the executable is not executable") }
        return FileIdentity(
            device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size), seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec)
    }

    private static func read(_ path: String) throws(BundleError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            throw BundleError(path: path, problem: errno == ELOOP ? "it is a symbolic link" : String(cString: strerror(errno)))
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw BundleError(path: path, problem: "it is no regular file")
        }
        var bytes = [UInt8](repeating: 0, count: ManifestParser.maximumBytes + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + count, $0.count - count) }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw BundleError(path: path, problem: String(cString: strerror(errno))) }
            if got == 0 { break }
            count += got
        }
        return Array(bytes[..<count])
    }
}

/// The drivers that are installed.
struct DriverCatalog: Sendable {
    static let maximumBundles = 256
    private(set) var bundles: [DriverBundle] = []
    /// Bundles that can't be used, and why.
    private(set) var problems: [BundleError] = []

    init(bundles: [DriverBundle] = []) { self.bundles = bundles }

    /// Reads every `NAME.driver` in the folders; a folder that is itself one is taken as such. Of two with the same id the first counts.
    init(folders: [String]) {
        for folder in folders {
            for path in Self.bundlePaths(in: folder, problems: &problems) {
                guard bundles.count < Self.maximumBundles else {
                    problems.append(BundleError(path: path, problem: "more than \(Self.maximumBundles) drivers"))
                    return
                }
                do throws(BundleError) {
                    let bundle = try DriverBundle(path: path)
                    if let other = bundles.first(where: { $0.manifest.id == bundle.manifest.id }) {
                        if other.path != path {
                            problems.append(BundleError(path: path, problem: "\(other.path) has the same id, \(bundle.manifest.id)"))
                        }
                    } else {
                        bundles.append(bundle)
                    }
                } catch {
                    problems.append(error)
                }
            }
        }
    }

    /// The driver that suits a device best; of equals the one whose id comes first.
    func driver(for device: MatchSubject) -> DriverBundle? {
        var best: (bundle: DriverBundle, suitability: Int)?
        for bundle in bundles.sorted(by: { $0.manifest.id < $1.manifest.id }) {
            guard let suitability = bundle.manifest.suitability(for: device) else { continue }
            if suitability > best?.suitability ?? -1 { best = (bundle, suitability) }
        }
        return best?.bundle
    }

    private static func bundlePaths(in folder: String, problems: inout [BundleError]) -> [String] {
        if folder.hasSuffix(DriverBundle.suffix) { return [folder] }
        guard let listing = opendir(folder) else {
            problems.append(BundleError(path: folder, problem: String(cString: strerror(errno))))
            return []
        }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasSuffix(DriverBundle.suffix), !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted().map { folder + "/" + $0 }
    }
}
