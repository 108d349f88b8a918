// Objects beyond the supervisor's own death: what lies in the descriptor store, and what the next
// one makes of it.

import FileDescriptors
import Logging
import ObjectStore
import Wire

extension ObjectKeeper {
    static let recordsName = SuccessionStore.objectsPrefix + "records"

    /// The memory of records, before the first of them.
    func makeRecords() throws(CallError) {
        guard records == nil else { return }
        do throws(ObjectStoreError) {
            let memory = try RecordMemory(slotCount: limits.slotCount)
            _ = successionStore?.keepObjects(memory.descriptor, as: Self.recordsName)
            records = memory
        } catch {
            throw CallError("LimitReached", "There is no memory for objects: \(error)")
        }
    }

    /// Goes on with what an earlier supervisor left. Whatever makes no sense is let go; what of an
    /// object is missing is said of the object.
    func adopt(_ inherited: [StoredDescriptor]) {
        var known: [String: Int32] = [:]
        for one in inherited {
            // Two of a name: neither is more likely to be the one.
            if known[one.name] != nil { SuccessionStore.discard(one.descriptor) } else { known[one.name] = one.descriptor }
        }
        let all = Set(inherited.map(\.name))
        var found: [RecordMemory.Found] = []
        if let descriptor = known.removeValue(forKey: Self.recordsName) {
            records = RecordMemory(adopting: OwnedDescriptor(descriptor), slotCount: limits.slotCount, found: &found)
            if records == nil { logger.warning("the objects that were left behind can't be used") }
        }
        if records != nil { adopt(latest(found), &known) }
        for descriptor in known.values { SuccessionStore.discard(descriptor) }
        let used = Set(arenas.values.map(\.name) + (records == nil ? [] : [Self.recordsName]))
        for name in all.subtracting(used).sorted() { successionStore?.removeObjects(name) }
        if !jobs.isEmpty { logger.info("objects continue", metadata: ["jobs": "\(jobs.count)", "objects": "\(objects.count)"]) }
    }

    /// Of each thing the record that was written last. The others are a death's leftovers.
    private func latest(_ found: [RecordMemory.Found]) -> [(slot: Int, record: StoredRecord)] {
        var best: [StoredRecord.Key: (found: RecordMemory.Found, record: StoredRecord)] = [:]
        for one in found.sorted(by: { $0.sequence > $1.sequence }) {
            guard let record = try? JSON.decode(StoredRecord.self, from: one.bytes), best[record.key] == nil else {
                records?.clear(one.slot)
                continue
            }
            best[record.key] = (one, record)
        }
        return best.values.sorted { $0.found.slot < $1.found.slot }.map { ($0.found.slot, $0.record) }
    }

    private func adopt(_ found: [(slot: Int, record: StoredRecord)], _ descriptors: inout [String: Int32]) {
        for case (let slot, .job(let stored)) in found {
            guard stored.isSound, jobs.count < limits.jobs else {
                records?.clear(slot)
                continue
            }
            let job = KeptJob(stored)
            job.slot = slot
            jobs[job.token] = job
        }
        for case (let slot, .arena(let stored)) in found {
            guard stored.number > 0, stored.number < 1 << 53, arenas.count < limits.arenas,
                let descriptor = descriptors.removeValue(forKey: Self.arenaName(stored.number)),
                let memory = ObjectArena(adopting: OwnedDescriptor(descriptor), layout: layout)
            else {
                records?.clear(slot)
                continue
            }
            let arena = KeptArena(
                number: stored.number, owner: ObjectOwner(device: stored.device, user: stored.user), memory: memory)
            (arena.slot, arena.isStored) = (slot, true)
            arenas[arena.number] = arena
            lastArena = max(lastArena, arena.number)
        }
        for case (let slot, .object(let stored)) in found.sorted(by: { $0.slot < $1.slot }) { adopt(stored, slot) }
        for job in jobs.values {
            job.objects.sort { $0.id < $1.id }
            // Its object's record was written, and its own was not.
            job.opened = max(job.opened, (job.objects.last?.stored.index ?? -1) + 1)
        }
        for arena in arenas.values {
            // What is free may hold what was.
            let free = arena.space.free
            for blocks in free where arena.space.take(blocks) { reclaim(arena, blocks) }
        }
    }

    private func adopt(_ stored: StoredObject, _ slot: Int) {
        identifiers.known = max(identifiers.known, stored.id < 1 << 53 ? stored.id : 0)
        // Of a job that was discarded, or nothing that anybody wrote.
        guard let job = jobs[stored.job], stored.isSound(layout, limits) else {
            records?.clear(slot)
            return
        }
        let object = KeptObject(job, stored)
        object.slot = slot
        let isThere = take(stored, job.owner)
        objects[stored.id] = object
        job.objects.append(object)
        if stored.state == .open { account(job.owner.device).open[stored.id] = object }
        guard !isThere else { return }
        object.stored.extents = []
        abandonQuietly(object, "Its memory was lost when the daemon ended.")
    }

    /// Takes what the object has. False, with nothing taken, where it is not all there, or somebody
    /// else's.
    private func take(_ stored: StoredObject, _ owner: ObjectOwner) -> Bool {
        var taken: [(arena: KeptArena, blocks: Range<Int>)] = []
        var isThere = true
        for extent in stored.extents where isThere {
            let first = extent.offset / ArenaLayout.blockSize
            let blocks = first..<first + ArenaLayout.blocks(extent.length)
            if let arena = arenas[extent.arena], arena.owner == owner, arena.space.take(blocks) {
                taken.append((arena, blocks))
            } else {
                isThere = false
            }
        }
        if isThere, stored.state == .open {
            isThere =
                stored.cursorArena == stored.extents.first?.arena
                && arenas[stored.cursorArena]?.cursors.insert(stored.cursor).inserted == true
        }
        if !isThere { for (arena, blocks) in taken { arena.space.release(blocks) } }
        return isThere
    }
}

extension ObjectDesk.Waiting {
    @SupervisorActor func isOpening(_ job: KeptJob) -> Bool { if case .open(_, let other) = self { other === job } else { false } }
}
