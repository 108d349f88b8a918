// Fuzzes the daemon's socket: the real userdriverd, started for it, which has to answer everybody else meanwhile.

import CLinux
import Glibc
import Spawn
import Wire

/// What a client sends on one connection: the first byte says where it is split. Every so often a well-behaved client asks for the status.
enum DaemonFuzz: FuzzTarget {
    static let name = "daemon"
    static let seeds: [[UInt8]] = [
        [3] + Array(#"{"method":"io.userdriver.Status"}"#.utf8) + [0],
        [40] + Array(#"{"method":"io.userdriver.Status","parameters":{"device":"1-1"}}"#.utf8) + [0],
        [9] + Array(#"{"method":"io.userdriver.Events","more":true}"#.utf8) + [0],
        [9] + Array(#"{"method":"io.userdriver.Watch","parameters":{"stream":"video","request":{"width":1}},"more":true}"#.utf8) + [0],
        [90] + Array(#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.userdriver"}}"#.utf8) + [0],
        [0] + Array(#"{"method":"io.userdriver.camera.SetControl","parameters":{"name":"gain","value":1}}"#.utf8) + [0]
            + Array(#"{"method":"io.userdriver.Crashes","oneway":true}"#.utf8) + [0],
    ]
    private static let inputsBetweenChecks = 64

    private struct Daemon {
        let process: ChildProcess
        let socketPath: String
        var inputs = 0
    }
    // Inputs are run by one thread, one after the other.
    nonisolated(unsafe) private static var daemon = start()
    // Set once, by `start`.
    nonisolated(unsafe) private static var folder = ""

    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let stream = Array(bytes.dropFirst())
        let socket = clinux_unix_stream(daemon.socketPath, 0)
        precondition(socket >= 0, "the daemon is gone, or lets nobody in: \(String(cString: strerror(-socket)))")
        let split = min(Int(first), stream.count)
        for part in [stream[..<split], stream[split...]] where !part.isEmpty {
            // Whether it is taken is the daemon's business.
            _ = Array(part).withUnsafeBytes { clinux_send(socket, $0.baseAddress, UInt($0.count), nil, 0, Int32(MSG_DONTWAIT)) }
        }
        close(socket)
        daemon.inputs += 1
        if daemon.inputs % inputsBetweenChecks == 0 { check() }
    }

    /// A client that means well is answered; should it not be, the watcher sees that this hangs.
    private static func check() {
        do {
            let socket = try VarlinkSocket.connect(path: daemon.socketPath)
            try socket.send(VarlinkCall(method: "io.userdriver.Status"))
            let reply = try socket.receive(VarlinkReply.self)
            precondition(reply?.message.parameters["devices"] == [], "the daemon's answer is not its status")
        } catch {
            preconditionFailure("the daemon does not answer: \(error)")
        }
    }

    private static func start() -> Daemon {
        var template = Array("/tmp/userdriver-fuzz-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil, let path = realpath("/proc/self/exe", nil) else { preconditionFailure("no folder to run in") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        atexit {
            for name in ["io.userdriver", "lock"] { unlink(DaemonFuzz.folder + "/" + name) }
            for name in ["/state", ""] { rmdir(DaemonFuzz.folder + name) }
        }
        let program = String(cString: path).split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/userdriverd"
        let executable = open(program, O_RDONLY | O_CLOEXEC)
        precondition(executable >= 0, "\(program) has to be there: make build")
        do {
            let process = try ChildProcess(
                executing: executable,
                ChildProcess.Plan(
                    arguments: ["userdriverd", "--no-usb", "--runtime-dir", folder, "--log-level", "error"], descriptors: [nil, nil, 2],
                    deathSignal: SIGKILL))
            let daemon = Daemon(process: process, socketPath: folder + "/io.userdriver")
            while true {
                let socket = clinux_unix_stream(daemon.socketPath, 0)
                if socket >= 0 {
                    close(socket)
                    return daemon
                }
                let end = try process.wait(timeout: .milliseconds(10))
                precondition(end == nil, "the daemon did not start")
            }
        } catch {
            preconditionFailure("the daemon can't be started: \(error)")
        }
    }
}
