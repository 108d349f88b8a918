// A supervisor whose test driver delivers objects, and what a client makes of them.

import CLinux
import Glibc
import ObjectPattern
import Testing
import UserDriverClient
import Wire

@testable import Supervisor

/// One device whose driver delivers objects, under one supervisor after the other.
final class ObjectBench: Sendable {
    let bench: Bench
    let client: UserDriverClient

    /// Small arenas, so that an object takes several.
    init(
        _ folder: TemporaryFolder = TemporaryFolder(), store: FakeStore? = nil, inherits: Bool = false,
        adjust: (inout SupervisorConfiguration) -> Void = { _ in }
    ) async throws {
        bench = try await Bench("good", in: folder) { configuration in
            configuration.limits.objects.arenaBytes = 256 << 10
            configuration.store = store
            if inherits, let store { configuration.inherited = store.handOver() }
            configuration.timing.callLimit = .seconds(200)
            configuration.limits.objects.resumePatience = .seconds(300)
            adjust(&configuration)
        }
        client = UserDriverClient(runtimeDirectory: RuntimeDirectory(folder.path))
        try await bench.drive()
    }

    func deliver(_ job: String, _ parameters: [String: JSONValue] = [:]) async throws {
        let all = ["name": "deliver", "job": .string(job)].merging(parameters) { $1 }
        _ = try await bench.client().call("io.userdriver.camera.GetControl", .object(all))
    }

    /// Has the driver say that, word for word; what it is answered.
    func say(_ word: ObjectWord) async throws -> ObjectOrder {
        let reply = try await bench.client().call(
            "io.userdriver.camera.GetControl", ["name": "say", "word": try JSONValue(encoding: word)])
        return try #require(try reply["order"]?.decoded(as: ObjectOrder.self))
    }

    /// The same for what is to be refused: the code.
    func refusal(_ word: ObjectWord) async throws -> String {
        guard case .refused(_, let error) = try await say(word) else { return "" }
        return error.code
    }

    func grant(_ word: ObjectWord) async throws -> ObjectGrant {
        let order = try await say(word)
        guard case .granted(let grant) = order else { throw CallError("Refused", "\(order)") }
        return grant
    }

    /// Requests for space that wait.
    @SupervisorActor var waiting: Int { bench.supervisor.objects.accounts.values.reduce(0) { $0 + ($1.desk?.waiting.count ?? 0) } }
    /// Objects that were discarded and whose writers have not let go.
    @SupervisorActor var gone: Int { bench.supervisor.objects.accounts.values.reduce(0) { $0 + $1.gone.count } }
    @SupervisorActor var isEmpty: Bool {
        let objects = bench.supervisor.objects
        return objects.arenas.isEmpty && objects.objects.isEmpty && objects.jobs.isEmpty
    }

    var processID: Int32 { get async throws { try #require(try await bench.status().first?.pid) } }

    /// Ends the driver, and waits for the next one.
    func killDriver() async throws {
        let listener = try await bench.listener()
        let driver = try await processID
        #expect(kill(driver, SIGKILL) == 0)
        _ = try await listener.event("running")
    }

    func stop() async { await bench.stop() }
}

/// A client that takes each object once, and knows of it afterwards.
struct Collector {
    let seed: UInt64
    let largest: Int
    var seen: [UInt64: Int] = [:]
    var problems: [String] = []

    init(seed: UInt64 = 1, largest: Int = 100_000) {
        self.seed = seed
        self.largest = largest
    }

    /// Takes objects until there were so many.
    mutating func take(_ count: Int, of job: DeviceJob, timeout: Duration = .seconds(200)) async throws {
        while seen.count < count {
            let next = try await job.next(timeout: timeout)
            try await take(next, of: job)
            try await job.acknowledge(next.id)
        }
    }

    /// Looks at an object, whether it is what it should be.
    mutating func take(_ status: ObjectStatus, of job: DeviceJob) async throws {
        guard status.state == .committed else {
            problems.append("\(status.id) is \(status.state): \(status.reason ?? "")")
            return
        }
        if let index = seen[status.id], index != status.index { problems.append("\(status.id) is \(status.index), and was \(index)") }
        if seen.contains(where: { $0.value == status.index && $0.key != status.id }) { problems.append("\(status.index) came twice") }
        let size = ObjectPattern.size(seed, status.index, largest: largest)
        let bytes = try await job.open(status.id).bytes()
        if bytes != ObjectPattern.bytes(seed, status.index, count: size) { problems.append("\(status.index) has other bytes") }
        seen[status.id] = status.index
    }
}
