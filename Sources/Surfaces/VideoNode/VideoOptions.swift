// The few options of `userdriver-video`, which is started by systemd and by itself.

import Glibc
import Spawn
public import USB
public import UserDriverClient

/// What the process was told.
public struct VideoOptions: Sendable {
    public enum Work: Sendable {
        /// Root's part.
        case attach
        /// What the attacher starts.
        case serve
        case help
    }

    /// Wrong usage, in a sentence.
    public struct Misuse: Error, CustomStringConvertible {
        public var description: String
    }

    public var work = Work.attach
    public var runtimeDirectory = RuntimeDirectory.system
    public var user = "userdriver-video"
    /// `nil`: as the pictures need it.
    public var speed: USBSpeed?

    public static let help = """
        USAGE: userdriver-video [--runtime-dir DIR] [--user NAME] [--speed SPEED]

        Shows each camera that the UserDriver daemon drives to the kernel as a virtual camera on the kernel's vhci_hcd, so that every
        program has it as /dev/videoN. It starts as root, because attaching needs that; the part of it that talks to others runs as
        NAME, without capabilities and in a sandbox. `userdriver video` says which cameras have a node, and how many.

        OPTIONS
          --runtime-dir DIR  the daemon's folder (/run/userdriver)
          --user NAME        the user that the serving part runs as (userdriver-video)
          --speed SPEED      high or super; auto (the default) chooses by the bandwidth of a camera's largest pictures
          -h, --help         show this help
        """

    /// What the attacher tells its server: there are no arguments within a sandbox, where Swift would read them from a file.
    static let serving = "USERDRIVER_VIDEO_SERVES"
    private static let servingSpeed = "USERDRIVER_VIDEO_SPEED"

    /// The environment of a server with these options.
    var environment: [String: String] {
        var variables = [Self.serving: runtimeDirectory.path]
        if let speed { variables[Self.servingSpeed] = speed >= .super ? "super" : "high" }
        return variables
    }

    public init(_ arguments: [String]) throws(Misuse) {
        if let folder = getenv(Self.serving) {
            work = .serve
            runtimeDirectory = RuntimeDirectory(String(cString: folder))
            if let text = getenv(Self.servingSpeed) { speed = String(cString: text) == "super" ? .super : .high }
            return
        }
        var rest = arguments[...]
        func value(_ name: String) throws(Misuse) -> String {
            guard let value = rest.popFirst(), !value.isEmpty else { throw Misuse(description: "\(name) needs a value.") }
            return value
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--runtime-dir": runtimeDirectory = RuntimeDirectory(try value(argument))
            case "--user": user = try value(argument)
            case "--speed":
                switch try value(argument) {
                case "auto": speed = nil
                case "high": speed = .high
                case "super": speed = .super
                default: throw Misuse(description: "--speed must be auto, high or super.")
                }
            case "-h", "--help": work = .help
            default: throw Misuse(description: "userdriver-video has no option \(argument). See userdriver-video --help.")
            }
        }
    }

    /// Throws `AttacherFailure` if this process can't be one.
    public func attacher() throws(AttacherFailure) -> Attacher {
        guard geteuid() == 0 else {
            throw AttacherFailure(description: "userdriver-video needs root to attach cameras: systemctl start userdriver-video.")
        }
        guard VirtualController().isPresent else {
            throw AttacherFailure(
                description: "This kernel has no vhci_hcd, so no camera can be shown as /dev/videoN: modprobe vhci_hcd. "
                    + "Without that module, programs can use cameras through `userdriver v4l2 -- PROGRAM`.")
        }
        guard let account = Account(named: user), account.user != 0 else {
            throw AttacherFailure(description: "The user \(user) to serve as does not exist, or is root.")
        }
        guard let path = realpath("/proc/self/exe", nil) else {
            throw AttacherFailure(description: "The program's own file can't be found: \(String(cString: strerror(errno))).")
        }
        defer { free(path) }
        return Attacher(
            Attacher.Options(environment: environment, account: account, program: String(cString: path)),
            log: VideoLog.write)
    }
}

/// Lines on standard error, where systemd's journal is.
public enum VideoLog {
    public static func write(_ text: String) {
        // One write, so that lines of several threads stay lines.
        let line = "userdriver-video: " + text.replacingControlCharacters + "\n"
        _ = line.withCString { Glibc.write(STDERR_FILENO, $0, strlen($0)) }
    }
}

extension String {
    /// A camera's name goes to a terminal, too.
    fileprivate var replacingControlCharacters: String {
        var text = ""
        for scalar in unicodeScalars { text.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? " " : scalar) }
        return text
    }
}
