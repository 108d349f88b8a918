import CLinux
import FakeDaemon
import Glibc
import Sandbox
import Spawn
import Testing
import USB
import USBIPHost
import UserDriverClient
import Wire

@testable import VideoNode

/// The server as it really runs: a process of its own, in its sandbox, as nobody where the test is root. The test is its attacher.
@Suite(.timeLimit(.minutes(2))) struct ServerProcessTests {
    @Test func aNodeIsServedFromWithinTheSandbox() async throws {
        var server: ServerProcess?
        let bench = try NodeBench { daemon in
            let started = try ServerProcess(daemon)
            server = started
            return try started.attach()
        }
        try await bench.configure()
        let reader = try HostReader(bench, try await bench.commit("yuy2", 160, 120))
        for seed in UInt8(1)...10 {
            let frame = pattern(160 * 120 * 2, seed)
            bench.stream.publish(frame)
            #expect(try #require(try reader.frame()).bytes == frame)
        }
        try await bench.set(0x02, entity: NodeEntity.processing, [20, 0])
        // The daemon goes and comes back, which takes the server through all that it does to find it.
        bench.daemon.stop()
        try bench.daemon.start()
        chmod(bench.daemon.directory.socketPath, 0o666)
        let watches = { bench.daemon.calls.filter { $0.methodName == "Watch" }.count }
        while watches() < 2 { bench.daemon.waitForCalls(bench.daemon.calls.count + 1) }
        // Who it is, as the kernel says.
        let process = try #require(server).process
        let status = try #require(SmallFile.read("/proc/\(process.processID)/status", limit: 8192))
        #expect(status.contains("CapEff:\t0000000000000000") && status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"))
        if geteuid() == 0 { #expect(status.contains("Uid:\t65534\t65534\t65534\t65534") && status.contains("Groups:\t \n")) }
        if let calls = process.forbiddenCalls, poll(calls.descriptor) {
            Issue.record("forbidden: \(calls.next().map { "\($0)" } ?? "a call that has ended")")
        }
        #expect(try process.collect() == nil)
    }

    private func poll(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&entry, 1, 0) > 0
    }

    @Test func withoutItsAttacherTheServerEnds() throws {
        let daemon = try FakeDaemon { _, _ in }
        let server = try ServerProcess(daemon)
        shutdown(server.channel, Int32(SHUT_RDWR))
        #expect(try server.end() == .exited(status: 0))
    }
}
