// Drivers that are at several things at once: which of them hangs, and which just waits.

import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(5))) struct ActivityTests {
    private func makeBench() async throws -> Bench {
        let bench = try await Bench {
            $0.timing.streamTurnLimit = .milliseconds(300)
            $0.timing.watchTick = .milliseconds(20)
        }
        try await bench.drive()
        return bench
    }

    private func order(_ bench: Bench, _ name: String, _ parameters: [String: JSONValue] = [:]) async throws {
        _ = try await bench.client().call(
            "io.userdriver.camera.GetControl", .object(parameters.merging(["name": .string(name)]) { $1 }))
    }

    private func activities(_ bench: Bench) async throws -> [DeviceStatus.Activity] {
        try #require(try await bench.status().first?.activities)
    }

    /// Asks until it is so: figures come at the driver's pace.
    private func until(_ bench: Bench, _ isSo: ([DeviceStatus.Activity]) -> Bool) async throws -> [DeviceStatus.Activity] {
        while true {
            let activities = try await activities(bench)
            if isSo(activities) { return activities }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test func statusTellsWhatADriverIsAt() async throws {
        let bench = try await makeBench()
        #expect(try await activities(bench).isEmpty)
        try await order(bench, "pages")
        let pages = try await until(bench) { $0.count == 2 && $0.allSatisfy { $0.done > 100 && $0.rate > 10 } }
        #expect(pages.map(\.name) == ["page 1", "page 2"])
        #expect(pages.map(\.unit) == ["lines", "lines"])
        #expect(pages.allSatisfy { $0.waiting == nil && $0.rate < 10_000 })
        try await order(bench, "pages-end")
        #expect(try await activities(bench).isEmpty)
        await bench.stop()
    }

    @Test func theHangOfOneIsFoundBesideOneThatGetsOn() async throws {
        let bench = try await makeBench()
        try await order(bench, "pages", ["limit": 1000])
        _ = try await until(bench) { $0.count == 2 }
        let listener = try await bench.listener()
        try await order(bench, "page-stands")
        let died = try await listener.event("died")
        let message = try #require(died["message"]?.stringValue)
        #expect(message.contains(#"by the supervisor: no progress for 1 s ("page 1")"#), "\(message)")
        _ = try await listener.event("running")
        await bench.stop()
    }

    @Test func aDeclaredWaitIsNoHang() async throws {
        let bench = try await makeBench()
        let pid = try #require(try await bench.status().first).pid
        try await order(bench, "pages", ["limit": 2500])
        try await order(bench, "page-waits", ["reason": "the lamp warms up", "limit": 60_000])
        let waiting = try await until(bench) { ($0.first?.waiting?.seconds ?? 0) > 3.5 }
        #expect(waiting.first?.waiting?.reason == "the lamp warms up")
        #expect(waiting.first?.waiting?.limit == 60)
        #expect(waiting.last?.waiting == nil)
        try await order(bench, "page-goes-on")
        let before = try await activities(bench)
        #expect(before.allSatisfy { $0.waiting == nil })
        _ = try await until(bench) { ($0.first?.done ?? 0) > (before.first?.done ?? 0) }
        #expect(try await bench.status().first?.pid == pid)
        await bench.stop()
    }

    @Test func aWaitThatIsTooLongIsAHang() async throws {
        let bench = try await makeBench()
        try await order(bench, "pages")
        let listener = try await bench.listener()
        try await order(bench, "page-waits", ["reason": "the lamp warms up", "limit": 500])
        let died = try await listener.event("died")
        let message = try #require(died["message"]?.stringValue)
        #expect(
            message.contains(#"by the supervisor: a declared wait did not end within 500 ms ("page 1": the lamp warms up)"#), "\(message)")
        _ = try await listener.event("running")
        await bench.stop()
    }

    // MARK: Answers are progress

    @Test func aDriverThatOnlyAnswersIsNeverGivenUp() async throws {
        let bench = try await Bench { $0.timing.restartsToOpenCircuit = 3 }
        try await bench.drive()
        let listener = try await bench.listener()
        for _ in 0..<12 {
            try await order(bench, "brightness")
            kill(try #require(try await bench.status().first).pid, SIGKILL)
            _ = try await listener.event("running")
        }
        let device = try #require(try await bench.status().first)
        #expect(device.state == .running && device.restarts == 12)
        // It was never reset for that, nor looked at as if it were broken.
        #expect(bench.source.resets == 0)
        await bench.stop()
    }

    @Test func errorsAreNoProgress() async throws {
        let bench = try await Bench { $0.timing.restartsToOpenCircuit = 3 }
        try await bench.drive()
        let listener = try await bench.listener()
        var last: JSONValue = [:]
        for _ in 0..<3 {
            await #expect(throws: CallError.self) { try await order(bench, "busy") }
            kill(try #require(try await bench.status().first).pid, SIGKILL)
            last = try await listener.event("running", "failed")
        }
        #expect(last["event"] == "failed")
        await bench.stop()
    }

    /// Where frames are wanted and none comes, a program that polls a control keeps nobody alive.
    @Test func answersDoNotMakeUpForFrames() async throws {
        let bench = try await Bench("moving") {
            $0.timing.restartsToOpenCircuit = 3
            $0.timing.firstFrameLimit = .seconds(600)
            $0.timing.streamTurnLimit = .seconds(600)
        }
        try await bench.drive()
        let watcher = try bench.client()
        try await watcher.send("io.userdriver.Watch", ["request": ["format": "moves-without-frames"]], more: true)
        let opened = try #require(try await watcher.receive())
        for descriptor in opened.descriptors { close(descriptor) }
        let listener = try await bench.listener()
        var last: JSONValue = [:]
        for _ in 0..<3 {
            try await order(bench, "brightness")
            kill(try #require(try await bench.status().first).pid, SIGKILL)
            last = try await listener.event("running", "failed")
        }
        #expect(last["event"] == "failed")
        await bench.stop()
    }
}
