// The ways to die: for each, what somebody who watches sees, what status says, and what the crash report says.

import Glibc
import Testing
import Wire

@testable import Supervisor

/// A way to die, and what is said of it.
struct Death: Sendable, CustomTestStringConvertible {
    /// What the test driver is told.
    var way: String
    /// What the report's cause has to contain: one of these.
    var causes: [String]
    var testDescription: String { way }

    init(_ way: String, _ causes: String...) {
        self.way = way
        self.causes = causes
    }
}

@Suite(.timeLimit(.minutes(10))) struct DeathTests {
    @Test(arguments: [
        Death("exit", "exit 0"), Death("error", "SIGILL", "SIGTRAP", "SIGABRT"), Death("index", "SIGILL", "SIGTRAP", "SIGABRT"),
        Death("overflow", "SIGILL", "SIGTRAP", "SIGABRT"), Death("nil", "SIGILL", "SIGTRAP", "SIGABRT"),
        Death("stack", "SIGSEGV", "SIGBUS"),
        // A supervisor that hardly runs itself goes by heartbeats: a look that comes late judges no progress.
        Death("memory", "SIG"), Death("loop", "by the supervisor: no progress for", "by the supervisor: no heartbeat for"),
        Death("deadlock", "by the supervisor: no progress for", "by the supervisor: no heartbeat for"),
        Death("closes-channel", "by the supervisor: it closed its channel", "by the supervisor: no progress for"),
        Death("garbage", "by the supervisor: it broke the channel's contract"),
    ])
    func isToldAndHealed(_ death: Death) async throws {
        let bench = try await Bench {
            $0.timing.streamTurnLimit = .milliseconds(300)
            $0.timing.watchTick = .milliseconds(20)
        }
        try await bench.drive()
        let (watcher, ring) = try await watch(bench)
        let first = try #require(try await bench.status().first)
        let caller = try bench.client()
        try await caller.send("io.userdriver.camera.GetControl", ["name": .string("die:" + death.way)])
        // Who watches is told, keeps the handle, and has the same ring.
        let restarted = try await watcher.event("restarted", "ended")
        #expect(restarted["event"] == "restarted")
        #expect(restarted["restarts"] == 1)
        #expect(try await watch(bench).ring == ring)
        // The caller has an answer: of the next driver.
        let answer = try #require(try await caller.receive())
        #expect(answer.reply.error == nil && answer.reply.parameters["generation"] == 2, "\(answer.reply)")
        let device = try #require(try await bench.status().first)
        #expect(device.state == .running)
        #expect(device.restarts == 1)
        #expect(device.pid != first.pid && !exists(first.pid))
        let crash = try #require(try await crashes(bench).last)
        #expect(crash.pid == first.pid)
        #expect(death.causes.contains { crash.cause.contains($0) }, "\(crash.cause)")
        #expect(crash.decision == "restarted at once")
        // What a program dies of by its own signal leaves a backtrace; a stack that has run out leaves room for that.
        if death.causes.contains("SIGTRAP") || death.way == "stack" { #expect(crash.backtrace.count > 1, "\(crash)") }
        await bench.stop()
    }

    @Test func aStandbyThatIsDeadTooIsReplaced() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (watcher, ring) = try await watch(bench)
        for round in 1...3 {
            let driver = try #require(try await bench.status().first).pid
            for process in await standbys(of: bench) { kill(process, SIGKILL) }
            kill(driver, SIGKILL)
            let event = try await watcher.event("restarted", "ended")
            #expect(event["event"] == "restarted")
            #expect(event["restarts"] == .int(Int64(round)))
        }
        #expect(try await watch(bench).ring == ring)
        #expect(try await crashes(bench).count == 3, "a standby's death is not a crash of the device's driver")
        await bench.stop()
    }

    @Test func aStateFolderThatTakesNothingStopsNoRestart() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (watcher, _) = try await watch(bench)
        // No report can be written: a file is where their folder would be.
        try StateFile.write([], to: bench.configuration.stateDirectory + "/crashes")
        for _ in 1...20 {
            kill(try #require(try await bench.status().first).pid, SIGKILL)
            let event = try await watcher.event("restarted", "ended")
            #expect(event["event"] == "restarted")
        }
        let kept = try await crashes(bench)
        #expect(kept.count == 16, "the newest are kept in memory")
        #expect(kept.map(\.number) == Array(5...20))
        #expect(kept.allSatisfy { $0.signal == SIGKILL })
        // There is room again: the next one is written, and numbers go on.
        unlink(bench.configuration.stateDirectory + "/crashes")
        kill(try #require(try await bench.status().first).pid, SIGKILL)
        _ = try await watcher.event("restarted", "ended")
        #expect(try await crashes(bench).map(\.number) == Array(5...21))
        #expect(access(bench.configuration.stateDirectory + "/crashes/crash-21.json", R_OK) == 0)
        await bench.stop()
    }

    private func watch(_ bench: Bench) async throws -> (client: TestClient, ring: UInt) {
        let client = try bench.client()
        try await client.send("io.userdriver.Watch", ["request": [:]], more: true)
        let (reply, descriptors) = try #require(try await client.receive())
        defer { for descriptor in descriptors { close(descriptor) } }
        #expect(reply.error == nil)
        return (client, descriptors.first.map(inode) ?? 0)
    }

    /// Reports are written when there is time: asked for until there are as many as restarts.
    private func crashes(_ bench: Bench) async throws -> [CrashReport] {
        let restarts = try #require(try await bench.status().first).restarts
        while true {
            let reports = try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self) ?? []
            if reports.count >= min(restarts, 16) { return reports }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The processes that wait; a driver that has just begun has one started.
    private func standbys(of bench: Bench) async -> [Int32] {
        while true {
            let processes = await bench.supervisor.standbys.processIDs
            if !processes.isEmpty { return processes }
            await Task.yield()
        }
    }
}
