// What drivers say of objects. None of it is believed: every number is looked at before anything
// changes.

import Logging
import ObjectStore
import Wire

extension ObjectKeeper {
    // MARK: A driver's life

    /// The desk of the process that has the device. Another process than before: what that one was
    /// writing is left unfinished.
    func desk(
        _ device: String, _ process: ObjectIdentifier, post: @escaping @SupervisorActor (ObjectOrder, [Int32]) -> Void
    ) -> ObjectDesk {
        if let desk = accounts[device]?.desk {
            if desk.process == process { return desk }
            driverEnded(device)
        }
        let desk = ObjectDesk(device: device, process: process, post: post)
        account(device).desk = desk
        return desk
    }

    /// No process writes any object of the device any more.
    func driverEnded(_ device: String) {
        guard let account = accounts[device] else { return }
        account.resumeTimer.lift()
        account.givenUp.driverHasEnded()
        if let desk = account.desk {
            account.desk = nil
            for object in openObjects(of: device) where object.writer === desk { object.writer = nil }
        }
        let gone = account.gone.values
        account.gone = [:]
        for object in gone { releaseSpace(of: object) }
        forgetIdleAccount(device)
    }

    /// A driver has the device. What its predecessor left it goes on with soon, or it is not gone
    /// on with.
    func driverStarted(_ device: String) {
        guard let account = accounts[device], !openObjects(of: device).isEmpty else { return }
        account.resumeTimer.set(after: limits.resumePatience) { [weak self] in
            guard let self else { return }
            for object in self.openObjects(of: device) where object.writer == nil {
                self.abandonQuietly(object, "The driver that wrote it died, and the next one did not continue it.")
            }
        }
    }

    private func openObjects(of device: String) -> [KeptObject] {
        (accounts[device]?.open.values).map { $0.sorted { $0.id < $1.id } } ?? []
    }

    func abandonQuietly(_ object: KeptObject, _ reason: String) {
        do throws(CallError) {
            try abandon(object, reason)
        } catch {
            logger.warning("an object stays unfinished", metadata: ["id": "\(object.id)", "error": "\(error)"])
        }
    }

    // MARK: What it says

    func take(_ word: ObjectWord, from desk: ObjectDesk) {
        switch word {
        case .open(let opening): answer(opening.request, desk) { () throws(CallError) in try open(opening, desk) }
        case .extend(let request, let id, let space):
            answer(request, desk) { () throws(CallError) in try extend(request, try writing(id, desk), space, desk) }
        case .resume(let request, let id): answer(request, desk) { () throws(CallError) in try resume(request, id, desk) }
        case .commit(let commit): answer(commit.request, desk) { () throws(CallError) in try self.commit(commit, desk) }
        case .abandon(let request, let id, let reason):
            answer(request, desk) { () throws(CallError) in
                try abandon(try writing(id, desk), reason)
                desk.send(.done(request: request))
            }
        case .released(let id):
            guard let object = accounts[desk.device]?.gone.removeValue(forKey: id) else { return }
            releaseSpace(of: object)
        case .jobs(let request): desk.send(.jobs(request: request, jobs(of: desk.device)))
        }
    }

    private func answer(_ request: UInt64, _ desk: ObjectDesk, _ work: () throws(CallError) -> Void) {
        do throws(CallError) { try work() } catch { desk.refuse(request, error) }
    }

    private func jobs(of device: String) -> [ObjectJob] {
        jobs.values.filter { $0.owner.device == device }.sorted { $0.token < $1.token }.map { job in
            ObjectJob(
                job: job.token, opened: job.opened,
                unfinished: job.objects.filter(\.isOpen).map {
                    ObjectJob.Unfinished(id: $0.id, index: $0.stored.index, length: writtenLength(of: $0))
                })
        }
    }

    /// The object, where this process is writing it.
    private func writing(_ id: UInt64, _ desk: ObjectDesk) throws(CallError) -> KeptObject {
        guard let object = objects[id], object.job.owner.device == desk.device else {
            throw CallError("NoSuchObject", "There is no object \(id).")
        }
        guard object.isOpen, object.writer === desk else { throw CallError("NotPermitted", "This process is not writing object \(id).") }
        let isWaiting = desk.waiting.contains { if case .extend(_, let other, _) = $0 { other === object } else { false } }
        guard !isWaiting else { throw CallError("Busy", "Space was already requested for object \(id): wait for the answer.") }
        return object
    }

    // MARK: Space

    private func open(_ opening: ObjectOpening, _ desk: ObjectDesk) throws(CallError) {
        guard let job = jobs[opening.job], job.owner.device == desk.device else {
            throw CallError("NoSuchJob", "Nobody has asked this device for objects by that name.")
        }
        guard case .object = opening.metadata, opening.metadata.encodedByteCount <= limits.metadataBytes else {
            throw CallError("InvalidParameter", "An object's metadata must be a JSON object of at most \(limits.metadataBytes) bytes.")
        }
        guard opening.space >= 0 else { throw CallError("InvalidParameter", "\(opening.space) bytes is not a valid amount of space.") }
        try wait(.open(opening, job), desk)
    }

