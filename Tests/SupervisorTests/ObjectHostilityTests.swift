// Drivers and clients that mean harm, as far as objects go: what they must not get, and that nobody
// else notices.

import CLinux
import Glibc
import Testing
import UserDriverClient
import Wire

@testable import Supervisor

@Suite("Hostile drivers and clients of objects", .serialized, .timeLimit(.minutes(5))) struct ObjectHostilityTests {
    private static let digest = String(repeating: "0", count: 64)

    private func opening(_ request: UInt64, _ job: String, space: Int = 1, metadata: JSONValue = [:]) -> ObjectWord {
        .open(ObjectOpening(request: request, job: job, metadata: metadata, space: space))
    }

    private func commit(_ request: UInt64, _ id: UInt64, _ length: Int, _ sha256: String = digest) -> ObjectWord {
        .commit(ObjectCommit(request: request, id: id, length: length, sha256: sha256))
    }

    @Test func aDriverIsRefusedWhatMakesNoSense() async throws {
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        let long = JSONValue.string(String(repeating: "m", count: 4096))
        #expect(try await bench.refusal(opening(1000, "nobody-asked-for-this")) == "NoSuchJob")
        #expect(try await bench.refusal(opening(1001, job.token, space: -1)) == "InvalidParameter")
        #expect(try await bench.refusal(opening(1002, job.token, space: .min)) == "InvalidParameter")
        #expect(try await bench.refusal(opening(1003, job.token, metadata: ["name": long])) == "InvalidParameter")
        #expect(try await bench.refusal(opening(1004, job.token, metadata: [1])) == "InvalidParameter")
        #expect(try await job.objects().isEmpty)
        let grant = try await bench.grant(opening(1005, job.token, space: 1))
        let space = grant.extents.reduce(0) { $0 + $1.length }
        for length in [-1, space + 1, .max, .min] { #expect(try await bench.refusal(commit(1006, grant.id, length)) == "InvalidParameter") }
        for digest in ["", "0", String(repeating: "F", count: 64), String(repeating: "0", count: 66)] {
            #expect(try await bench.refusal(commit(1007, grant.id, 1, digest)) == "InvalidParameter")
        }
        for id in [0, grant.id + 1, grant.id - 1, .max >> 1] as [UInt64] {
            #expect(try await bench.refusal(commit(1008, id, 1)) == "NoSuchObject")
            #expect(try await bench.refusal(.extend(request: 1009, id: id, space: 1)) == "NoSuchObject")
            #expect(try await bench.refusal(.resume(request: 1010, id: id)) == "NoSuchObject")
            #expect(try await bench.refusal(.abandon(request: 1011, id: id, reason: "x")) == "NoSuchObject")
        }
        for space in [0, -1, .min] {
            #expect(try await bench.refusal(.extend(request: 1012, id: grant.id, space: space)) == "InvalidParameter")
        }
        // It is being written by this very process.
        #expect(try await bench.refusal(.resume(request: 1013, id: grant.id)) == "NotPermitted")
        guard case .done = try await bench.say(commit(1014, grant.id, 7)) else {
            Issue.record("not committed")
            return
        }
        // What is whole stays as it is.
        #expect(try await bench.refusal(commit(1015, grant.id, 8)) == "NotPermitted")
        #expect(try await bench.refusal(.abandon(request: 1016, id: grant.id, reason: "x")) == "NotPermitted")
        #expect(try await bench.refusal(.extend(request: 1017, id: grant.id, space: 1)) == "NotPermitted")
        let status = try #require(try await job.objects().first)
        #expect(status.state == .committed && status.length == 7)
        await bench.stop()
    }

    /// A driver has every arena of its own mapped for writing, and can change what it has
    /// committed. Nobody takes that for the object.
    @Test func whatADriverAltersIsNotBelieved() async throws {
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        let grant = try await bench.grant(opening(1000, job.token, space: 1))
        // Seven zeroes, as nothing was written.
        let zeroes = "837885c8f8091aeaeb9ec3c3f85a6ff470a415e610b8ba3e49f9b33c9cf9d619"
        guard case .done = try await bench.say(commit(1001, grant.id, 7, zeroes)) else { return }
        let object = try await job.open(grant.id)
        #expect(try object.bytes() == [UInt8](repeating: 0, count: 7))
        let other = try await bench.grant(opening(1002, job.token))
        guard case .done = try await bench.say(commit(1003, other.id, 0, empty)) else { return }
        let reply = try await bench.bench.client().call("io.userdriver.camera.GetControl", ["name": "scribble"])
        #expect(reply["arenas"] == 1)
        do throws(ClientError) {
            _ = try object.bytes()
            Issue.record("altered bytes were believed")
        } catch {
            #expect(error.code == .altered)
        }
        let path = bench.bench.folder.path + "/object"
        #expect(throws: ClientError.self) { try object.save(to: path) }
        #expect(access(path, F_OK) != 0 && access(path + ".part-\(grant.id)", F_OK) != 0)
        #expect(try await job.open(other.id).bytes() == [])
        // It is got rid of like any other.
        try await job.acknowledge(grant.id)
        await bench.stop()
    }

    @Test func aThousandOpensAreBounded() async throws {
        let bench = try await ObjectBench {
            $0.limits.objects.openPerDevice = 4
            $0.limits.objects.waitingPerDevice = 8
        }
        let job = try await bench.client.openJob()
        // Twelve of them are granted or wait; each connection asks for one.
        var granted = 0
        for request in UInt64(1000)..<1004 {
            _ = try await bench.grant(opening(request, job.token))
            granted += 1
        }
        let clients = try (0..<8).map { _ in try bench.bench.client() }
        for (index, client) in clients.enumerated() {
            try await client.send(
                "io.userdriver.camera.GetControl",
                ["name": "say", "word": try JSONValue(encoding: opening(2000 + UInt64(index), job.token))])
        }
        // Calls are taken in the order in which they come from one connection only: all eight wait
        // once a further one is refused.
        var refusal = ""
        for request in UInt64(3000)..<4000 where refusal.isEmpty {
            if await bench.waiting == 8 {
                refusal = try await bench.refusal(opening(request, job.token))
            } else {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        #expect(refusal == "LimitReached")
        #expect(try await job.objects().count == 4)
        // All of it goes with its driver, and a client is none the worse.
        try await bench.killDriver()
        try await job.discard()
        let next = try await bench.client.openJob()
        try await bench.deliver(next.token, ["count": 3])
        var collector = Collector()
        try await collector.take(3, of: next)
        #expect(collector.problems.isEmpty)
        await bench.stop()
    }

    /// Nothing can be acknowledged, so there will never be room: that is said, instead of waiting
    /// for ever.
    @Test func anObjectThatCanNeverFitIsRefused() async throws {
        let bench = try await ObjectBench { $0.limits.objects.arenasPerDevice = 1 }
        let job = try await bench.client.openJob()
        let grant = try await bench.grant(opening(1000, job.token, space: 240 << 10))
        #expect(grant.extents.reduce(0) { $0 + $1.length } == 240 << 10)
        #expect(try await bench.refusal(.extend(request: 1001, id: grant.id, space: 1)) == "LimitReached")
        guard case .done = try await bench.say(.abandon(request: 1003, id: grant.id, reason: "It is too large.\u{1b}[31m")) else { return }
        let status = try #require(try await job.objects().first)
        #expect(status.state == .abandoned && status.reason == "It is too large. [31m")
        // And there is room again.
        _ = try await bench.grant(opening(1004, job.token, space: 240 << 10))
        await bench.stop()
    }

    /// A driver may write on for a while in an object that nobody wants: nobody else gets that
    /// memory before it has let go.
    @Test func discardedSpaceIsNobodysBeforeItsWriterLetsGo() async throws {
        let bench = try await ObjectBench { $0.limits.objects.arenasPerDevice = 1 }
        let job = try await bench.client.openJob()
        let grant = try await bench.grant(opening(1000, job.token, space: 240 << 10))
        let other = try await bench.client.openJob()
        try await job.discard()
        // The framework's side answers at once that it has let go.
        let next = try await bench.grant(opening(1001, other.token, space: 100))
        #expect(next.id > grant.id)
        #expect(await bench.gone == 0)
        #expect(try await bench.refusal(commit(1002, grant.id, 1)) == "NoSuchObject")
        await bench.stop()
    }

    @Test func aClientIsRefusedWhatIsNotItsOwn() async throws {
        let bench = try await ObjectBench {
            $0.limits.objects.jobsPerUser = 3
        }
        let client = try bench.bench.client()
        func error(_ method: String, _ parameters: JSONValue) async throws -> String {
            do {
                _ = try await bench.bench.client().call("io.userdriver.\(method)", parameters)
                return ""
            } catch let error as CallError {
                return String(error.code.split(separator: ".").last ?? "")
            }
        }
        for token in [
            "", "short", String(repeating: "x", count: 65), "with spaces in its name", "with/slashes/in/its/name",
            "umläute-sind-keine-zeichen",
        ] {
            #expect(try await error("OpenJob", ["job": .string(token)]) == "InvalidParameter")
        }
        let job = try await bench.client.openJob()
        let other = try await bench.client.openJob()
        let grant = try await bench.grant(opening(1000, job.token))
        #expect(try await error("OpenObject", ["id": .int(Int64(grant.id))]) == "Busy")
        #expect(try await error("AcknowledgeObject", ["id": .int(Int64(grant.id)), "job": .string(job.token)]) == "Busy")
        guard case .done = try await bench.say(commit(1001, grant.id, 1)) else { return }
        #expect(try await error("AcknowledgeObject", ["id": .int(Int64(grant.id)), "job": .string(other.token)]) == "NoSuchObject")
        #expect(try await error("AcknowledgeObject", ["id": .int(Int64(grant.id)), "job": "a-job-of-nobody-at-all"]) == "NoSuchJob")
        #expect(try await error("AcknowledgeObject", ["id": .int(Int64(grant.id))]) == "InvalidParameter")
        for id in [JSONValue.int(-1), "1", 1.5, .null, .int(.min)] {
            #expect(try await error("AcknowledgeObject", ["id": id, "job": .string(job.token)]) == "InvalidParameter")
            #expect(try await error("OpenObject", ["id": id]) == "InvalidParameter")
        }
        #expect(try await error("OpenObject", ["id": .int(.max)]) == "NoSuchObject")
        #expect(try await error("Objects", ["job": "a-job-of-nobody-at-all"]) == "NoSuchJob")
        #expect(try await error("DiscardJob", ["job": "a-job-of-nobody-at-all"]) == "NoSuchJob")
        #expect(try await error("Objects", ["after": -1]) == "InvalidParameter")
        // It is there still.
        #expect(try await job.objects().map(\.id) == [grant.id])
        // One that has nothing makes room for another; one that has objects does not.
        var jobs = [job]
        for _ in 0..<4 { jobs.append(try await bench.client.openJob()) }
        #expect(try await job.objects().map(\.id) == [grant.id])
        #expect(try await error("Objects", ["job": .string(other.token)]) == "NoSuchJob")
        _ = client
        await bench.stop()
    }

    /// Users see and acknowledge their own. (A test has one user: the others are asked for where
    /// that is decided.)
    @Test func usersDoNotSeeEachOthersObjects() async throws {
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        let grant = try await bench.grant(opening(1000, job.token))
        guard case .done = try await bench.say(commit(1001, grant.id, 1)) else { return }
        let objects = await bench.bench.supervisor.objects
        await onSupervisor {
            let stranger = ObjectKeeper.Viewer(user: 4711, seesAll: false)
            #expect(throws: CallError.self) { try objects.job(job.token, of: stranger) }
            #expect(throws: CallError.self) { try objects.read(grant.id, viewer: stranger) }
            #expect(throws: CallError.self) { try objects.acknowledge(grant.id, job: job.token, user: 4711) }
            #expect(throws: CallError.self) { try objects.openJob(job.token, device: job.deviceID, user: 4711) }
            #expect(throws: CallError.self) { try objects.openJob(job.token, device: "another", user: geteuid()) }
            let list = try? objects.list(device: nil, job: nil, after: 0, viewer: stranger)
            #expect(list?.objects.isEmpty == true)
        }
        // Their objects lie in arenas of their own.
        let token = DeviceJob.newToken()
        await onSupervisor { #expect(throws: Never.self) { try objects.openJob(token, device: job.deviceID, user: 4711) } }
        let other = try await bench.grant(opening(1002, token))
        #expect(Set(other.extents.map(\.arena)).isDisjoint(with: grant.extents.map(\.arena)))
        await bench.stop()
    }

    /// A long list is given in parts, none of which is more than a connection takes.
    @Test func longListsComeInParts() async throws {
        let bench = try await ObjectBench {
            $0.limits.objects.listBytes = 3000
            $0.limits.objects.arenaBytes = 1 << 20
        }
        let job = try await bench.client.openJob()
        for request in UInt64(1000)..<1020 {
            let grant = try await bench.grant(opening(request, job.token))
            guard case .done = try await bench.say(commit(request, grant.id, 1)) else { return }
        }
        let first = try await bench.bench.client().call("io.userdriver.Objects", ["job": .string(job.token)])
        #expect(first["next"] != nil)
        let all = try await job.objects()
        #expect(all.map(\.index) == Array(0..<20))
        await bench.stop()
    }

    @SupervisorActor private func onSupervisor(_ work: @SupervisorActor () -> Void) { work() }
}
