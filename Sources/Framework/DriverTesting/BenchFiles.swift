// Files of a bench: read, copied, removed. Without Foundation, so that a test of a driver's links
// as quickly as it can.

import FileDescriptors
import Glibc

enum BenchFiles {
    /// The bytes of a file.
    static func read(_ path: String) throws -> [UInt8] {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else { throw failure("read", path) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = Glibc.read(file.number, &buffer, buffer.count)
            if count == 0 { return bytes }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("read", path) }
            bytes += buffer[..<count]
        }
    }

    static func text(_ path: String) throws -> String { String(decoding: try read(path), as: UTF8.self) }

    /// Copies a file; `mode` is the copy's.
    static func copy(_ path: String, to target: String, mode: UInt32 = 0o644) throws {
        var rest = try read(path)[...]
        guard let file = OwnedDescriptor(opened: open(target, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode)) else {
            throw failure("write", target)
        }
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file.number, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { throw failure("write", target) }
            rest = rest.dropFirst(max(0, count))
        }
    }

    static func makeFolder(_ path: String) throws {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw failure("make", path) }
    }

    /// Names in a folder; none where it can't be read.
    static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// A folder with all that is in it. Links are not followed. What can't be removed stays.
    static func removeTree(_ path: String) {
        guard unlink(path) != 0, errno == EISDIR else { return }
        for name in names(in: path) { removeTree(path + "/" + name) }
        rmdir(path)
    }

    static func failure(_ verb: String, _ path: String) -> DriverBenchFailure {
        DriverBenchFailure("Can't \(verb) \(path): \(String(cString: strerror(errno))).")
    }
}
