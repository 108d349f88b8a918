// Objects that survive the supervisor: what the next one finds, and what it makes of what makes no
// sense.

import CLinux
import Glibc
import Logging
import ObjectStore
import Testing
import UserDriverClient
import Wire

@testable import Supervisor

@Suite("Objects that survive the supervisor", .serialized, .timeLimit(.minutes(5))) struct ObjectSuccessionTests {
    private let store = FakeStore()
    private let folder = TemporaryFolder()

    private func bench(inherits: Bool = false, adjust: (inout SupervisorConfiguration) -> Void = { _ in }) async throws -> ObjectBench {
        try await ObjectBench(folder, store: store, inherits: inherits, adjust: adjust)
    }

    private var objects: [String] { store.names.filter { $0.hasPrefix("objects-") } }

    @Test func namesAreReadToTheLetter() {
        for name in ["objects-records", "objects-1", "objects-18446744073709551615"] { #expect(Supervisor.isStoreName(name)) }
        for name in [
            "objects-", "objects", "objects-0", "objects-01", "objects-+1", "objects--1", "objects-1x", "Objects-1", "objects-records-1",
        ] {
            #expect(!Supervisor.isStoreName(name), "\(name)")
        }
    }

    @Test func areFoundByTheNextOne() async throws {
        let first = try await bench()
        let job = try await first.client.openJob()
        try await first.deliver(job.token, ["count": 6, "largest": 400_000])
        var collector = Collector(largest: 400_000)
        try await collector.take(2, of: job)
        while try await job.objects().count(where: { $0.state == .committed }) < 4 {
            _ = try await job.next(after: 0, timeout: .seconds(200))
        }
        // One of them is not finished.
        let grant = try await first.grant(.open(ObjectOpening(request: 1000, job: job.token, metadata: ["page": 7], space: 100)))
        let before = try await job.objects()
        await first.stop()
        #expect(objects.contains("objects-records"))
        let second = try await bench(inherits: true)
        #expect(try await job.objects() == before)
        // The same job, under the same name.
        #expect(try await second.client.openJob(token: job.token).deviceID == job.deviceID)
        guard case .jobs(_, let jobs) = try await second.say(.jobs(request: 1000)) else { return }
        #expect(jobs.first?.opened == 7 && jobs.first?.unfinished.map(\.id) == [grant.id])
        let resumed = try await second.grant(.resume(request: 1001, id: grant.id))
        #expect(resumed.extents == grant.extents && resumed.metadata == ["page": 7])
        guard case .done = try await second.say(.abandon(request: 1002, id: grant.id, reason: "enough")) else { return }
        try await collector.take(6, of: job)
        #expect(collector.problems.isEmpty, "\(collector.problems)")
        #expect(Set(collector.seen.values) == Set(0..<6))
        #expect(try await job.objects().map(\.state) == [.abandoned])
        try await job.discard()
        // Nothing of it is left but the memory of records.
        for _ in 0..<2000 where objects != ["objects-records"] { try await Task.sleep(for: .milliseconds(5)) }
        #expect(objects == ["objects-records"])
        await second.stop()
    }

    /// It had been written when the supervisor died, and the commit had not been heard: the next
    /// driver finds all of it and commits it.
    @Test func aHalfWrittenOneIsFinishedUnderTheNextOne() async throws {
        let first = try await bench()
        let job = try await first.client.openJob()
        try await first.deliver(job.token, ["count": 3, "largest": 300_000, "death": "half"])
        // Its successor waits for somebody to ask again.
        while try await job.objects().first(where: { $0.state == .open && $0.length > 0 }) == nil {
            try await Task.sleep(for: .milliseconds(5))
        }
        await first.stop()
        let second = try await bench(inherits: true)
        let left = try #require(try await job.objects().last)
        #expect(left.state == .open && left.length > 0)
        try await second.deliver(job.token, ["count": 3, "largest": 300_000])
        var collector = Collector(largest: 300_000)
        try await collector.take(3, of: job)
        #expect(collector.problems.isEmpty, "\(collector.problems)")
        #expect(collector.seen[left.id] != nil)
        await second.stop()
    }

    /// An arena did not come along: the object is said to be lost, which is not silence.
    @Test func whatIsLostIsSaid() async throws {
        let first = try await bench()
        let job = try await first.client.openJob()
        try await first.deliver(job.token, ["count": 1, "largest": 1000])
        _ = try await job.next(timeout: .seconds(200))
        await first.stop()
        for name in objects where name != "objects-records" { _ = store.remove(name) }
        let second = try await bench(inherits: true)
        let status = try await job.next(timeout: .seconds(200))
        #expect(status.state == .abandoned && status.reason?.contains("lost") == true)
        try await job.acknowledge(status.id)
        await second.stop()
    }

    /// Whatever lies under those names, nobody's objects come of it and nothing falls over.
    @Test func whatMakesNoSenseIsLetGo() async throws {
        let small = clinux_memfd("small", 0)
        defer { close(small) }
        for name in ["objects-records", "objects-1", "objects-1", "objects-9"] { _ = store.keep(small, as: name) }
        let first = try await bench(inherits: true)
        #expect(objects.isEmpty)
        let job = try await first.client.openJob()
        try await first.deliver(job.token, ["count": 2])
        var collector = Collector()
        try await collector.take(2, of: job)
        #expect(collector.problems.isEmpty)
        await first.stop()
    }

    private static let limits = {
        var limits = ObjectLimits()
        limits.arenaBytes = 256 << 10
        return limits
    }()

    /// Records as an earlier supervisor might have left them, sound and not.
    @Test func eachRecordIsLookedAt() async throws {
        let token = "0123456789abcdef"
        let good = StoredObject(
            id: 5, job: token, index: 0, metadata: [:], state: .committed,
            extents: [ObjectExtent(arena: 1, offset: 16 << 10, length: 100)], cursorArena: 1, cursor: 0, length: 100,
            sha256: String(repeating: "0", count: 64), reason: nil)
        let changes: [(inout StoredObject) -> Void] = [
            { $0.id = 0 }, { $0.id = 1 << 60 }, { $0.job = "another-job-altogether" }, { $0.index = -1 }, { $0.metadata = [1] },
            { $0.extents[0].offset = 0 }, { $0.extents[0].offset = (16 << 10) + 1 }, { $0.extents[0].length = .max },
            { $0.extents[0].length = -1 }, { $0.extents[0].offset = .min }, { $0.length = 99 }, { $0.length = -1 }, { $0.sha256 = "x" },
            { $0.sha256 = nil }, { $0.cursor = 64 }, { $0.cursor = -1 }, { $0.state = .open }, { $0.state = .abandoned },
            { $0.extents += Array(repeating: $0.extents[0], count: 50) }, { $0.reason = String(repeating: "r", count: 301) },
        ]
        for (index, change) in changes.enumerated() {
            var object = good
            change(&object)
            #expect(try await adopted(object, token) == nil, "change \(index)")
        }
        #expect(try await adopted(good, token)?.state == .committed)
        // Sound by themselves, and not to be had: another arena, or bytes that are somebody else's
        // already.
        var lost = good
        lost.extents[0].arena = 7
        #expect(try await adopted(lost, token)?.state == .abandoned)
        var twice = good
        twice.extents = [good.extents[0], good.extents[0]]
        twice.length = 200
        #expect(try await adopted(twice, token)?.state == .abandoned)
    }

    /// What becomes of an object's record, beside those of its job and of an arena.
    private func adopted(_ object: StoredObject, _ token: String) async throws -> ObjectStatus? {
        let records = try RecordMemory(slotCount: Self.limits.slotCount)
        let arena = try ObjectArena(layout: ArenaLayout(byteCount: 256 << 10)!)
        for record in [
            StoredRecord.object(object), .job(StoredJob(token: token, device: "d", user: 1, opened: 0)),
            .arena(StoredArena(number: 1, device: "d", user: 1)),
        ] { #expect(records.put(try JSON.encode(record)) != nil) }
        let descriptors = [
            StoredDescriptor(name: "objects-records", descriptor: clinux_duplicate(records.descriptor)),
            StoredDescriptor(name: "objects-1", descriptor: clinux_duplicate(arena.descriptor)),
        ]
        return await adopt(descriptors, token)
    }

    @SupervisorActor private func adopt(_ descriptors: [StoredDescriptor], _ token: String) -> ObjectStatus? {
        let keeper = ObjectKeeper(
            Self.limits, stateDirectory: folder.path, successionStore: nil, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        keeper.adopt(descriptors)
        return keeper.jobs[token]?.objects.first.map { keeper.status(of: $0) }
    }
}
