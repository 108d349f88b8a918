// Objects: what drivers deliver and clients acknowledge, kept in between.

import CLinux
import Logging
import ObjectStore
import Wire

/// All jobs and objects of all devices.
///
/// What is written down is written before it is acted on: a record is changed first, then whoever
/// asked is told. So whatever dies, in whichever moment, whoever follows finds an object open,
/// whole, abandoned or acknowledged, and nothing in between.
@SupervisorActor
final class ObjectKeeper {
    let limits: ObjectLimits
    let layout: ArenaLayout
    let logger: Logger
    let successionStore: SuccessionStore?
    let identifiers: ObjectIdentifiers
    /// Made with the first job.
    var records: RecordMemory?
    var jobs: [String: KeptJob] = [:]
    var objects: [UInt64: KeptObject] = [:]
    var arenas: [UInt64: KeptArena] = [:]
    var accounts: [String: DeviceAccount] = [:]
    var lastArena: UInt64 = 0
    var watches: [ObjectWatch] = []
    /// Counts changes that clients can see.
    private(set) var revision = 0
    /// Blocks whose memory is given back before anybody gets them.
    var reclaiming: [(arena: KeptArena, blocks: Range<Int>)] = []
    var isReclaiming = false

    init(_ limits: ObjectLimits, stateDirectory: String, successionStore: SuccessionStore?, logger: Logger) {
        self.limits = limits
        // A size that makes no sense is a mistake in the code that chose it.
        guard let layout = ArenaLayout(byteCount: limits.arenaBytes) else { preconditionFailure("arenas of \(limits.arenaBytes) bytes") }
        self.layout = layout
        self.successionStore = successionStore
        self.logger = logger
        identifiers = ObjectIdentifiers(stateDirectory: stateDirectory)
    }

    // MARK: Records

    private func put(_ record: StoredRecord, replacing slot: Int) -> Int? {
        let bytes: [UInt8]
        do {
            bytes = try JSON.encode(record)
        } catch {
            return nil
        }
        return records?.put(bytes, replacing: slot < 0 ? nil : slot)
    }

    static let noRoom = CallError("LimitReached", "The daemon has no room for more objects.")

    /// Writes down how the job is.
    func save(_ job: KeptJob) throws(CallError) {
        guard let slot = put(.job(job.stored), replacing: job.slot) else { throw Self.noRoom }
        job.slot = slot
    }

    /// Writes down that the object is `stored` from now on, and has it be so.
    func save(_ object: KeptObject, as stored: StoredObject) throws(CallError) {
        guard let slot = put(.object(stored), replacing: object.slot) else { throw Self.noRoom }
        object.slot = slot
        object.stored = stored
    }

    func save(_ arena: KeptArena) throws(CallError) {
        let stored = StoredArena(number: arena.number, device: arena.owner.device, user: arena.owner.user)
        guard let slot = put(.arena(stored), replacing: arena.slot) else { throw Self.noRoom }
        arena.slot = slot
    }

    // MARK: Changes

    func account(_ device: String) -> DeviceAccount {
        if let known = accounts[device] { return known }
        let account = DeviceAccount()
        accounts[device] = account
        return account
    }

    /// Something that clients of this job can see is different.
    func changed(_ job: KeptJob) {
        revision += 1
        for watch in watches where watch.sees(job) { watch.tell(revision) }
    }

    /// The object is nobody's any more: its record first, then its space.
    func remove(_ object: KeptObject) {
        records?.clear(object.slot)
        objects[object.id] = nil
        account(object.job.owner.device).open[object.id] = nil
        object.job.objects.removeAll { $0 === object }
        if let writer = object.writer, object.isOpen {
            // It may be writing at this moment.
            object.isGone = true
            account(object.job.owner.device).gone[object.id] = object
            forgetWaiting(object, of: writer)
            writer.send(.gone(id: object.id, reason: "Nobody wants it any more."))
        } else {
            releaseSpace(of: object)
        }
        changed(object.job)
    }

    private func forgetWaiting(_ object: KeptObject, of desk: ObjectDesk) {
        desk.waiting.removeAll { waiting in
            guard case .extend(let request, let other, _) = waiting, other === object else { return false }
            desk.refuse(request, CallError("NoSuchObject", "Nobody wants that object any more."))
            return true
        }
    }

    /// An open object will not become whole. What is there of it is given up; that it was there
    /// stays until it is acknowledged.
    func abandon(_ object: KeptObject, _ reason: String) throws(CallError) {
        var stored = object.stored
        stored.length = writtenLength(of: object)
        (stored.state, stored.extents) = (.abandoned, [])
        stored.reason = reason.printable.clipped(toBytes: limits.reasonBytes)
        let before = object.stored
        try save(object, as: stored)
        release(before)
        object.writer = nil
        account(object.job.owner.device).open[object.id] = nil
        changed(object.job)
        pump(object.job.owner.device)
    }

    /// What a writer says it has written, as far as that can be.
    func writtenLength(of object: KeptObject) -> Int {
        guard object.isOpen, let arena = arenas[object.stored.cursorArena] else { return object.stored.length }
        return Int(min(arena.memory.written(cursor: ArenaLayout.cursor(object.stored.cursor)), UInt64(object.space)))
    }

    func status(of object: KeptObject) -> ObjectStatus {
        ObjectStatus(
            id: object.id, device: object.job.owner.device, job: object.job.token, index: object.stored.index,
            name: (object.stored.metadata["name"]?.stringValue ?? "").clipped(toBytes: 256), state: object.stored.state,
            length: writtenLength(of: object), sha256: object.stored.sha256, metadata: object.stored.metadata, reason: object.stored.reason)
    }
}

/// What of one device's objects is going on.
@SupervisorActor
final class DeviceAccount {
    /// The driver process that has the device.
    var desk: ObjectDesk?
    /// Objects that are not finished.
    var open: [UInt64: KeptObject] = [:]
    /// Objects that were discarded while a process was writing them.
    var gone: [UInt64: KeptObject] = [:]
    /// Arenas that are not used any more and that the driver may have mapped still.
    let givenUp = GivenUpMemory(patience: .milliseconds(100))
    /// Runs while a successor may yet go on with what its predecessor left.
    let resumeTimer = ReactorTimer()
    let pumpTimer = ReactorTimer()
}
