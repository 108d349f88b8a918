// A program of somebody else's that is to be executed: in this one's place, or beside it.

import FileDescriptors
import Glibc
import Spawn

struct ExecutableFile {
    let path: String

    /// Looks for it as a shell does.
    init(_ name: String) throws(CommandFailure) {
        var candidates = [name]
        if !name.contains("/") {
            let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
            candidates = folders.split(separator: ":", omittingEmptySubsequences: false).map { ($0.isEmpty ? "." : $0) + "/" + name }
        }
        var isThere = false
        for candidate in candidates {
            var status = stat()
            guard stat(candidate, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else { continue }
            isThere = true
            guard access(candidate, X_OK) == 0 else { continue }
            path = candidate
            return
        }
        throw isThere
            ? CommandFailure("\(PlainText.escaped(name)) is not executable.", status: ExitStatus.notPermitted)
            : CommandFailure("There is no program \(PlainText.escaped(name))" + (name.contains("/") ? "." : " in the folders of $PATH."))
    }

    /// Why no library is loaded into it, in a sentence; `nil` if one is.
    var reasonNotToLoad: String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let changesUser = status.st_mode & S_ISUID != 0 && status.st_uid != geteuid()
        let changesGroup = status.st_mode & S_ISGID != 0 && status.st_gid != getegid()
        if changesUser || changesGroup { return "\(PlainText.escaped(path)) runs as another user, so it won't see the cameras." }
        guard Self.isStatic(path) else { return nil }
        return "\(PlainText.escaped(path)) is statically linked, so it won't see the cameras."
    }

    /// An ELF file of 64 bits that asks for no interpreter (PT_INTERP): nothing is ever loaded into
    /// it.
    private static func isStatic(_ path: String) -> Bool {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else { return false }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = pread(file.number, &bytes, bytes.count, 0)
        guard count >= 64, bytes[0..<5] == [0x7f, 0x45, 0x4c, 0x46, 2] else { return false }
        func number(_ offset: Int, _ size: Int) -> UInt64 {
            (0..<size).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
        }
        let (table, entry, entries) = (number(32, 8), Int(number(54, 2)), Int(number(56, 2)))
        guard table >= 64, table <= UInt64(count), entry >= 56, Int(table) + entry * entries <= count else { return false }
        return !(0..<entries).contains { number(Int(table) + $0 * entry, 4) == 3 }
    }

    /// Runs it beside this one, in a session of its own, with this one's standard error. By a shell:
    /// what is executed from a descriptor can't be a script.
    func start(_ arguments: [String], input: Int32? = nil, deathSignal: Int32? = nil) throws(CommandFailure) -> ChildProcess {
        guard let shell = OwnedDescriptor(opened: open("/bin/sh", O_RDONLY | O_CLOEXEC)) else {
            throw CommandFailure("/bin/sh can't be executed: \(String(cString: strerror(errno))).")
        }
        do {
            return try ChildProcess(
                executing: shell.number,
                .init(
                    arguments: ["sh", "-c", #"exec "$0" "$@""#, path] + arguments, environment: ProcessEnvironment.all,
                    descriptors: [input, nil, STDERR_FILENO], deathSignal: deathSignal, newSession: true))
        } catch {
            throw CommandFailure("\(PlainText.escaped(path)) can't be executed: \(error).")
        }
    }

    /// Returns only where it can't be executed.
    func execute(_ arguments: [String]) -> CommandFailure {
        var words = arguments.map { strdup($0) } + [nil]
        execv(path, &words)
        let number = errno
        words.forEach { free($0) }
        return CommandFailure(
            "\(PlainText.escaped(path)) can't be executed: \(String(cString: strerror(number))).",
            status: [EACCES, EPERM].contains(number) ? ExitStatus.notPermitted : ExitStatus.failed)
    }
}
