// A device's streams beyond the supervisor's own death: what is kept of them, and how they are gone on with.

import Bundles
import CLinux
import FileDescriptors
import FrameRing
import Glibc
import Spawn
import TransferRing
import USB
import Wire

extension DriverFunction {
    /// What has to do with the supervisor before this one and the one after it.
    struct Succession {
        /// What of the device lies in the descriptor store.
        var entries: StoredEntries?
        /// An earlier supervisor left it streaming, and no source has told of it yet.
        var isResumed = false
        /// Claims that are being given up.
        var leaving: Task<Void, Never>?
        /// Drivers that have ended, and whose keepers are there still.
        var keepers: [Int32] = []
        /// An earlier supervisor's driver, which goes on until a new one is about to take its place.
        var inheritedProcess: InheritedProcess?
        /// The store does not take what is held: it is not asked again before that is something else.
        var isRefused = false
        let watchersTimer = ReactorTimer()
    }

    /// Whether the next supervisor finds its streams in the descriptor store.
    var isKept: Bool { succession.entries != nil }
    var isLeftToSuccessor: Bool { isKept && dependencies.successionStore?.isFrozen == true }

    /// Brings the descriptor store up to date. Costs little where nothing has changed.
    func save() {
        guard let successionStore = dependencies.successionStore, !successionStore.isFrozen else { return }
        guard let entries = succession.entries ?? (isWorthKeeping && !succession.isRefused ? StoredEntries(successionStore) : nil) else {
            return
        }
        succession.entries = entries
        guard let device = stored(entries), entries.commit(device) else {
            incarnation?.survive(.zero)
            entries.clear()
            succession.entries = nil
            succession.isRefused = isWorthKeeping
            return
        }
        if let bundle, let executable = incarnation?.executable {
            successionStore.use(executable, digest: bundle.contents.executable, slot: entries.slot)
        }
        incarnation?.survive(timing.afterlife)
    }

    func save(after message: MessageFromDriver) {
        switch message {
        case .started, .record, .openRing, .openTransfers, .ringMoved, .ringChanged, .ringClosed, .reply: save()
        // Conversations are kept by what opens and closes them.
        case .hello, .failed, .unresponsive, .heartbeat, .openMemory, .event, .log, .openConversation, .conversationClosed, .object: break
        }
    }

    /// A stream is on whose transfers go on without a driver.
    private var isWorthKeeping: Bool {
        guard case .file? = hold?.keeper, isHoldDriven, isAttached, bundle != nil else { return false }
        return !conversations.isEmpty || streams.values.contains { $0.isOpen && $0.ring != nil && carried[$0.name] != nil }
    }

    private func stored(_ entries: StoredEntries) -> StoredDevice? {
        guard isWorthKeeping, let hold, case .file(let descriptor, let interfaces) = hold.keeper, let bundle,
            let file = entries.number(of: hold, descriptor)
        else { return nil }
        var frames: [StoredDevice.Frames] = []
        var transfers: [StoredDevice.Transfers] = []
        for stream in streams.values.sorted(by: { $0.name < $1.name }) where stream.isOpen {
            guard let ring = stream.ring, let carried = carried[stream.name],
                let memory = entries.number(of: ring, ring.descriptor),
                let transferMemory = entries.number(of: carried.memory, carried.memory.descriptor)
            else { continue }
            var upcoming: UInt64?
            if let next = stream.upcoming?.memory {
                upcoming = entries.number(of: next, next.descriptor)
                if upcoming == nil { continue }
            }
            let present = stream.viewers.map { StoredDevice.Watcher(process: $0.call.peer.processID, user: $0.call.peer.userID) }
            frames.append(
                StoredDevice.Frames(
                    name: stream.name, request: stream.request ?? .object([:]), description: stream.description, geometry: ring.geometry,
                    memory: memory, upcoming: upcoming, watchers: stream.absentees.map { $0 + present }))
            transfers.append(StoredDevice.Transfers(grant: carried.grant, memory: transferMemory))
        }
        var talks: [StoredDevice.Conversation] = []
        for (name, kept) in conversations.sorted(by: { $0.key < $1.key }) {
            guard let out = entries.number(of: kept.out.memory, kept.out.memory.descriptor),
                let incoming = entries.number(of: kept.incoming.memory, kept.incoming.memory.descriptor)
            else { continue }
            talks.append(
                StoredDevice.Conversation(
                    name: name, out: StoredDevice.Transfers(grant: kept.out.grant, memory: out),
                    incoming: StoredDevice.Transfers(grant: kept.incoming.grant, memory: incoming)))
        }
        guard !transfers.isEmpty || !talks.isEmpty else { return nil }
        return StoredDevice(
            information: information, function: function.firstInterface, driver: bundle.manifest.id,
            driverVersion: bundle.manifest.version.description, file: file,
            interfaces: interfaces, process: drivingProcess, generation: generation, restarts: restarts, record: record.value,
            frames: frames, transfers: transfers, conversations: talks.isEmpty ? nil : talks)
    }

