// An executable read once into sealed memory: what was looked at is what runs, whatever happens to the file.

import CLinux
public import FileDescriptors
import Glibc

/// The bytes of an executable in a memfd that nobody can change any more.
public final class SealedExecutable: Sendable {
    /// The memfd, closed on exec. It can be executed, and through this descriptor read and mapped, not written.
    public var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor
    public let byteCount: Int
    /// Where the bytes came from.
    public let path: String

    /// No driver is that large; a file that grows while it is read ends here.
    public static let maximumByteCount = 512 << 20

    /// Reads the file at `path`, which must be a regular file and no symbolic link. Blocks while it reads.
    /// - Parameter isExecutableByAll: also by a child that runs as another user.
    public init(path: String, isExecutableByAll: Bool = false) throws(SpawnError) {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) else {
            let number = errno
            throw SpawnError(errno: number, operation: "open(\(path))", detail: number == ELOOP ? "it is a symbolic link" : nil)
        }
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw SpawnError(errno: errno, operation: "fstat(\(path))") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw SpawnError(errno: EACCES, operation: "open(\(path))", detail: "it is not a regular file")
        }
        let name = String(path.utf8.split(separator: UInt8(ascii: "/")).last.map { String(Substring($0)) }?.prefix(200) ?? "executable")
        let made = clinux_memfd(name, 1)
        guard let memory = OwnedDescriptor(opened: made) else { throw SpawnError(errno: -made, operation: "memfd_create(\(name))") }
        byteCount = try Self.copy(file.number, to: memory.number, path: path)
        // To be executed and not read, not even by its owner: the kernel then lets no debugger near the process and dumps no core of it.
        // It asks for the right to read without capabilities, which a sandboxed child of root has given up by then.
        guard fchmod(memory.number, isExecutableByAll ? 0o111 : 0o100) == 0 else {
            throw SpawnError(errno: errno, operation: "fchmod(\(name))")
        }
        let sealed = clinux_seal_all_patiently(memory.number, 30)
        guard sealed == 0 else { throw SpawnError(errno: -sealed, operation: "fcntl(F_ADD_SEALS)") }
        self.memory = memory
        self.path = path
    }

    /// Takes over memory that an earlier process sealed; `nil` where anybody could still change it.
    public init?(adopting memory: consuming OwnedDescriptor, path: String) {
        var status = stat()
        let seals = clinux_seals(memory.number)
        let wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
        guard fstat(memory.number, &status) == 0, seals >= 0, seals & wanted == wanted, 0...Self.maximumByteCount ~= Int(status.st_size)
        else { return nil }
        byteCount = Int(status.st_size)
        self.memory = memory
        self.path = path
    }

    private static func copy(_ file: Int32, to memory: Int32, path: String) throws(SpawnError) -> Int {
        var total = 0
        while true {
            // sendfile moves at most 2 GiB a call and less when it likes.
            let moved = sendfile(memory, file, nil, 1 << 30)
            if moved < 0 && errno == EINTR { continue }
            guard moved >= 0 else { throw SpawnError(errno: errno, operation: "sendfile(\(path))") }
            if moved == 0 { return total }
            total += moved
            guard total <= maximumByteCount else {
                throw SpawnError(errno: EFBIG, operation: "sendfile(\(path))", detail: "an executable is at most \(maximumByteCount) bytes")
            }
        }
    }
}
