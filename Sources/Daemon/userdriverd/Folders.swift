// Where the daemon keeps things when it isn't told.

import Glibc

/// Something that keeps the daemon from starting, for a person.
struct StartError: Error, CustomStringConvertible {
    var description: String
}

enum Folders {
    static let systemRuntime = "/run/userdriver"
    static let systemState = "/var/lib/userdriver"
    static let systemPort = "/usr/lib/userdriver/usbip-proxy"
    static let systemPolicy = "/etc/userdriver/userdriver.yaml"

    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// From the root: what a relative path means must not change when somebody else resolves it.
    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return path }
        defer { free(folder) }
        return String(cString: folder) + "/" + path
    }

    /// The option, `USERDRIVER_RUNTIME_DIR`, the system's folder for root, else one of the user's own.
    static func runtime(_ option: String?) -> String {
        if let option = option ?? variable("USERDRIVER_RUNTIME_DIR") { return absolute(option) }
        if geteuid() == 0 { return systemRuntime }
        if let folder = variable("XDG_RUNTIME_DIR"), folder.hasPrefix("/") { return folder + "/userdriver" }
        return "/tmp/userdriver-\(geteuid())"
    }

    /// The option, systemd's `STATE_DIRECTORY`, the system's folder for the system's daemon, else one in the runtime folder.
    static func state(_ option: String?, runtime: String) -> String {
        if let option = option ?? variable("STATE_DIRECTORY") { return absolute(option) }
        return runtime == systemRuntime ? systemState : runtime + "/state"
    }

    /// The folder of this executable.
    private static var own: String? {
        guard let path = realpath("/proc/self/exe", nil) else { return nil }
        let executable = String(cString: path)
        free(path)
        return executable.lastIndex(of: "/").map { String(executable[..<$0]) }
    }

    /// `usbip-proxy`, beside the executable (a build folder) or the system's.
    static var portExecutable: String {
        if let own, access(own + "/usbip-proxy", X_OK) == 0 { return own + "/usbip-proxy" }
        return systemPort
    }

    /// Makes a folder for its owner, or checks that the one which is there is the owner's and nobody else's to write to.
    static func make(_ path: String) throws(StartError) {
        if mkdir(path, 0o700) == 0 { return }
        let number = errno
        guard number == EEXIST else {
            throw StartError(description: "The folder \(path) can't be created: \(String(cString: strerror(number))).")
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw StartError(description: "\(path) is not a folder.")
        }
        guard status.st_uid == geteuid() else {
            throw StartError(description: "The folder \(path) belongs to another user (\(status.st_uid)).")
        }
        guard status.st_mode & S_IWOTH == 0 else {
            throw StartError(description: "Everyone can write to the folder \(path): choose another one, or chmod o-w it.")
        }
    }
}
