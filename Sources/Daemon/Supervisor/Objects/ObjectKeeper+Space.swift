// Where objects lie: arenas made, filled, emptied and let go.

import Logging
import ObjectStore
import Threads
import Wire

extension ObjectKeeper {
    static func arenaName(_ number: UInt64) -> String { "\(SuccessionStore.objectsPrefix)\(number)" }

    // MARK: Taking space

    /// Space for up to `bytes` more of an object, beside what it has. Fewer than wanted where there
    /// is no room for all; `nil` if there is none.
    func extended(_ extents: [ObjectExtent], by bytes: Int, for owner: ObjectOwner) -> [ObjectExtent]? {
        var result = extents
        var wanted = ArenaLayout.blocks(min(max(bytes, 1), layout.capacity))
        while wanted > 0, let (arena, blocks) = take(wanted, after: result, for: owner) {
            wanted -= blocks.count
            let offset = blocks.lowerBound * ArenaLayout.blockSize
            let length = blocks.count * ArenaLayout.blockSize
            if let last = result.last, last.arena == arena.number, last.offset + last.length == offset {
                result[result.count - 1].length += length
            } else {
                result.append(ObjectExtent(arena: arena.number, offset: offset, length: length))
            }
        }
        return result == extents ? nil : result
    }

    private func take(_ count: Int, after extents: [ObjectExtent], for owner: ObjectOwner) -> (KeptArena, Range<Int>)? {
        if let last = extents.last, let arena = arenas[last.arena] {
            let next = (last.offset + last.length) / ArenaLayout.blockSize
            if arena.space.free.contains(where: { $0.lowerBound == next }),
                let blocks = arena.space.allocate(atMost: count, from: next)
            {
                return (arena, blocks)
            }
        }
        guard extents.count < limits.extentsPerObject else { return nil }
        let used = Set(extents.map(\.arena))
        let mayUseOthers = used.count < limits.arenasPerObject
        let own = arenas.values.filter { $0.owner == owner && (mayUseOthers || used.contains($0.number)) }.sorted { $0.number < $1.number }
        // An object that begins needs a cursor as well.
        for arena in own where !extents.isEmpty || arena.freeCursor != nil {
            if let blocks = arena.space.allocate(atMost: count) { return (arena, blocks) }
        }
        guard mayUseOthers, let arena = makeArena(for: owner), let blocks = arena.space.allocate(atMost: count) else { return nil }
        return (arena, blocks)
    }

    /// Arenas that count against a device: also those that its driver may have mapped still.
    private func arenaCount(of device: String) -> Int {
        arenas.values.count { $0.owner.device == device } + account(device).givenUp.byteCount / layout.byteCount
    }

    func isUserFull(_ owner: ObjectOwner) -> Bool { arenas.values.count { $0.owner == owner } >= limits.arenasPerUser }

    private func makeArena(for owner: ObjectOwner) -> KeptArena? {
        guard arenas.count < limits.arenas, arenaCount(of: owner.device) < limits.arenasPerDevice, !isUserFull(owner),
            successionStore?.isFrozen != true
        else { return nil }
        let memory: ObjectArena
        do throws(ObjectStoreError) {
            memory = try ObjectArena(layout: layout)
        } catch {
            logger.warning("there is no memory for objects", metadata: ["error": "\(error)"])
            return nil
        }
        let arena = KeptArena(number: lastArena + 1, owner: owner, memory: memory)
        // In the store before anything speaks of it.
        arena.isStored = successionStore?.keepObjects(memory.descriptor, as: arena.name) ?? false
        do throws(CallError) {
            try save(arena)
        } catch {
            if arena.isStored { successionStore?.removeObjects(arena.name) }
            return nil
        }
        lastArena += 1
        arenas[arena.number] = arena
        return arena
    }

    // MARK: Giving it back

    func releaseSpace(of object: KeptObject) { release(object.stored) }

    /// Gives back what an object had: its cursor now, its blocks once their memory is given back.
    func release(_ stored: StoredObject) {
        if stored.state == .open { arenas[stored.cursorArena]?.cursors.remove(stored.cursor) }
        for extent in stored.extents {
            guard let arena = arenas[extent.arena] else { continue }
            let first = extent.offset / ArenaLayout.blockSize
            reclaim(arena, first..<first + ArenaLayout.blocks(extent.length))
        }
    }

    /// Gives back the end of an open object's space that its `kept` first bytes do not need. What
    /// is left.
    func trimmed(_ extents: [ObjectExtent], to kept: Int) -> (extents: [ObjectExtent], unused: [(arena: UInt64, blocks: Range<Int>)]) {
        var left = kept
        var result: [ObjectExtent] = []
        var unused: [(arena: UInt64, blocks: Range<Int>)] = []
        for extent in extents {
            let length = min(left, extent.length)
            left -= length
            if length > 0 { result.append(ObjectExtent(arena: extent.arena, offset: extent.offset, length: length)) }
            let first = extent.offset / ArenaLayout.blockSize
            let blocks = first + ArenaLayout.blocks(length)..<first + ArenaLayout.blocks(extent.length)
            if !blocks.isEmpty { unused.append((extent.arena, blocks)) }
        }
        return (result, unused)
    }

    /// These blocks are nobody's. Giving back memory takes time: another thread's.
    func reclaim(_ arena: KeptArena, _ blocks: Range<Int>) {
        guard !blocks.isEmpty else { return }
        reclaiming.append((arena, blocks))
        guard !isReclaiming else { return }
        isReclaiming = true
        Task { @SupervisorActor [weak self] in
            while let batch = self?.nextBatch() {
                await blocking("objects") { for (memory, blocks) in batch { memory.punch(blocks) } }
                self?.reclaimed(batch.count)
            }
        }
    }

    private func nextBatch() -> [(ObjectArena, Range<Int>)]? {
        if reclaiming.isEmpty { isReclaiming = false }
        return reclaiming.isEmpty ? nil : reclaiming.map { ($0.arena.memory, $0.blocks) }
    }

    private func reclaimed(_ count: Int) {
        let done = reclaiming.prefix(count)
        for (arena, blocks) in done { arena.space.release(blocks) }
        reclaiming.removeFirst(count)
        let owners = Set(done.map(\.arena.owner))
        for owner in owners { dropEmptyArenas(of: owner) }
        for device in Set(owners.map(\.device)) { pump(device) }
    }

    /// Lets go of arenas that nothing is in. One of them stays while its owner has a job.
    func dropEmptyArenas(of owner: ObjectOwner) {
        var keeps = jobs.values.contains { $0.owner == owner }
        for arena in arenas.values.filter({ $0.owner == owner && $0.space.isEmpty }).sorted(by: { $0.number < $1.number }) {
            if keeps {
                keeps = false
            } else {
                drop(arena)
            }
        }
        forgetIdleAccount(owner.device)
    }

    private func drop(_ arena: KeptArena) {
        records?.clear(arena.slot)
        arenas[arena.number] = nil
        if arena.isStored { successionStore?.removeObjects(arena.name) }
        let account = account(arena.owner.device)
        if let desk = account.desk, desk.arenas.remove(arena.number) != nil {
            desk.send(.arenaReleased(number: arena.number))
            // It counts until the driver has let go of it.
            account.givenUp.take(arena.memory)
        }
    }

    func forgetIdleAccount(_ device: String) {
        guard let account = accounts[device], account.desk == nil, account.gone.isEmpty, !account.resumeTimer.isSet,
            account.givenUp.byteCount == 0, !jobs.values.contains(where: { $0.owner.device == device })
        else { return }
        accounts[device] = nil
    }
}

extension ObjectArena: RetirableMemory {}
