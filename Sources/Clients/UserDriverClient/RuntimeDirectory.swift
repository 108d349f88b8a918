// Where a daemon and its clients meet: the one place that knows the rule.

import Glibc

/// The folder that holds a daemon's socket.
///
/// A daemon that a person runs lives in `$XDG_RUNTIME_DIR/userdriver`, or, without that variable, in `/tmp/userdriver-UID`; the system's own in
/// `/run/userdriver`. Clients look there in that order; `--runtime-dir` and `USERDRIVER_RUNTIME_DIR` say it outright.
public struct RuntimeDirectory: Hashable, Sendable, CustomStringConvertible {
    public let path: String

    public static let variable = "USERDRIVER_RUNTIME_DIR"
    public static let system = RuntimeDirectory("/run/userdriver")
    public static let socketName = "io.userdriver"

    /// A relative path starts at the current working directory, so that it means the same to every program it is passed to.
    public init(_ path: String) {
        var path = path.hasPrefix("/") ? path : Self.workingDirectory() + "/" + path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    private static func workingDirectory() -> String {
        guard let folder = getcwd(nil, 0) else { return "." }
        defer { free(folder) }
        let path = String(cString: folder)
        return path == "/" ? "" : path
    }

    public var socketPath: String { path + "/" + Self.socketName }
    public var description: String { path }

    /// The environment variables that the rule looks at.
    public static func processEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        for name in [variable, "XDG_RUNTIME_DIR"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        return variables
    }

    /// The user whose daemon it is.
    public static func currentUser() -> UInt32 { geteuid() }

    /// What is said outright: the option before the variable.
    static func explicit(_ option: String?, _ environment: [String: String]) -> RuntimeDirectory? {
        if let option, !option.isEmpty { return RuntimeDirectory(option) }
        if let value = environment[variable], !value.isEmpty { return RuntimeDirectory(value) }
        return nil
    }

    /// The folder of a daemon that this user runs themselves.
    public static func own(
        option: String? = nil, environment: [String: String] = processEnvironment(), user: UInt32 = currentUser()
    ) -> RuntimeDirectory {
        if let explicit = explicit(option, environment) { return explicit }
        if let folder = environment["XDG_RUNTIME_DIR"], folder.hasPrefix("/") { return RuntimeDirectory(folder + "/userdriver") }
        return RuntimeDirectory("/tmp/userdriver-\(user)")
    }

    /// Where a client looks, in this order, when it isn't told.
    public static func candidates(
        environment: [String: String] = processEnvironment(), user: UInt32 = currentUser()
    ) -> [RuntimeDirectory] {
        var found: [RuntimeDirectory] = []
        for folder in [own(environment: environment.filter { $0.key != variable }, user: user), own(environment: [:], user: user), system]
        where !found.contains(folder) {
            found.append(folder)
        }
        return found
    }

    /// The folder of the daemon that a client should talk to: what it was told, else the first candidate that holds a socket, else the first
    /// candidate (where its daemon would be if it ran).
    public static func client(
        option: String? = nil, environment: [String: String] = processEnvironment(), user: UInt32 = currentUser()
    ) -> RuntimeDirectory {
        if let explicit = explicit(option, environment) { return explicit }
        let candidates = candidates(environment: environment, user: user)
        return candidates.first { $0.holdsSocket(trusting: user) } ?? candidates[0]
    }

    /// Whether a socket lies in the folder, and the folder is one that nobody else could have put there.
    private func holdsSocket(trusting user: UInt32) -> Bool {
        var folder = stat()
        guard lstat(path, &folder) == 0, folder.st_mode & S_IFMT == S_IFDIR else { return false }
        // Only root makes something in /run, whoever it then gives it to: the system's daemon has an account of its own.
        guard self == .system || folder.st_uid == user || folder.st_uid == 0 else { return false }
        var socket = stat()
        return lstat(socketPath, &socket) == 0 && socket.st_mode & S_IFMT == S_IFSOCK
    }

    /// Creates the folder, for its owner only, or checks that the existing one belongs to this user and that nobody else may write to it.
    /// An existing folder is never changed: it may be anything.
    public func create() throws(ClientError) {
        guard socketPath.utf8.count < 108 else {
            throw ClientError(
                .invalidParameter,
                "The path of the runtime folder \(path) is too long for a socket (92 bytes at most). Choose another one with --runtime-dir."
            )
        }
        if mkdir(path, 0o700) == 0 { return }
        let number = errno
        if number == ENOENT {
            throw ClientError(
                .failed, "The runtime folder \(path) can't be created: its parent folder does not exist.", systemError: number)
        }
        guard number == EEXIST else {
            throw .system("Creating the runtime folder \(path)", number, code: [EACCES, EPERM].contains(number) ? .notPermitted : .failed)
        }
        var folder = stat()
        guard lstat(path, &folder) == 0 else { throw .system("Checking the runtime folder \(path)", errno) }
        if let problem = Self.problem(of: folder) {
            throw ClientError(.notPermitted, "\(path) can't be the runtime folder: \(problem) Choose another one with --runtime-dir.")
        }
    }

    /// Why a folder is not for this user alone to write to.
    private static func problem(of folder: stat) -> String? {
        if folder.st_mode & S_IFMT == S_IFLNK { return "it is a symbolic link, which others could redirect." }
        if folder.st_mode & S_IFMT != S_IFDIR { return "it is not a folder." }
        if folder.st_uid != geteuid() { return "it belongs to another user (\(folder.st_uid))." }
        return folder.st_mode & 0o022 == 0 ? nil : "others can write to it."
    }
}
