// `userdriver-escl`: each scanner as an eSCL scanner on this machine's loopback.

import ArgumentParser
import ESCLEndpoint
import Glibc
import UserDriverClient

@main
struct EndpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "userdriver-escl",
        abstract: "Serve scanners to SANE and printers to CUPS, over eSCL and IPP.",
        discussion: """
            Each scanner or printer that the daemon drives gets an address of its own on 127.0.0.1, which stays the same. A line \
            is printed for each: its URL, the device's id, its name. `userdriver status` shows the address too. Where Avahi runs, \
            they are announced by DNS-SD, on this machine only, and CUPS and SANE's backend airscan find them by themselves. \
            Without Avahi, name a scanner to airscan in /etc/sane.d/airscan.conf:

              [devices]
              "Scanner" = http://127.0.0.1:8740/eSCL/, eSCL

            Only users who may talk to the daemon are served: root, the user that this program runs as, and members of the group \
            of the daemon's socket. A scan's pages are only for the user who began it.

            Example:
              userdriver-escl
              userdriver-escl --port 9500 --state-file /var/lib/userdriver-escl/state.json
            """)

    @Option(
        name: .customLong("runtime-dir"),
        help: ArgumentHelp("The folder of the daemon. Left out: the one that `userdriver` chooses.", valueName: "folder"),
        completion: .directory)
    var runtimeDirectory: String?

    @Option(help: ArgumentHelp("The first of the 64 ports that scanners are given, each by its id.", valueName: "port"))
    var port: UInt16 = 8740

    @Option(
        help: ArgumentHelp(
            "Where ports and unfinished scans are kept. Left out: escl-state.json in the daemon's folder.", valueName: "file"),
        completion: .file())
    var stateFile: String?

    @Option(
        name: .customLong("socket-dir"),
        help: ArgumentHelp("A folder where each scanner also gets a UNIX socket, named after its port: 8742.sock.", valueName: "folder"),
        completion: .directory)
    var socketDirectory: String?

    @Flag(name: .customLong("no-dns-sd"), help: "Don't announce scanners.")
    var isSilent = false

    func validate() throws {
        guard port >= 1024, port <= 65_535 - 64 else { throw ValidationError("--port must be from 1024 to 65471.") }
        if let socketDirectory, access(socketDirectory, W_OK) != 0 {
            throw ValidationError("--socket-dir \(socketDirectory): \(String(cString: strerror(errno))).")
        }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        let client = UserDriverClient(runtimeDirectory: runtimeDirectory.map { RuntimeDirectory($0) })
        let log: @Sendable (String) -> Void = { Self.write("userdriver-escl: \($0)", to: STDERR_FILENO) }
        let keeper = EndpointKeeper(
            client: client, stateFile: stateFile ?? client.runtimeDirectory.path + "/escl-state.json", basePort: port,
            socketFolder: socketDirectory, announcer: isSilent ? nil : Self.announcer(log), log: log,
            announce: { Self.write($0, to: STDOUT_FILENO) })
        Task { await keeper.run() }
        // Signals end the process; its sockets go with it, and what is kept is kept by the daemon.
        while true { pause() }
    }

    /// `userdriver-announce` lies beside this program where it was built, in `lib/userdriver` where it is
    /// installed. `nil` if it is not: it needs Avahi's library, which not every machine has.
    private static func announcer(_ log: @escaping @Sendable (String) -> Void) -> Announcer? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        let installed = (folder.hasSuffix("/bin") ? String(folder.dropLast(4)) : "/usr") + "/lib/userdriver"
        let programs = [folder, installed].map { $0 + "/userdriver-announce" }
        guard let program = programs.first(where: { access($0, X_OK) == 0 }) else {
            log(
                "Scanners are not announced by DNS-SD: there is no \(programs[1]), which `make install-escl` builds if libavahi-client is installed."
            )
            return nil
        }
        var environment: [String: String] = [:]
        if let bus = getenv("DBUS_SYSTEM_BUS_ADDRESS") { environment["DBUS_SYSTEM_BUS_ADDRESS"] = String(cString: bus) }
        return Announcer(program: program, environment: environment, log: log)
    }

    /// One write, so that lines of several threads stay lines. Scanners call themselves what they like.
    private static func write(_ text: String, to descriptor: Int32) {
        var line = ""
        for scalar in text.unicodeScalars { line.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? " " : scalar) }
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}
