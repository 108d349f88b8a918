// Files of bundles and of trust: read once and bounded, written whole.

import CLinux
import FileDescriptors
import FoundationEssentials
import Glibc

enum BundleFile {
    /// Up to `maximum` + 1 bytes of a regular file that is not a symbolic link: the caller sees
    /// that it is too long. `nil` when there is none.
    ///
    /// `isOwned`: only root and this process's user may be able to write to it.
    static func read(_ path: String, maximum: Int, isOwned: Bool = false) throws(BundleError) -> [UInt8]? {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) else {
            let number = errno
            if number == ENOENT { return nil }
            throw BundleError(path: path, errno: number)
        }
        var status = stat()
        guard fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw BundleError(path: path, problem: "it is not a regular file")
        }
        if isOwned, (status.st_uid != 0 && status.st_uid != geteuid()) || status.st_mode & (S_IWGRP | S_IWOTH) != 0 {
            throw BundleError(path: path, problem: "someone else could have written it: it must belong to root or to you, with chmod go-w")
        }
        var bytes = [UInt8](repeating: 0, count: maximum + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(file.number, $0.baseAddress! + count, $0.count - count) }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw BundleError(path: path, errno: errno) }
            if got == 0 { break }
            count += got
        }
        return Array(bytes[..<count])
    }

    static func create(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(BundleError) {
        try bytes.withUnsafeBytes { buffer -> Result<Void, BundleError> in
            do throws(BundleError) { return .success(try create(path, buffer, mode: mode)) } catch { return .failure(error) }
        }.get()
    }

    /// A new file with these bytes, on the disk when this returns.
    static func create(_ path: String, _ bytes: UnsafeRawBufferPointer, mode: mode_t) throws(BundleError) {
        let opened = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard let file = OwnedDescriptor(opened: opened) else { throw BundleError(path: path, errno: errno) }
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(file.number, bytes.baseAddress! + written, bytes.count - written)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw BundleError(path: path, errno: errno) }
            written += count
        }
        // Whatever the umask is: a driver is read by the daemon's user.
        guard fchmod(file.number, mode) == 0, fsync(file.number) == 0 else { throw BundleError(path: path, errno: errno) }
    }

    /// Written beside, then renamed: whoever reads finds the old file or the new one, whole.
    static func replace(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws(BundleError) {
        let temporary = "\(path).new-\(getpid())"
        do throws(BundleError) {
            try create(temporary, bytes, mode: mode)
            guard rename(temporary, path) == 0 else { throw BundleError(path: path, errno: errno) }
        } catch {
            unlink(temporary)
            throw error
        }
        try sync(folder: parent(path))
    }

    static func makeFolder(_ path: String) throws(BundleError) {
        var made = ""
        for part in path.split(separator: "/") {
            made += (made.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
            if mkdir(made, 0o755) == 0 {
                // Whatever the umask is: the daemon's user reads what lies in it.
                guard chmod(made, 0o755) == 0 else { throw BundleError(path: made, errno: errno) }
            } else if errno != EEXIST {
                throw BundleError(path: made, errno: errno)
            }
        }
    }

    /// A rename is on the disk when its folder is.
    static func sync(folder: String) throws(BundleError) {
        let opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard let directory = OwnedDescriptor(opened: opened) else { throw BundleError(path: folder, errno: errno) }
        guard fsync(directory.number) == 0 else { throw BundleError(path: folder, errno: errno) }
    }

    static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// A folder and all that is in it; nothing where there is none.
    static func remove(_ path: String) throws(BundleError) {
        guard exists(path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw BundleError(path: path, problem: "it can't be removed: \(error)")
        }
    }

    static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
}
