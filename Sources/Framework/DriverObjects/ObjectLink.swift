// A driver's way to the supervisor for objects: asks for space, and has the arenas that it was
// given mapped.

public import FileDescriptors
import Glibc
import ObjectStore
import Synchronization
public import UserDriver
public import Wire

extension DriverContext {
    /// Objects of this device: pages, photos, files, which reach the program that asked for them
    /// whole and exactly once, whatever dies in between.
    public var objects: ObjectLink { supervisor.objects }
}

extension SupervisorLink {
    public var objects: ObjectLink {
        let receiver = objectReceiver {
            ObjectLink(activity: { [weak self] name in self?.activity(name, unit: "bytes") }) { [weak self] word in self?.send(word) }
        }
        guard let link = receiver as? ObjectLink else { preconditionFailure("another module takes the messages about objects") }
        return link
    }
}

/// The driver's side of objects, usable from any thread.
public final class ObjectLink: ObjectReceiver, Sendable {
    private enum Answer: Sendable {
        case granted(ObjectGrant)
        case done
        case jobs([ObjectJob])
    }

    private struct State {
        var nextRequest: UInt64 = 1
        var waiting: [UInt64: CheckedContinuation<Answer, any Error>] = [:]
        var arenas: [UInt64: ArenaMapping] = [:]
        var writers: [UInt64: WeakWriter] = [:]
    }
    private struct WeakWriter { weak var writer: ObjectWriter? }

    private let state = Mutex(State())
    private let post: @Sendable (ObjectWord) -> Void

    let activity: @Sendable (String) -> Progress.Activity?

    /// `post` sends a message to the supervisor, `activity` counts an object's bytes.
    public init(
        activity: @escaping @Sendable (String) -> Progress.Activity? = { _ in nil }, post: @escaping @Sendable (ObjectWord) -> Void
    ) {
        self.post = post
        self.activity = activity
    }

    // MARK: What a driver does

    /// The jobs that clients have with this device, how many objects each had so far, and which of
    /// those are unfinished. Everything that is neither unfinished nor still to come has been
    /// delivered: don't do it again.
    public func jobs() async throws -> [ObjectJob] {
        guard case .jobs(let jobs) = try await ask({ .jobs(request: $0) }) else { throw Self.broken }
        return jobs
    }

    /// Begins an object of a job. Waits while there is no room, until clients have acknowledged
    /// others.
    /// - Parameters:
    ///   - metadata: what it is, for clients: a JSON object of at most 4 KiB; `name` is shown.
    ///   - space: the bytes it will have, if known.
    public func open(job: String, metadata: JSONValue = .object([:]), space: Int = 0) async throws -> ObjectWriter {
        let answer = try await ask { .open(ObjectOpening(request: $0, job: job, metadata: metadata, space: space)) }
        guard case .granted(let grant) = answer else { throw Self.broken }
        return try writer(grant)
    }

    /// Continues an object that an earlier process of this device left unfinished:
    /// `ObjectWriter.length` says where.
    public func resume(_ id: UInt64) async throws -> ObjectWriter {
        guard case .granted(let grant) = try await ask({ .resume(request: $0, id: id) }) else { throw Self.broken }
        return try writer(grant)
    }

    // MARK: What a writer does

    func extend(_ id: UInt64, by space: Int) async throws -> ObjectGrant {
        guard case .granted(let grant) = try await ask({ .extend(request: $0, id: id, space: space) }) else { throw Self.broken }
        return grant
    }

    func commit(_ id: UInt64, length: Int, sha256: String) async throws {
        _ = try await ask { .commit(ObjectCommit(request: $0, id: id, length: length, sha256: sha256)) }
    }

    func abandon(_ id: UInt64, _ reason: String) async throws {
        _ = try await ask { .abandon(request: $0, id: id, reason: String(reason.prefix(300))) }
    }

    func arena(_ number: UInt64) -> ArenaMapping? { state.withLock { $0.arenas[number] } }

    private func writer(_ grant: ObjectGrant) throws -> ObjectWriter {
        let writer = try ObjectWriter(self, grant)
        state.withLock { state in
            for (id, entry) in state.writers where entry.writer == nil { state.writers[id] = nil }
            state.writers[grant.id] = WeakWriter(writer: writer)
        }
        return writer
    }

    private func ask(_ word: (UInt64) -> ObjectWord) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            let request = state.withLock { state in
                defer { state.nextRequest += 1 }
                state.waiting[state.nextRequest] = continuation
                return state.nextRequest
            }
            post(word(request))
        }
    }

    // MARK: What the supervisor says

    public func take(_ order: ObjectOrder, descriptors: consuming OwnedDescriptors) {
        switch order {
        case .granted(let grant):
            do throws(ObjectStoreError) {
                try map(grant, descriptors.numbers)
                answer(grant.request, .success(.granted(grant)))
            } catch {
                answer(grant.request, .failure(CallError("DeviceError", "\(error)")))
            }
        case .refused(let request, let error): answer(request, .failure(error))
        case .done(let request): answer(request, .success(.done))
        case .jobs(let request, let jobs): answer(request, .success(.jobs(jobs)))
        case .gone(let id, let reason):
            state.withLock { $0.writers.removeValue(forKey: id) }?.writer?.end(CallError("NoSuchObject", reason))
            post(.released(id: id))
        case .arenaReleased(let number): state.withLock { $0.arenas[number] = nil }
        }
    }

    private func map(_ grant: ObjectGrant, _ descriptors: [Int32]) throws(ObjectStoreError) {
        guard let layout = ArenaLayout(byteCount: grant.arenaBytes), grant.arenas.count == descriptors.count else {
            throw ObjectStoreError("grant", "the supervisor's arenas do not fit")
        }
        for (number, descriptor) in zip(grant.arenas, descriptors) {
            let mapping = try ArenaMapping(descriptor: descriptor, layout: layout)
            state.withLock { $0.arenas[number] = mapping }
        }
    }

    private func answer(_ request: UInt64, _ result: Result<Answer, any Error>) {
        state.withLock { $0.waiting.removeValue(forKey: request) }?.resume(with: result)
    }

    private static let broken = CallError("ContractBroken", "The supervisor answered something other than what it was asked.")
}