    private func extend(_ request: UInt64, _ object: KeptObject, _ space: Int, _ desk: ObjectDesk) throws(CallError) {
        guard space > 0 else { throw CallError("InvalidParameter", "\(space) bytes is not a valid amount of space.") }
        try wait(.extend(request: request, object, space: space), desk)
    }

    /// Answers a request now, or when there is room. Who asks later is not answered first.
    private func wait(_ waiting: ObjectDesk.Waiting, _ desk: ObjectDesk) throws(CallError) {
        guard desk.waiting.count < limits.waitingPerDevice else {
            throw CallError("LimitReached", "\(limits.waitingPerDevice) requests for space are waiting already.")
        }
        desk.waiting.append(waiting)
        pump(desk.device)
    }

    /// Answers what waits for room, as far as there is some now. A user's requests are answered in
    /// their order; users do not wait for each other.
    func pump(_ device: String) {
        guard let desk = accounts[device]?.desk, !desk.waiting.isEmpty else { return }
        var full: Set<UInt32> = []
        var index = 0
        while index < desk.waiting.count {
            let waiting = desk.waiting[index]
            let user = waiting.job.owner.user
            guard !full.contains(user) else {
                index += 1
                continue
            }
            do throws(CallError) {
                if try grant(waiting, desk) {
                    desk.waiting.remove(at: index)
                    continue
                }
                guard !isHopeless(waiting, desk) else {
                    throw CallError("LimitReached", "There is no room for it, and nothing to acknowledge that would make some.")
                }
                full.insert(user)
                index += 1
                pumpLater(device)
            } catch {
                desk.waiting.remove(at: index)
                desk.refuse(waiting.request, error)
            }
        }
    }

    /// Memory that the driver is to let go of makes room without anybody saying so.
    private func pumpLater(_ device: String) {
        let account = account(device)
        guard account.givenUp.byteCount > 0, !account.pumpTimer.isSet else { return }
        account.pumpTimer.set(after: .milliseconds(100)) { [weak self] in self?.pump(device) }
    }

    /// Whether nothing that anybody does makes room: no object that could be acknowledged, nothing
    /// that is being given back, and nobody who writes on.
    private func isHopeless(_ waiting: ObjectDesk.Waiting, _ desk: ObjectDesk) -> Bool {
        if case .extend(_, let object, _) = waiting, object.stored.extents.count >= limits.extentsPerObject { return true }
        if case .open(_, let job) = waiting, isCountFull(job) { return !objects.values.contains { !$0.isOpen } }
        let (owner, account) = (waiting.job.owner, account(desk.device))
        guard reclaiming.isEmpty, account.gone.isEmpty, account.givenUp.byteCount == 0 else { return false }
        let isUserFull = isUserFull(owner)
        func isRelevant(_ object: KeptObject) -> Bool { !isUserFull || object.job.owner.user == owner.user }
        let waits = Set(
            desk.waiting.compactMap { waiting -> UInt64? in if case .extend(_, let object, _) = waiting { object.id } else { nil } })
        if account.open.values.contains(where: { isRelevant($0) && !waits.contains($0.id) }) { return false }
        return !objects.values.contains {
            $0.job.owner.device == owner.device && isRelevant($0) && !$0.isOpen && !$0.stored.extents.isEmpty
        }
    }

    /// Objects that are finished make room for others when they are acknowledged.
    private func isCountFull(_ job: KeptJob) -> Bool {
        job.objects.count >= limits.objectsPerJob || objects.count >= limits.objects
            || jobs.values.reduce(0) { $0 + ($1.owner.user == job.owner.user ? $1.objects.count : 0) } >= limits.objectsPerUser
    }

    /// False if there is no room now.
    private func grant(_ waiting: ObjectDesk.Waiting, _ desk: ObjectDesk) throws(CallError) -> Bool {
        switch waiting {
        case .open(let opening, let job):
            guard jobs[job.token] === job else { throw CallError("NoSuchJob", "Nobody wants that job's objects any more.") }
            guard !isCountFull(job), account(desk.device).open.count < limits.openPerDevice,
                let extents = extended([], by: opening.space, for: job.owner)
            else { return false }
            try create(opening, job, extents, desk)
        case .extend(let request, let object, let space):
            guard let extents = extended(object.stored.extents, by: space, for: object.job.owner) else { return false }
            var stored = object.stored
            stored.extents = extents
            do throws(CallError) {
                try save(object, as: stored)
            } catch {
                for (arena, blocks) in added(extents, to: object.stored.extents) { arenas[arena]?.space.release(blocks) }
                throw error
            }
            send(object, request, desk)
        }
        return true
    }

