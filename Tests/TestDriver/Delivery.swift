// A test driver's objects: it delivers what a job asks for, goes on where a dead one stopped, dies
// where it is told to, and says what it likes.

import CLinux
import DriverObjects
import Glibc
import ObjectPattern
import Synchronization
import Wire

/// Delivers objects on tasks of its own.
final class Delivery: Sendable {
    /// Where the process ends itself.
    enum Death: String {
        case opened, half, full, committing, committed
    }

    let link: ObjectLink
    private let channel: Channel
    private let busy = Mutex<Set<String>>([])
    /// A commit was answered.
    private let isAnswered = Atomic(false)

    init(_ channel: Channel) {
        self.channel = channel
        link = ObjectLink { word in
            do { try channel.send(MessageFromDriver.object(word)) } catch { _exit(0) }
        }
    }

    /// `{"job", "seed", "count", "largest", "death"}`: has as many objects as are missing
    /// delivered. Asked twice it does it once.
    func begin(_ parameters: JSONValue) {
        guard let job = parameters["job"]?.stringValue, let count = parameters["count"]?.intValue,
            busy.withLock({ $0.insert(job).inserted })
        else { return }
        let (seed, largest) = (UInt64(parameters["seed"]?.intValue ?? 1), parameters["largest"]?.intValue ?? 100_000)
        let death = parameters["death"]?.stringValue.flatMap(Death.init)
        Task.detached {
            do {
                try await self.deliver(job, seed, count, largest, death)
            } catch {
                self.say("the delivery ended: \(error)")
            }
            _ = self.busy.withLock { $0.remove(job) }
        }
    }

    private func say(_ text: String) {
        do { try channel.send(MessageFromDriver.log(level: "info", message: text)) } catch { _exit(0) }
    }

    private func deliver(_ job: String, _ seed: UInt64, _ count: Int, _ largest: Int, _ death: Death?) async throws {
        guard let known = try await link.jobs().first(where: { $0.job == job }) else { return }
        for unfinished in known.unfinished {
            try await finish(try await link.resume(unfinished.id), seed, largest, death)
        }
        guard known.opened < count else { return }
        for index in known.opened..<count {
            let size = ObjectPattern.size(seed, index, largest: largest)
            let writer = try await link.open(
                job: job, metadata: ["name": .string("page \(index)"), "seed": .int(Int64(seed))], space: size)
            try await finish(writer, seed, largest, death)
        }
    }

    private func finish(_ writer: ObjectWriter, _ seed: UInt64, _ largest: Int, _ death: Death?) async throws {
        if death == .opened { _exit(31) }
        let size = ObjectPattern.size(seed, writer.index, largest: largest)
        while writer.length < size {
            let count = min(40_000, size - writer.length)
            try await writer.append(ObjectPattern.bytes(seed, writer.index, from: writer.length, count: count))
            if death == .half, writer.length >= size / 2 { _exit(32) }
        }
        if death == .full { _exit(33) }
        if death == .committing {
            let task = Task {
                try await writer.commit()
                isAnswered.store(true, ordering: .relaxed)
            }
            // It is sent by the time that there is something to read. Or was: the channel's thread may be quicker.
            while !hasAnswer, !isAnswered.load(ordering: .relaxed) { await Task.yield() }
            _ = task
            _exit(34)
        }
        try await writer.commit()
        if death == .committed { _exit(35) }
    }

    private var hasAnswer: Bool {
        var entry = pollfd(fd: channel.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }
}

/// What a test has a driver say word for word, and what it is answered.
struct RawObjects {
    /// The call that is answered with the order, by the order's request.
    private var calls: [UInt64: UInt64] = [:]
    private var arenas: [Int32] = []

    mutating func say(_ word: ObjectWord, for call: UInt64, _ channel: Channel) throws {
        if let request = word.request { calls[request] = call }
        try channel.send(MessageFromDriver.object(word))
    }

    /// Whether that is an answer to what was said word for word. Keeps the arenas.
    mutating func take(_ order: ObjectOrder, _ descriptors: [Int32], _ channel: Channel) throws -> Bool {
        guard let request = order.request, let call = calls.removeValue(forKey: request) else { return false }
        arenas += descriptors.map { clinux_duplicate($0) }
        try channel.send(MessageFromDriver.reply(DriverReply(id: call, result: ["order": try JSONValue(encoding: order)])))
        return true
    }

    /// Overwrites every byte of every arena that it has.
    func scribble() -> Int {
        for arena in arenas {
            var status = stat()
            guard fstat(arena, &status) == 0, let memory = mmap(nil, Int(status.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, arena, 0),
                memory != MAP_FAILED
            else { continue }
            memset(memory, 0xff, Int(status.st_size))
        }
        return arenas.count
    }
}

extension ObjectWord {
    var request: UInt64? {
        switch self {
        case .open(let opening): opening.request
        case .extend(let request, _, _), .resume(let request, _), .abandon(let request, _, _), .jobs(let request): request
        case .commit(let commit): commit.request
        case .released: nil
        }
    }
}

extension ObjectOrder {
    var request: UInt64? {
        switch self {
        case .granted(let grant): grant.request
        case .refused(let request, _), .done(let request), .jobs(let request, _): request
        case .gone, .arenaReleased: nil
        }
    }
}
