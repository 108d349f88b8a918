// The machine's own files (sysfs, the device nodes, udev's rules), below a folder that a test may choose.

import FileDescriptors
import Glibc

/// Reads small files and looks at nodes. Whatever isn't there or can't be read is `nil`: a fact that is not known.
public struct SystemRoot: Sendable {
    /// The machine itself.
    public static let machine = SystemRoot("")
    private let prefix: String

    /// - Parameter prefix: stands before each path; empty for the machine itself.
    public init(_ prefix: String) { self.prefix = prefix }

    struct Node: Hashable {
        var mode: UInt32
        var user: UInt32
        var group: UInt32
    }

    /// A file's text without the spaces and line ends around it; 64 KiB at most.
    func text(_ path: String) -> String? {
        guard let bytes = bytes(path) else { return nil }
        var text = Substring(decoding: bytes, as: UTF8.self)
        while text.last?.isWhitespace == true { text.removeLast() }
        while text.first?.isWhitespace == true { text.removeFirst() }
        return String(text)
    }

    func number(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

    func bytes(_ path: String) -> [UInt8]? {
        guard let file = OwnedDescriptor(opened: open(prefix + path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { read(file.number, $0.baseAddress! + count, $0.count - count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { return nil }
            if got == 0 { break }
            count += got
        }
        return Array(bytes[..<count])
    }

    func exists(_ path: String) -> Bool { access(prefix + path, F_OK) == 0 }

    func node(_ path: String) -> Node? {
        var status = stat()
        guard stat(prefix + path, &status) == 0 else { return nil }
        return Node(mode: status.st_mode & 0o7777, user: status.st_uid, group: status.st_gid)
    }

    /// Why this process can't open it for reading and writing; `nil` if it can.
    func accessProblem(_ path: String) -> String? {
        faccessat(AT_FDCWD, prefix + path, R_OK | W_OK, AT_EACCESS) == 0 ? nil : String(cString: strerror(errno))
    }

    /// The last part of what a symbolic link points to: how sysfs names a driver.
    func linkName(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(prefix + path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        let target = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return target.split(separator: "/").last.map(String.init)
    }

    /// The path without symbolic links.
    func resolved(_ path: String) -> String? {
        guard let real = realpath(prefix + path, nil), let top = realpath(prefix.isEmpty ? "/" : prefix, nil) else { return nil }
        defer {
            free(real)
            free(top)
        }
        let (whole, root) = (String(cString: real), String(cString: top))
        return root == "/" ? whole : whole.hasPrefix(root) ? String(whole.dropFirst(root.count)) : nil
    }

    /// Sorted; without `.` and `..`. Empty if there is no such folder.
    func names(in path: String) -> [String] {
        guard let listing = opendir(prefix + path) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
