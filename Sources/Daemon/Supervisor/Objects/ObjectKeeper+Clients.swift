// What clients ask of objects: each speaks of its own user's jobs, and no other user's show.

import Logging
import ObjectStore
import Wire

extension ObjectKeeper {
    /// Whose jobs a caller sees: its user's; root and the daemon's own user see all.
    struct Viewer {
        var user: UInt32
        var seesAll: Bool

        func sees(_ job: KeptJob) -> Bool { seesAll || job.owner.user == user }
    }

    // MARK: Jobs

    /// Begins a job, or finds the one of that token that its user began before.
    func openJob(_ token: String, device: String, user: UInt32) throws(CallError) -> KeptJob {
        guard StoredJob.isToken(token) else {
            throw CallError("InvalidParameter", "A job's name must be 16 to 64 letters, digits, \"-\", \"_\" and \".\", and unique.")
        }
        if let known = jobs[token] {
            guard known.owner == ObjectOwner(device: device, user: user) else {
                throw CallError("NotPermitted", "That job is another user's, or another device's.")
            }
            return known
        }
        if jobs.values.count(where: { $0.owner.user == user }) >= limits.jobsPerUser, !forgetIdleJob(of: user) {
            throw CallError("LimitReached", "A user can have at most \(limits.jobsPerUser) jobs; discard one first.")
        }
        guard jobs.count < limits.jobs else { throw CallError("LimitReached", "The daemon has \(limits.jobs) jobs already.") }
        try makeRecords()
        let job = KeptJob(StoredJob(token: token, device: device, user: user, opened: 0))
        try save(job)
        jobs[token] = job
        return job
    }

    /// One that nothing came of, or of which everything is acknowledged, makes room for another.
    private func forgetIdleJob(of user: UInt32) -> Bool {
        let idle = jobs.values.filter { job in
            job.owner.user == user && job.objects.isEmpty
                && accounts[job.owner.device]?.desk?.waiting.contains { $0.isOpening(job) } != true
        }
        guard let oldest = idle.min(by: { $0.number < $1.number }) else { return false }
        forget(oldest)
        return true
    }

    /// The caller's job.
    func job(_ token: String, of viewer: Viewer) throws(CallError) -> KeptJob {
        guard let job = jobs[token], viewer.sees(job) else { throw CallError("NoSuchJob", "There is no job by that name.") }
        return job
    }

    /// Everything of the job goes, whatever state it is in. One step in the records: the job's own,
    /// without which its objects' mean nothing.
    func forget(_ job: KeptJob) {
        records?.clear(job.slot)
        jobs[job.token] = nil
        if let desk = accounts[job.owner.device]?.desk {
            desk.waiting.removeAll { waiting in
                guard waiting.isOpening(job) else { return false }
                desk.refuse(waiting.request, CallError("NoSuchJob", "Nobody wants that job's objects any more."))
                return true
            }
        }
        for object in job.objects { remove(object) }
        changed(job)
        dropEmptyArenas(of: job.owner)
        pump(job.owner.device)
    }

    // MARK: Objects

    /// Objects after a number, in the order of their numbers; `next` where there are more.
    func list(device: String?, job: String?, after: UInt64, viewer: Viewer) throws(CallError) -> (objects: [ObjectStatus], next: UInt64?) {
        let chosen: [KeptJob]
        if let job {
            chosen = [try self.job(job, of: viewer)]
        } else {
            chosen = jobs.values.filter { viewer.sees($0) && (device == nil || $0.owner.device == device) }
        }
        var result: [ObjectStatus] = []
        var bytes = 0
        for object in chosen.flatMap(\.objects).filter({ $0.id > after }).sorted(by: { $0.id < $1.id }) {
            if bytes > limits.listBytes { return (result, result.last?.id) }
            result.append(status(of: object))
            bytes += 700 + object.stored.metadata.encodedByteCount
        }
        return (result, nil)
    }

    /// Where a whole object lies: its extents, by the place of their arena among `arenas`.
    func read(_ id: UInt64, viewer: Viewer) throws(CallError) -> (
        status: ObjectStatus, extents: [(place: Int, extent: ObjectExtent)], arenas: [ObjectArena]
    ) {
        guard let object = objects[id], viewer.sees(object.job) else { throw CallError("NoSuchObject", "There is no object \(id).") }
        switch object.stored.state {
        case .open: throw CallError("Busy", "Object \(id) is not complete yet.")
        case .abandoned: throw CallError("DeviceError", "Object \(id) was never completed: \(object.stored.reason ?? "")")
        case .committed: break
        }
        var numbers: [UInt64] = []
        var found: [ObjectArena] = []
        var extents: [(place: Int, extent: ObjectExtent)] = []
        for extent in object.stored.extents {
            if !numbers.contains(extent.arena) {
                guard let arena = arenas[extent.arena] else { throw CallError("DeviceError", "Object \(id) is lost.") }
                numbers.append(extent.arena)
                found.append(arena.memory)
            }
            extents.append((numbers.firstIndex(of: extent.arena) ?? 0, extent))
        }
        return (status(of: object), extents, found)
    }

    /// The client has the object, or has seen that it was abandoned: it is kept no longer. Only its
    /// own user says so, by the job.
    func acknowledge(_ id: UInt64, job token: String, user: UInt32) throws(CallError) {
        let job = try job(token, of: Viewer(user: user, seesAll: false))
        guard let object = objects[id], object.job === job else {
            throw CallError("NoSuchObject", "The job has no object \(id), or it has been acknowledged already.")
        }
        guard !object.isOpen else { throw CallError("Busy", "Object \(id) is not complete yet.") }
        remove(object)
        pump(job.owner.device)
    }
}
