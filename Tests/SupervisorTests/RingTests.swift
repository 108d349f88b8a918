// Rings: who gets which, what a driver is granted, and that those who stay notice nothing.

import CLinux
import Dispatch
import Glibc
import Synchronization
import Testing
import UserDriverClient
import Wire

@testable import FrameRing
@testable import Supervisor

/// A ring as whoever watches has it, under its own feet: what lies in it can be looked at whatever the stream does.
struct HeldRing {
    let client: TestClient
    let reader: FrameRingReader
    let inode: UInt
    /// Whether a page came with it.
    let hasPage: Bool

    /// Watches, and takes the ring of the first reply that has one.
    init(_ bench: Bench, _ request: JSONValue, reports: Bool = false) async throws {
        client = try bench.client()
        try await client.send("io.userdriver.Watch", ["request": request, "reports": .bool(reports)], more: true)
        (reader, inode, hasPage) = try await Self.ring(client)
    }

    private static func ring(_ client: TestClient) async throws -> (FrameRingReader, UInt, Bool) {
        while let (reply, descriptors) = try await client.receive() {
            defer { for descriptor in descriptors { close(descriptor) } }
            if let error = reply.error { throw CallError(error, reply.parameters["message"]?.stringValue ?? "") }
            guard let descriptor = descriptors.first, let ring = reply.parameters["ring"] else { continue }
            let geometry = FrameRingGeometry(capacity: ring["capacity"]?.intValue ?? 0, slotCount: ring["slotCount"]?.intValue ?? 0)
            let page = ring["report"]?.boolValue == true ? descriptors.last : nil
            #expect(descriptors.count == (page == nil ? 1 : 2))
            let reader = try FrameRingReader(descriptor: descriptor, geometry: try #require(geometry), report: page)
            return (reader, SupervisorTests.inode(descriptor), page != nil)
        }
        throw CallError("End", "the connection ended")
    }

    /// The ring that comes with the next news that has one.
    func next() async throws -> (reader: FrameRingReader, inode: UInt, hasPage: Bool) { try await Self.ring(client) }

    /// The oldest frame that lies in it.
    var oldest: UInt64? {
        guard let newest = reader.latest?.sequence else { return nil }
        var oldest = newest
        for number in (newest > 300 ? newest - 300 : 1)...newest {
            if case .frame(let frame) = reader.next(after: number - 1, timeout: .zero) { oldest = min(oldest, frame.sequence) }
        }
        return oldest
    }
}

func wait(_ what: String, until condition: () async throws -> Bool) async throws {
    for _ in 0..<20_000 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("it did not come to pass: \(what)")
}

@Suite("Rings", .serialized, .timeLimit(.minutes(5))) struct RingTests {
    private func bench(_ behaviour: String = "moving", adjust: (inout SupervisorConfiguration) -> Void = { _ in }) async throws -> Bench {
        let bench = try await Bench(behaviour) {
            $0.timing.callLimit = .seconds(200)
            $0.timing.ringInterval = .milliseconds(20)
            // A reader on a busy machine has its time.
            $0.timing.ringPatience = .seconds(60)
            adjust(&$0)
        }
        try await bench.drive()
        return bench
    }

    @Test(arguments: ["moves", "dies-before", "dies-between", "dies-after-frame", "dies-confirmed"])
    func whoStaysMissesNothingWhileOthersComeAndGo(way: String) async throws {
        let bench = try await bench()
        let stayer = try Stayer(bench, format: way)
        try await wait("frames") { stayer.seen.last > 3 }
        for _ in 0..<12 {
            let before = stayer.seen.last
            let guest = try await HeldRing(bench, [:])
            // It may come in the middle of a restart: then its ring is filled by the next driver.
            try await wait("a frame for the guest") { guest.reader.latest != nil }
            #expect(try #require(guest.oldest) > before)
            guest.client.socket.shutdown()
            try await wait("the end of the guest's ring") { guest.reader.end != nil }
        }
        let last = stayer.seen.last
        try await wait("more frames") { stayer.seen.last > last + 3 }
        stayer.stop()
        #expect(stayer.seen.wrong == [])
        #expect(try await bench.status().first?.restarts == (way == "moves" ? 0 : 1))
        await bench.stop()
    }

    @Test func whoLeavesSeesNothingMore() async throws {
        let bench = try await bench { $0.timing.ringPatience = .milliseconds(50) }
        let stayer = try Stayer(bench, format: "moves")
        let guest = try await HeldRing(bench, [:])
        try await wait("a frame") { guest.reader.latest != nil }
        guest.client.socket.shutdown()
        try await wait("the end of the guest's ring") { guest.reader.end != nil }
        let last = guest.reader.newestSequence
        #expect(guest.reader.end == last)
        try await wait("frames for others") { stayer.seen.last > last + 10 }
        #expect(guest.reader.newestSequence == last)
        // And then not even what it has seen.
        try await wait("an empty ring") { guest.reader.latest == nil }
        stayer.stop()
        await bench.stop()
    }

    /// A camera that has no picture yet is no reason to wait.
    @Test func aStreamWithoutFramesChangesItsRingToo() async throws {
        let bench = try await bench()
        let first = try await HeldRing(bench, ["format": "moves-without-frames"])
        let second = try await HeldRing(bench, [:])
        #expect(first.inode != second.inode)
        #expect(try await first.next().inode == second.inode)
        try await wait("the end of the first ring") { first.reader.end == 0 }
        second.client.socket.shutdown()
        #expect(try await first.next().inode != second.inode)
        await bench.stop()
    }

    @Test func manyWhoComeAtOnceShareAChange() async throws {
        let bench = try await bench { $0.timing.ringInterval = .milliseconds(500) }
        let first = try await HeldRing(bench, ["format": "moves"])
        let guests = try await withThrowingTaskGroup(of: HeldRing.self) { group in
            for _ in 0..<20 { group.addTask { try await HeldRing(bench, [:]) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        // The first of them at once, all others together; on a busy machine they may come in more portions.
        #expect(Set(guests.map(\.inode)).count <= 5)
        #expect(!guests.contains { $0.inode == first.inode })
        await bench.stop()
    }

    @Test func aDriverThatStaysInItsRingIsEnded() async throws {
        let bench = try await bench { $0.timing.ringLimit = .milliseconds(300) }
        let first = try await HeldRing(bench, ["format": "moves-never"])
        let listener = try await bench.listener()
        let second = try await HeldRing(bench, [:])
        let died = try await listener.event("died", "backoff")
        #expect(died["message"]?.stringValue?.contains("did not continue in another ring") == true, "\(died)")
        for ring in [first, second] { ring.client.socket.shutdown() }
        await bench.stop()
    }

    /// Drivers that were built before rings could be changed.
    @Test func anOlderDriversRingIsSharedByOneUser() async throws {
        let bench = try await bench("good")
        let first = try await HeldRing(bench, ["format": "grey"])
        let second = try await HeldRing(bench, [:])
        #expect(first.inode == second.inode)
        await bench.stop()
    }

    // MARK: Who tells how far it is

    /// Slots of those 256 in which the frames of a while lay.
    private func slots(_ reader: FrameRingReader, count: Int = 40) async throws -> Int {
        var slots: Set<Int> = []
        var (position, seen) = (reader.newestSequence, 0)
        try await wait("frames") {
            while case .frame(let frame) = reader.next(after: position, timeout: .zero) {
                (position, seen) = (frame.sequence, seen + 1)
                slots.insert(frame.slot)
            }
            return seen >= count
        }
        return slots.count
    }

    @Test func slotsAreUsedAgainWhereAllTellHowFarTheyAre() async throws {
        let bench = try await bench()
        let first = try await HeldRing(bench, ["format": "moves"], reports: true)
        #expect(first.hasPage)
        // On a busy machine frames come in portions: each of those needs its slots.
        #expect(try await slots(first.reader) < 40)

        let second = try await HeldRing(bench, [:], reports: true)
        var moved = try await first.next()
        #expect(second.hasPage && moved.hasPage && moved.inode == second.inode)

        let silent = try await HeldRing(bench, [:])
        moved = try await first.next()
        #expect(!silent.hasPage && !moved.hasPage && moved.inode == silent.inode)
        #expect(try await second.next().inode == silent.inode)
        #expect(try await slots(moved.reader) >= 40)

        silent.client.socket.shutdown()
        moved = try await first.next()
        #expect(moved.hasPage)
        let other = try await second.next()
        #expect(other.hasPage && other.inode == moved.inode)
        // Who leaves keeps nothing from being used again: the next ring has one page.
        second.client.socket.shutdown()
        #expect(try await first.next().hasPage)
        await bench.stop()
    }

    // MARK: What a driver is granted

    @Test(arguments: ["unasked-ring", "unasked-transfers"]) func nothingIsGrantedThatNobodyAskedFor(what: String) async throws {
        let bench = try await bench("good")
        let error = try await #require(throws: CallError.self) {
            _ = try await bench.client().call("io.userdriver.camera.GetControl", ["name": .string(what)])
        }
        #expect(error.message == "Nobody has asked for that stream.")
        #expect(try await bench.status().first?.streams == [])
        await bench.stop()
    }

    @Test func ringsAreBoundedTogether() async throws {
        let bench = try await bench("good") { $0.limits.ringBytesPerDevice = 1 << 20 }
        let ring = try await HeldRing(bench, ["capacity": 100_000])
        let error = try await #require(throws: CallError.self) { try await HeldRing(bench, ["capacity": 200_000]) }
        #expect(error.message.contains("at most 1 MiB"), "\(error)")
        // Who has one keeps it.
        #expect(try await bench.status().first?.streams.first?.clients == 1)
        ring.client.socket.shutdown()
        await bench.stop()
    }

    /// What was given up counts until nobody can fill it, and not longer.
    @Test func ringsThatAreGivenUpMakeRoom() async throws {
        let bench = try await bench {
            $0.limits.ringBytesPerDevice = 4 << 20
            $0.timing.ringPatience = .milliseconds(20)
        }
        let stayer = try Stayer(bench, format: "moves")
        // A ring has more than a megabyte.
        for _ in 0..<10 { try await HeldRing(bench, [:]).client.socket.shutdown() }
        stayer.stop()
        await bench.stop()
    }

    @Test func statusSaysWhoWatches() async throws {
        let bench = try await bench()
        let ring = try await HeldRing(bench, ["format": "moves"])
        let watchers = try #require(try await bench.status().first?.streams.first?.watchers)
        #expect(watchers.map(\.pid) == [getpid()] && watchers.map(\.uid) == [getuid()])
        #expect(watchers.first?.program.isEmpty == false)
        ring.client.socket.shutdown()
        await bench.stop()
    }

    // MARK: What is kept for a successor

    /// 16 KB that are 64 KB when they are written again.
    @Test func aRequestIsBoundedAsItGoesOut() async throws {
        let bench = try await bench("good")
        let pad: JSONValue = ["pad": .array([JSONValue](repeating: .int(1_000_000_000_000_000_000), count: 400))]
        #expect(try JSON.encode(pad).count > 4096)
        let error = try await #require(throws: CallError.self) { try await HeldRing(bench, pad) }
        #expect(error.code == "io.userdriver.InvalidParameter" && error.message.contains("at most 4096 bytes"), "\(error)")
        await bench.stop()
    }

    @Test func everythingThatIsKeptFitsIntoAStart() async throws {
        let bench = try await bench("good")
        let pad = String(repeating: "p", count: 4000)
        let first = try await HeldRing(bench, ["pad": .string(pad)])
        _ = try await bench.client().call("io.userdriver.camera.GetControl", ["name": "large-record"])
        kill(try #require(try await bench.status().first).pid, SIGKILL)
        _ = try await first.client.event("restarted")
        let status = try #require(try await bench.status().first)
        #expect(status.restarts == 1 && status.streams.count == 1)
        await bench.stop()
    }

    /// Had something got in all the same: the device gets out of it.
    @Test func whatDoesNotFitIntoAStartIsLetGo() async throws {
        let bench = try await bench("good") {
            $0.limits.requestBytes = 60 << 10
            $0.limits.requestBytesPerDevice = 60 << 10
        }
        let pad: JSONValue = ["pad": .string(String(repeating: "p", count: 40 << 10))]
        let first = try await HeldRing(bench, pad)
        _ = try await bench.client().call("io.userdriver.camera.GetControl", ["name": "large-record"])
        kill(try #require(try await bench.status().first).pid, SIGKILL)
        // Without the record it fits.
        _ = try await first.client.event("restarted")
        try await wait("a driver") { try await bench.status().first?.state == .running }
        await bench.stop()
    }
}

/// Reads a stream until it is told to end, and checks that each frame is there once, in order, whole.
final class Stayer: Sendable {
    struct Seen {
        var last: UInt64 = 0
        var wrong: [String] = []
    }
    private let stream: FrameStream
    private let state = Mutex(Seen())
    private let queue = DispatchQueue(label: "stayer")

    init(_ bench: Bench, format: String) throws {
        let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(bench.folder.path))
        stream = try client.camera().openStream(CameraRequest(format: format))
        queue.async { self.read() }
    }

    var seen: Seen { state.withLock { $0 } }

    private func read() {
        while true {
            let problem: String?
            do {
                guard case .event(let event) = try stream.next() else { return }
                switch event {
                case .frame(let frame): problem = take(frame)
                case .gap(let first, let count, let cause): problem = "gap \(first) + \(count): \(cause)"
                case .changed: problem = "changed"
                default: problem = nil
                }
            } catch {
                problem = "\(error)"
            }
            guard let problem else { continue }
            state.withLock { if $0.wrong.count < 20 { $0.wrong.append(problem) } }
        }
    }

    private func take(_ frame: Frame) -> String? {
        let content = frame.copy().map { $0.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } }
        return state.withLock { state in
            defer { state.last = frame.sequence }
            guard content == frame.sequence else { return "frame \(frame.sequence) holds \(content ?? 0)" }
            // The stream's first frames may have come before it did.
            guard state.last == 0 || frame.sequence == state.last + 1 else { return "frame \(frame.sequence) after \(state.last)" }
            return frame.epoch == 0 ? nil : "epoch \(frame.epoch)"
        }
    }

    /// Waits until nothing more is read.
    func stop() {
        stream.stop()
        queue.sync {}
    }
}
