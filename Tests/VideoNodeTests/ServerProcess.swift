// The server as a process of its own, in its sandbox, with a test in its attacher's place.

import CLinux
import FakeDaemon
import Glibc
import Sandbox
import Spawn
import Testing
import UserDriverClient

@testable import VideoNode

final class ServerProcess {
    let process: ChildProcess
    let channel: Int32

    /// - Parameter program: the server's; the one beside the tests' bundle otherwise.
    init(_ daemon: FakeDaemon, program: String? = nil) throws {
        // Whoever may enter the folder may talk to the daemon.
        chmod(daemon.directory.path, 0o755)
        chmod(daemon.directory.socketPath, 0o666)
        var pair: [Int32] = [-1, -1]
        try #require(clinux_seqpacket_pair(&pair) == 0)
        defer { close(pair[1]) }
        channel = pair[0]
        var options = try VideoOptions([])
        options.runtimeDirectory = daemon.directory
        var policy = SandboxPolicy.video
        policy.libraryFolders += try Self.runtimeFolders()
        var plan = ChildProcess.Plan(
            arguments: ["userdriver-video"], environment: options.environment,
            descriptors: [nil, STDERR_FILENO, STDERR_FILENO, pair[1]], sandbox: try PreparedSandbox(policy))
        if geteuid() == 0 { plan.account = Account(user: 65534, group: 65534, groups: []) }
        let executable = try SealedExecutable(path: try program ?? Self.program(), isExecutableByAll: true)
        process = try ChildProcess(executing: executable.descriptor, plan)
        withExtendedLifetime(executable) {}
    }

    deinit {
        close(channel)
        _ = try? process.tearDown([])
    }

    /// Where Swift's own libraries are, which a debug build is linked with.
    private static func runtimeFolders() throws -> [String] {
        let maps = try #require(SmallFile.read("/proc/self/maps", limit: 1 << 20)).split(separator: "\n")
        let line = try #require(maps.first { $0.hasSuffix("/libswiftCore.so") })
        return [String(line[try #require(line.firstIndex(of: "/"))...].dropLast("/libswiftCore.so".count))]
    }

    /// Beside the bundle of tests.
    private static func program() throws -> String {
        let own = try #require(realpath("/proc/self/exe", nil))
        defer { free(own) }
        let folder = String(cString: own).split(separator: "/").dropLast().joined(separator: "/")
        return "/" + folder + "/userdriver-video"
    }

    /// The next thing that it asks for, and a socket for it.
    func attach(isSuper: Bool = false) throws -> Int32 {
        var bytes = [UInt8](repeating: 0, count: 8)
        var truncated: Int32 = 0
        try #require(clinux_receive_bytes(channel, &bytes, 8, &truncated, 0) == 8)
        #expect(AttachRequest(bytes) == AttachRequest(isSuper: isSuper))
        var pair: [Int32] = [-1, -1]
        try #require(clinux_stream_pair(&pair) == 0)
        defer { close(pair[0]) }
        let given = [pair[0]]
        try #require(clinux_send(channel, AttachRequest.magic + [0], 8, given, 1, 0) == 8)
        return pair[1]
    }

    func end() throws -> ChildProcess.End? { try process.wait(timeout: .seconds(20)) }
}
