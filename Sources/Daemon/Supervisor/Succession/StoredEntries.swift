// What of one device lies in the descriptor store, and what its state says of it.

import FrameRing
import Wire

/// One device's part of the store. The order of steps is what makes it whole at any instant: first what is new, then the state that speaks of it, then
/// away with what the state does not speak of any more.
@SupervisorActor
final class StoredEntries {
    let slot: Int
    private let successionStore: SuccessionStore
    private let state: StateMemory
    private var isStateKept = false
    /// Objects that own descriptors, which are in the store under a number.
    private var kept: [ObjectIdentifier: (object: AnyObject, number: UInt64)] = [:]
    private var used: Set<ObjectIdentifier> = []
    private var last: UInt64 = 0
    private var contents: [UInt8] = []

    /// `nil` if there is no room or no memory.
    init?(_ successionStore: SuccessionStore) {
        guard let slot = successionStore.slot() else { return nil }
        do throws(SystemFailure) {
            state = try StateMemory()
        } catch {
            successionStore.release(slot)
            return nil
        }
        self.slot = slot
        self.successionStore = successionStore
    }

    /// Of a device that is gone on with.
    init(_ successionStore: SuccessionStore, _ inherited: InheritedDevice) {
        self.successionStore = successionStore
        slot = inherited.slot
        state = inherited.state
        isStateKept = true
        last = inherited.lastNumber
        remember(inherited.hold, inherited.stored.file)
        for (stream, memory, upcoming) in inherited.frames {
            remember(memory, stream.memory)
            if let upcoming, let number = stream.upcoming { remember(upcoming, number) }
        }
        for (ring, memory) in inherited.transfers { remember(memory, ring.memory) }
        for (talk, out, incoming) in inherited.conversations {
            remember(out, talk.out.memory)
            remember(incoming, talk.incoming.memory)
        }
    }

    private func remember(_ object: AnyObject, _ number: UInt64) { kept[ObjectIdentifier(object)] = (object, number) }

    /// Has an object's descriptor in the store, if it is not there yet, and tells its number. To be called for all, then `commit`.
    func number(of object: AnyObject, _ descriptor: Int32) -> UInt64? {
        let identifier = ObjectIdentifier(object)
        if let known = kept[identifier] {
            used.insert(identifier)
            return known.number
        }
        guard successionStore.keep(descriptor, as: StoreName(slot: slot, number: last + 1)) else { return nil }
        last += 1
        remember(object, last)
        used.insert(identifier)
        return last
    }

    /// The state is this from now on, and speaks of everything that a number was asked for since the last time.
    func commit(_ device: StoredDevice) -> Bool {
        let bytes: [UInt8]
        do {
            bytes = try JSON.encode(device)
        } catch {
            return false
        }
        if bytes != contents || !isStateKept {
            guard state.write(bytes) else { return false }
            contents = bytes
        }
        if !isStateKept {
            guard successionStore.keep(state.descriptor, as: StoreName(slot: slot)) else { return false }
            isStateKept = true
        }
        for (identifier, entry) in kept where !used.contains(identifier) {
            kept[identifier] = nil
            successionStore.remove(StoreName(slot: slot, number: entry.number))
        }
        used = []
        return true
    }

    /// Nothing goes on.
    func clear() { successionStore.release(slot) }
}
