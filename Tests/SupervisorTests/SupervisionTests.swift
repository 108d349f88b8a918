// A real supervisor, real processes: drivers that behave and drivers that do not.

import CLinux
import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct SupervisionTests {
    @Test func drivesADeviceFromPlugToUnplug() async throws {
        let bench = try await Bench(extra: "settings: {flavour: vanilla}")
        #expect(try await bench.status().isEmpty)
        try await bench.drive()
        let device = try #require(try await bench.status().first)
        #expect(device.id == "1234:5678:S1")
        #expect(device.state == .running)
        #expect(device.kind == "test")
        #expect(device.name == "Test device vanilla")
        #expect(device.restarts == 0)
        #expect(device.warnings == ["unsigned"])
        #expect(exists(device.pid))
        // Where memory runs out the driver goes, and not the supervisor.
        let score = try StateFile.read("/proc/\(device.pid)/oom_score_adj", maximumBytes: 16)
        #expect(String(decoding: score, as: UTF8.self) == "500\n")
        // Before Linux 6.12 nobody's turns have a length.
        #expect(clinux_turn_length(device.pid) == (clinux_turn_length(0) == 0 ? 0 : 100_000))
        let listener = try await bench.listener()
        bench.source.unplug("1-1")
        _ = try await listener.event("absent")
        let after = try #require(try await bench.status().first)
        #expect(after.state == .absent)
        await bench.stop()
        #expect(!exists(device.pid))
    }

    @Test func restartsADriverThatIsKilled() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let first = try #require(try await bench.status().first)
        let listener = try await bench.listener()
        let death = clinux_monotonic_ns()
        #expect(try #require(first.drivenSince) < death)
        kill(first.pid, SIGKILL)
        _ = try await listener.event("running")
        let second = try #require(try await bench.status().first)
        #expect(second.pid != first.pid)
        let since = try #require(second.drivenSince)
        #expect(since > death && since < clinux_monotonic_ns())
        #expect(second.restarts == 1)
        #expect(second.state == .running)
        let crashes = try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self)
        #expect(crashes?.count == 1)
        #expect(crashes?.first?.signal == SIGKILL)
        #expect(crashes?.first?.decision == "restarted at once")
        await bench.stop()
    }

    @Test func opensTheCircuitForADriverThatExitsEachTime() async throws {
        let bench = try await Bench("exits") { $0.timing.restartsToOpenCircuit = 4 }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("failed")
        let device = try #require(try await bench.status().first)
        #expect(device.state == .failed)
        #expect(device.pid == 0)
        #expect(device.reason?.contains("exit 7") == true)
        // Restart closes the circuit: it is tried again, the same number of times.
        _ = try await bench.client().call("io.userdriver.Restart")
        _ = try await listener.event("failed")
        let crashes = try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self) ?? []
        #expect(crashes.count == 8)
        #expect(crashes.map(\.number) == Array(1...8))
        #expect(crashes.last?.decision == "circuit opened")
        #expect(crashes.last?.lastWords == ["I have had enough."])
        #expect(crashes.allSatisfy { $0.exitStatus == 7 })
        // So does plugging it in again.
        bench.source.unplug("1-1")
        bench.source.plug(makeDevice())
        _ = try await listener.event("died")
        _ = try await listener.event("failed")
        await bench.stop()
    }

    @Test func neverGivesUpOnADriverThatMakesProgress() async throws {
        let bench = try await Bench("fruitful") { $0.timing.restartsToOpenCircuit = 3 }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        for _ in 0..<12 { _ = try await listener.event("died") }
        #expect(try await bench.status().first?.state != .failed)
        await bench.stop()
    }

    @Test(arguments: [
        ("unresponsive", "not ready within"), ("garbage", "broke the channel's contract"),
        ("greets-twice", "must say hello first, and once"),
        ("silent", "no heartbeat for"), ("deaf", "no heartbeat for"), ("fails-to-start", "not to my taste"),
    ])
    func endsADriverThatMisbehaves(behaviour: String, cause: String) async throws {
        let bench = try await Bench(behaviour) {
            // Only one of them is to run into it: the others may be as slow to start as the machine is.
            if behaviour == "unresponsive" { $0.timing.startLimit = .milliseconds(300) }
            $0.timing.heartbeatLimit = .milliseconds(300)
            $0.timing.restartsToOpenCircuit = 2
        }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        let failed = try await listener.event("failed")
        #expect(failed["message"]?.stringValue?.contains(cause) == true, "\(failed)")
        await bench.stop()
    }

    @Test func tellsADeadDeviceFromADeadDriver() async throws {
        let bench = try await Bench("orphaned") { $0.timing.restartsToOpenCircuit = 2 }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        bench.source.failOpening(with: .gone("connection refused"))
        _ = try await listener.event("absent")
        let device = try #require(try await bench.status().first)
        #expect(device.state == .absent)
        #expect(device.restarts == 0)
        #expect(device.reason?.contains("connection refused") == true)
        await bench.stop()
    }

    @Test func aDeviceThatCannotBeOpenedIsSaidSo() async throws {
        let bench = try await Bench { $0.timing.restartsToOpenCircuit = 3 }
        bench.source.failOpening(with: .refused("the kernel's driver has it"))
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        let failed = try await listener.event("failed")
        #expect(failed["message"]?.stringValue?.contains("the kernel's driver has it") == true)
        bench.source.failOpening(with: nil)
        _ = try await bench.client().call("io.userdriver.Restart")
        _ = try await listener.event("running")
        await bench.stop()
    }

    @Test func dropsARecordThatDriversDieOn() async throws {
        let bench = try await Bench("poisoned") { $0.timing.restartsToOpenCircuit = 4 }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("failed")
        let crashes = try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self) ?? []
        // Without a record it dies by 4, with one by 5: the record is given twice, then no more.
        #expect(crashes.map(\.exitStatus) == [4, 5, 5, 4])
        await bench.stop()
    }

    @Test func aDeviceThatIsKeptIsTakenOverAndThenOpenedAnewAndThenReset() async throws {
        let bench = try await Bench("orphaned") { $0.timing.restartsToOpenCircuit = 6 }
        bench.source.keepDevices()
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("failed")
        // Six starts: opened, taken over, again as it had no transfer, taken over without a transfer, opened anew, opened anew with a reset.
        #expect(bench.source.opens == 3)
        #expect(bench.source.takeovers == 3)
        #expect(bench.source.resets == 1)
        await bench.stop()
    }

    @Test func anUnresponsiveDeviceIsResetAtOnceThoughItWasKept() async throws {
        let bench = try await Bench("unresponsive-device") { $0.timing.restartsToOpenCircuit = 3 }
        bench.source.keepDevices()
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        let failed = try await listener.event("failed")
        #expect(failed["message"]?.stringValue?.contains("nothing came back") == true, "\(failed)")
        #expect(bench.source.opens == 3)
        #expect(bench.source.takeovers == 0)
        #expect(bench.source.resets == 2)
        await bench.stop()
    }

    @Test func symbolisesTheBacktraceOfACrash() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let listener = try await bench.listener()
        _ = try? await bench.client().call("io.userdriver.camera.GetControl", ["name": "crash"])
        _ = try await listener.event("running", "failed")
        let crash = try #require(
            try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self).first)
        #expect(crash.cause == "SIGABRT")
        #expect(crash.backtrace.contains { $0.contains("deliberateCrash()") && $0.hasSuffix("(good)") }, "\(crash.backtrace)")
        await bench.stop()
    }

    @Test func restartsOnRequest() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let first = try #require(try await bench.status().first)
        let listener = try await bench.listener()
        _ = try await bench.client().call("io.userdriver.Restart", ["device": "1234:5678"])
        let event = try await listener.event("running", "failed")
        #expect(event["event"] == "running", "\(event)")
        let second = try #require(try await bench.status().first)
        #expect(second.pid != first.pid)
        #expect(second.restarts == 1)
        // It was asked for: no crash.
        #expect(try await bench.client().call("io.userdriver.Crashes")["crashes"] == [])
        await bench.stop()
    }

    @Test func aDeviceNobodyKnowsIsUnsupported() async throws {
        let bench = try await Bench()
        let listener = try await bench.listener()
        bench.source.plug(makeDevice(interfaceClass: 3))
        _ = try await listener.event("unsupported")
        let device = try #require(try await bench.status().first)
        #expect(device.state == .unsupported)
        #expect(device.driver == "")
        #expect(device.name == "Thing")
        let error = try await #require(throws: CallError.self) { try await bench.client().call("io.userdriver.Restart") }
        #expect(error.code == "io.userdriver.NoSuchDevice")
        await bench.stop()
    }

    @Test func stopsWithoutLeavingAnything() async throws {
        let bench = try await Bench("deaf") { $0.timing.heartbeatLimit = .seconds(60) }
        try await bench.drive()
        let pid = try #require(try await bench.status().first).pid
        let listener = try await bench.listener()
        await bench.stop()
        #expect(!exists(pid))
        #expect(access(bench.configuration.socketPath, F_OK) != 0)
        #expect(try await listener.receive() == nil)
        // And its place is free again.
        let next = await Supervisor(configuration: bench.configuration, logger: bench.supervisor.logger, sources: [])
        try await next.start()
        await next.stop()
    }

    @Test func aSecondOneOnTheSameFolderIsRefused() async throws {
        let bench = try await Bench()
        let second = await Supervisor(configuration: bench.configuration, logger: bench.supervisor.logger, sources: [])
        let error = await #expect(throws: SupervisorError.self) { try await second.start() }
        #expect(error?.description.contains("already serves") == true)
        #expect(try await bench.status().isEmpty)
        await bench.stop()
    }

    @Test func keepsOnlyTheLastWordsOfOneThatTalksTooMuch() async throws {
        let bench = try await Bench("chatty")
        try await bench.drive()
        let pid = try #require(try await bench.status().first).pid
        let listener = try await bench.listener()
        kill(pid, SIGKILL)
        _ = try await listener.event("running")
        let crash = try #require(
            try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self).first)
        #expect(crash.lastWords.count <= LineTail.maximumLines)
        #expect(crash.lastWords.allSatisfy { $0.utf8.count <= LineTail.maximumLineBytes })
        await bench.stop()
    }
}