    /// The blocks of `extents` beyond those of `before`, of which it is a continuation.
    private func added(_ extents: [ObjectExtent], to before: [ObjectExtent]) -> [(arena: UInt64, blocks: Range<Int>)] {
        trimmed(extents, to: before.reduce(0) { $0 + $1.length }).unused
    }

    private func create(_ opening: ObjectOpening, _ job: KeptJob, _ extents: [ObjectExtent], _ desk: ObjectDesk) throws(CallError) {
        guard let arena = extents.first.flatMap({ arenas[$0.arena] }) else { throw Self.noRoom }
        var object: KeptObject?
        do throws(CallError) {
            guard let cursor = arena.freeCursor, arena.memory.setWritten(0, cursor: ArenaLayout.cursor(cursor)) else { throw Self.noRoom }
            let id = try identifiers.take()
            let stored = StoredObject(
                id: id, job: job.token, index: job.opened, metadata: opening.metadata, state: .open, extents: extents,
                cursorArena: arena.number, cursor: cursor, length: 0)
            let made = KeptObject(job, stored)
            object = made
            try save(made, as: stored)
            // If only the first of the two records is written, the object's index tells the count.
            job.opened += 1
            try save(job)
            arena.cursors.insert(cursor)
            made.writer = desk
            objects[id] = made
            account(desk.device).open[id] = made
            job.objects.append(made)
            send(made, opening.request, desk)
            changed(job)
        } catch {
            if let slot = object?.slot, slot >= 0 {
                records?.clear(slot)
                job.opened -= 1
            }
            for (arena, blocks) in added(extents, to: []) { arenas[arena]?.space.release(blocks) }
            dropEmptyArenas(of: job.owner)
            throw error
        }
    }

    // MARK: Going on, finishing

    private func resume(_ request: UInt64, _ id: UInt64, _ desk: ObjectDesk) throws(CallError) {
        guard let object = objects[id], object.job.owner.device == desk.device else {
            throw CallError("NoSuchObject", "There is no object \(id).")
        }
        guard object.isOpen, object.writer == nil else { throw CallError("NotPermitted", "Object \(id) is not unfinished.") }
        object.writer = desk
        send(object, request, desk)
        changed(object.job)
    }

    private func commit(_ commit: ObjectCommit, _ desk: ObjectDesk) throws(CallError) {
        let object = try writing(commit.id, desk)
        guard 0...object.space ~= commit.length else {
            throw CallError("InvalidParameter", "Object \(commit.id) has space for \(object.space) bytes, not for \(commit.length).")
        }
        guard ObjectDigest.isDigest(commit.sha256) else {
            throw CallError("InvalidParameter", "A digest must be the 64 hexadecimal digits of a SHA-256, in lower case.")
        }
        let (extents, unused) = trimmed(object.stored.extents, to: commit.length)
        var stored = object.stored
        (stored.state, stored.extents, stored.length, stored.sha256) = (.committed, extents, commit.length, commit.sha256)
        try save(object, as: stored)
        object.writer = nil
        account(desk.device).open[object.id] = nil
        arenas[stored.cursorArena]?.cursors.remove(stored.cursor)
        desk.commits += 1
        desk.send(.done(request: commit.request))
        for (arena, blocks) in unused { if let arena = arenas[arena] { reclaim(arena, blocks) } }
        changed(object.job)
        pump(desk.device)
    }

    private func send(_ object: KeptObject, _ request: UInt64, _ desk: ObjectDesk) {
        var numbers: [UInt64] = []
        for number in object.stored.extents.map(\.arena) + [object.stored.cursorArena] where !numbers.contains(number) {
            numbers.append(number)
        }
        numbers.removeAll { desk.arenas.contains($0) || arenas[$0] == nil }
        desk.arenas.formUnion(numbers)
        let grant = ObjectGrant(
            request: request, id: object.id, job: object.job.token, index: object.stored.index, metadata: object.stored.metadata,
            cursorArena: object.stored.cursorArena, cursor: ArenaLayout.cursor(object.stored.cursor), extents: object.stored.extents,
            length: writtenLength(of: object), arenas: numbers, arenaBytes: layout.byteCount)
        desk.send(.granted(grant), numbers.compactMap { arenas[$0]?.memory.descriptor })
    }
}

extension ObjectDesk.Waiting {
    @SupervisorActor var job: KeptJob {
        switch self {
        case .open(_, let job): job
        case .extend(_, let object, _): object.job
        }
    }
    @SupervisorActor var request: UInt64 {
        switch self {
        case .open(let opening, _): opening.request
        case .extend(let request, _, _): request
        }
    }
}
