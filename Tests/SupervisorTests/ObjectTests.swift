// Objects from a driver to a client: whole, once, whatever dies in between.

import CLinux
import Glibc
import ObjectPattern
import Testing
import UserDriverClient
import Wire

@testable import Supervisor

@Suite("Objects", .serialized, .timeLimit(.minutes(5))) struct ObjectTests {
    @Test func reachWhoeverAskedForThem() async throws {
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        #expect(try await job.objects().isEmpty)
        try await bench.deliver(job.token, ["count": 12])
        var collector = Collector()
        try await collector.take(12, of: job)
        #expect(collector.problems.isEmpty, "\(collector.problems)")
        #expect(Set(collector.seen.values) == Set(0..<12))
        #expect(try await job.objects().isEmpty)
        try await job.discard()
        await #expect(throws: ClientError.self) { try await job.objects() }
        await bench.stop()
    }

    /// Larger than an arena: 700 KB in arenas of 256 KiB.
    @Test func mayTakeSeveralArenas() async throws {
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        try await bench.deliver(job.token, ["count": 20, "largest": 1_200_000])
        var collector = Collector(largest: 1_200_000)
        try await collector.take(20, of: job)
        #expect(collector.problems.isEmpty, "\(collector.problems)")
        #expect((0..<20).contains { ObjectPattern.size(1, $0, largest: 1_200_000) > 512 << 10 })
        await bench.stop()
    }

    /// There is no room for all of them: the driver waits for acknowledgements, and is not refused.
    @Test func waitForRoom() async throws {
        let bench = try await ObjectBench {
            $0.limits.objects.arenasPerUser = 1
            $0.limits.objects.objectsPerJob = 4
        }
        let job = try await bench.client.openJob()
        try await bench.deliver(job.token, ["count": 40])
        var collector = Collector()
        try await collector.take(40, of: job)
        #expect(collector.problems.isEmpty, "\(collector.problems)")
        await bench.stop()
    }

    @Test(arguments: ["opened", "half", "full", "committing", "committed"]) func surviveTheirDriver(death: String) async throws {
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        let listener = try await bench.bench.listener()
        try await bench.deliver(job.token, ["count": 5, "largest": 300_000, "death": .string(death)])
        _ = try await listener.event("running")
        try await bench.deliver(job.token, ["count": 5, "largest": 300_000])
        var collector = Collector(largest: 300_000)
        try await collector.take(5, of: job)
        #expect(collector.problems.isEmpty, "\(collector.problems)")
        #expect(Set(collector.seen.values) == Set(0..<5))
        await bench.stop()
    }

    /// What the dead one had written is not written again.
    @Test func goOnAtTheirLength() async throws {
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        let grant = try await bench.grant(.open(ObjectOpening(request: 1000, job: job.token, metadata: ["name": "x"], space: 20_000)))
        #expect(grant.index == 0 && grant.length == 0 && grant.extents.map(\.length) == [32 << 10])
        let listed = try #require(try await job.objects().first)
        #expect(listed.state == .open && listed.name == "x" && listed.id == grant.id)
        try await bench.killDriver()
        guard case .jobs(_, let jobs) = try await bench.say(.jobs(request: 1001)) else { return }
        #expect(jobs == [ObjectJob(job: job.token, opened: 1, unfinished: [.init(id: grant.id, index: 0, length: 0)])])
        let again = try await bench.grant(.resume(request: 1002, id: grant.id))
        #expect(again.extents == grant.extents && again.metadata == ["name": "x"])
        // Its arena comes with it, as it is another process.
        #expect(again.arenas == grant.arenas)
        await bench.stop()
    }

    /// Nobody goes on with it: that is said, and not forgotten.
    @Test func thatNobodyGoesOnWithAreAbandoned() async throws {
        let bench = try await ObjectBench { $0.limits.objects.resumePatience = .milliseconds(20) }
        let job = try await bench.client.openJob()
        let grant = try await bench.grant(.open(ObjectOpening(request: 1000, job: job.token, metadata: [:], space: 1)))
        try await bench.killDriver()
        let abandoned = try await job.next(timeout: .seconds(200))
        #expect(abandoned.id == grant.id && abandoned.state == .abandoned)
        #expect(abandoned.reason?.contains("did not continue it") == true)
        #expect(try await bench.refusal(.resume(request: 1001, id: grant.id)) == "NotPermitted")
        try await job.acknowledge(grant.id)
        #expect(try await job.objects().isEmpty)
        await bench.stop()
    }

    @Test func areKeptForAClientThatComesBack() async throws {
        let bench = try await ObjectBench()
        let token = DeviceJob.newToken()
        do {
            let job = try await bench.client.openJob(token: token)
            try await bench.deliver(token, ["count": 3])
            _ = try await job.next(timeout: .seconds(200))
        }
        // Another one says the same token, and gets what was not acknowledged: the same ids.
        let job = try await bench.client.openJob(token: token)
        var collector = Collector()
        try await collector.take(3, of: job)
        #expect(collector.problems.isEmpty, "\(collector.problems)")
        // An acknowledgement that got lost is said again.
        for id in collector.seen.keys { try await job.acknowledge(id) }
        await bench.stop()
    }

    /// Numbers are not given again, by this daemon or the next, with a state folder or without.
    @Test func haveNumbersThatNobodyHadBefore() async throws {
        let folder = TemporaryFolder()
        var seen: Set<UInt64> = []
        for round in 0..<4 {
            let bench = try await ObjectBench(folder)
            let job = try await bench.client.openJob()
            try await bench.deliver(job.token, ["count": 3, "largest": 10])
            var collector = Collector(largest: 10)
            try await collector.take(3, of: job)
            #expect(seen.isDisjoint(with: collector.seen.keys), "round \(round)")
            seen.formUnion(collector.seen.keys)
            await bench.stop()
            let path = folder.path + "/state/object-ids.json"
            if round == 1 { unlink(path) }
            if round == 2 { try StateFile.write(Array("nonsense".utf8), to: path) }
        }
        #expect(seen.count == 12)
    }

    @Test func memoryIsGivenBack() async throws {
        let bench = try await ObjectBench { $0.limits.objects.arenasPerDevice = 3 }
        for _ in 0..<5 {
            let job = try await bench.client.openJob()
            try await bench.deliver(job.token, ["count": 10, "largest": 600_000])
            var collector = Collector(largest: 600_000)
            try await collector.take(10, of: job)
            #expect(collector.problems.isEmpty, "\(collector.problems)")
            try await job.discard()
        }
        for _ in 0..<2000 {
            if await bench.isEmpty { break }
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(await bench.isEmpty)
        await bench.stop()
    }
}