    /// The process that has the device.
    private var drivingProcess: Int32? {
        succession.inheritedProcess?.processID ?? incarnation.flatMap { $0.wasGivenDevice ? $0.processID : nil }
    }

    /// Goes on with what an earlier supervisor left: the device was never let go.
    func resume(_ inherited: InheritedDevice, _ successionStore: SuccessionStore) {
        let stored = inherited.stored
        succession.entries = StoredEntries(successionStore, inherited)
        hold = inherited.hold
        for (ring, memory) in inherited.transfers {
            guard let wake = OwnedDescriptor(opened: clinux_eventfd()) else { continue }
            carried[ring.grant.name] = CarriedRing(memory: memory, wake: wake, grant: ring.grant)
        }
        for (talk, out, incoming) in inherited.conversations {
            guard let wakeOut = OwnedDescriptor(opened: clinux_eventfd()), let wakeIn = OwnedDescriptor(opened: clinux_eventfd()) else {
                continue
            }
            conversations[talk.name] = KeptConversation(
                out: CarriedRing(memory: out, wake: wakeOut, grant: talk.out.grant),
                incoming: CarriedRing(memory: incoming, wake: wakeIn, grant: talk.incoming.grant))
        }
        for (frames, memory, upcoming) in inherited.frames {
            let stream = ManagedStream(name: frames.name)
            stream.resume(memory, frames, upcoming: upcoming, writer: stored.generation)
            streams[frames.name] = stream
        }
        succession.isResumed = true
        succession.inheritedProcess = inherited.process
        (generation, restarts, record) = (stored.generation, stored.restarts, RecoveryRecord(stored.record))
        (isHeld, isHoldDriven) = (true, true)
        (step, interruption) = (.takeOver, .driverRestarted)
        announce("attached", "\(name): its streams continue under this supervisor.")
        startWhenFree()
        succession.watchersTimer.set(after: timing.watchersReturn) { [weak self] in
            guard let self else { return }
            for stream in self.streams.values {
                self.closeIfUnwatched(stream)
                self.giveUpAbsentees(of: stream)
            }
        }
    }

    /// Its streams go on under this supervisor, and no source has told of the device yet.
    var isResumed: Bool { succession.isResumed }
    func forgetResumption() { succession.isResumed = false }

    /// Leaves the driver streaming, or ends it where it would end with this process, and leaves everything else as it is. `then` is called when no
    /// process is left here.
    func leaveToSuccessor(then: @escaping @SupervisorActor () -> Void) {
        attempt += 1
        restartTimer.lift()
        succession.watchersTimer.lift()
        enter(.handedOver)
        onEnd.append(then)
        if incarnation?.leave() == true {
            abandonIncarnation()
        } else {
            incarnation?.kill("the next supervisor continues its streams")
        }
        noteEnd()
    }

    /// Ends the earlier supervisor's driver, if there is one still, and then does the work: nobody else has the device then.
    func afterHandover(_ work: @escaping @SupervisorActor () -> Void) {
        guard let predecessor = succession.inheritedProcess, let successionStore = dependencies.successionStore else { return work() }
        successionStore.end(predecessor) { [weak self] in
            guard let self else { return }
            if self.succession.inheritedProcess === predecessor { self.succession.inheritedProcess = nil }
            work()
        }
    }

    /// Ends what is in flight and the claims, now, whoever has a duplicate of the file. What needs the device waits for `succession.leaving`.
    func endHold() {
        guard let hold else { return }
        self.hold = nil
        succession.isRefused = false
        guard dependencies.successionStore?.isFrozen != true else { return }
        let predecessor = succession.inheritedProcess
        succession.inheritedProcess = nil
        let task = hold.end()
        guard let predecessor, let successionStore = dependencies.successionStore else {
            if let task { succession.leaving = task }
            return
        }
        succession.leaving = Task { @SupervisorActor in
            await withCheckedContinuation { continuation in successionStore.end(predecessor) { continuation.resume() } }
            await DriverKeepers.end([predecessor.processID])
            await task?.value
        }
    }

    /// A driver has ended; its keeper is there for the next one.
    func collectKeeper(of process: Int32) {
        DriverKeepers.collect(group: process)
        succession.keepers.removeAll { !DriverKeepers.isLeft($0) }
        if DriverKeepers.isLeft(process) { succession.keepers.append(process) }
    }

    /// Nobody takes over what was in flight. What needs the device waits for `succession.leaving`.
    func endKeepers() {
        guard !succession.keepers.isEmpty, dependencies.successionStore?.isFrozen != true else { return }
        let (keepers, before) = (succession.keepers, succession.leaving)
        succession.keepers = []
        succession.leaving = Task { @SupervisorActor in
            await before?.value
            await DriverKeepers.end(keepers)
        }
    }
}
