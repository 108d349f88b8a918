// What lies in the descriptor store: who put it there, what an earlier supervisor left in it, and what nobody needs any more.

import Bundles
import CLinux
import FileDescriptors
import FrameRing
import Glibc
import Logging
import Spawn
import TransferRing
import USB

/// A device whose stream an earlier supervisor left going.
@SupervisorActor
final class InheritedDevice {
    let slot: Int
    let stored: StoredDevice
    let state: StateMemory
    let hold: DeviceHold
    let frames: [(stream: StoredDevice.Frames, memory: FrameRingMemory, upcoming: FrameRingMemory?)]
    let transfers: [(ring: StoredDevice.Transfers, memory: TransferRingMemory)]
    let conversations: [(talk: StoredDevice.Conversation, out: TransferRingMemory, incoming: TransferRingMemory)]
    /// The driver, if it goes on.
    let process: InheritedProcess?
    /// The largest number that was given in its slot.
    let lastNumber: UInt64

    init(
        slot: Int, stored: StoredDevice, state: StateMemory, hold: DeviceHold,
        frames: [(stream: StoredDevice.Frames, memory: FrameRingMemory, upcoming: FrameRingMemory?)],
        transfers: [(ring: StoredDevice.Transfers, memory: TransferRingMemory)],
        conversations: [(talk: StoredDevice.Conversation, out: TransferRingMemory, incoming: TransferRingMemory)] = [],
        process: InheritedProcess?, lastNumber: UInt64
    ) {
        self.conversations = conversations
        self.slot = slot
        self.stored = stored
        self.state = state
        self.hold = hold
        self.frames = frames
        self.transfers = transfers
        self.process = process
        self.lastNumber = lastNumber
    }

    /// The streaming interfaces' open file.
    var file: Int32 { if case .file(let descriptor, _) = hold.keeper { descriptor } else { -1 } }
}

/// The supervisor's side of the descriptor store.
@SupervisorActor
final class SuccessionStore {
    private let store: any DescriptorStore
    private let logger: Logger
    /// Nothing is changed any more: what lies there is the next supervisor's.
    private(set) var isFrozen = false
    private var slots: Set<Int> = []
    /// By slot, names of what lies in the store.
    private var names: [Int: Set<StoreName>] = [:]
    /// By the executable's SHA-256: devices that are driven by it.
    private var executables: [[UInt8]: Set<Int>] = [:]
    private var left: [Int: [(name: StoreName, descriptor: Int32)]] = [:]
    /// Executables that lie in the store already: read, verified and sealed by an earlier supervisor.
    private(set) var inheritedExecutables: [[UInt8]: SealedExecutable] = [:]
    /// Driver processes of an earlier supervisor.
    private var processes: [Int32: InheritedProcess] = [:]
    private var objects: [StoredDescriptor] = []

    /// Owns the inherited descriptors.
    init(store: any DescriptorStore, inherited: [StoredDescriptor], logger: Logger) {
        self.store = store
        self.logger = logger
        for one in inherited {
            if let name = StoreName(one.name) {
                left[name.slot, default: []].append((name, one.descriptor))
                continue
            }
            if let process = Self.process(one.name) {
                processes[process] = InheritedProcess(processID: process, pidfd: OwnedDescriptor(one.descriptor))
                continue
            }
            if Self.isObjectsName(one.name) {
                objects.append(one)
                continue
            }
            if let digest = Self.digest(one.name) {
                if let executable = SealedExecutable(adopting: OwnedDescriptor(one.descriptor), path: one.name) {
                    inheritedExecutables[digest] = executable
                    executables[digest] = []
                    continue
                }
            } else {
                Self.discard(one.descriptor)
            }
            logger.warning("a descriptor in the store is not one of ours", metadata: ["name": "\(one.name.prefix(100))"])
            _ = store.remove(one.name)
        }
    }

    /// Nothing changes from now on.
    func freeze() { isFrozen = true }

    // MARK: What was left

    /// What can be gone on with; the rest is let go, and driven by nobody any more.
    func takeInherited() -> [InheritedDevice] {
        var devices: [InheritedDevice] = []
        for (slot, descriptors) in left.sorted(by: { $0.key < $1.key }) {
            names[slot] = Set(descriptors.map(\.name))
            var known: [StoreName: Int32] = [:]
            for (name, descriptor) in descriptors {
                // Two of a name: neither is more likely to be the one.
                if known[name] != nil { Self.discard(descriptor) } else { known[name] = descriptor }
            }
            slots.insert(slot)
            if let device = device(slot, &known) {
                devices.append(device)
                // What its state does not speak of was left by a supervisor that died in between.
                for name in known.keys { remove(name) }
            } else {
                logger.warning("the streams that a device left behind can't be used", metadata: ["slot": "\(slot)"])
                release(slot)
            }
            for descriptor in known.values { Self.discard(descriptor) }
        }
        left = [:]
        for process in processes.values { end(process) }
        processes = [:]
        return devices
    }

    /// Takes what it uses out of `known`; what is there after a failure is the caller's to close.
    private func device(_ slot: Int, _ known: inout [StoreName: Int32]) -> InheritedDevice? {
        let lastNumber = known.keys.compactMap(\.number).max() ?? 0
        func take(_ number: UInt64?) -> Int32? { known.removeValue(forKey: StoreName(slot: slot, number: number)) }
        var contents: [UInt8] = []
        guard let memory = take(nil), let state = StateMemory(adopting: OwnedDescriptor(memory), contents: &contents),
            let stored = StoredDevice(parsing: contents), let file = take(stored.file)
        else { return nil }
        let hold = DeviceHold(.file(file, interfaces: stored.interfaces))
        var frames: [(stream: StoredDevice.Frames, memory: FrameRingMemory, upcoming: FrameRingMemory?)] = []
        var transfers: [(ring: StoredDevice.Transfers, memory: TransferRingMemory)] = []
        for stream in stored.frames {
            guard let descriptor = take(stream.memory), let memory = Self.frameRing(descriptor, stream.geometry) else {
                Self.discard(hold)
                return nil
            }
            guard let number = stream.upcoming else {
                frames.append((stream, memory, nil))
                continue
            }
            guard let descriptor = take(number), let upcoming = Self.frameRing(descriptor, stream.geometry) else {
                Self.discard(hold)
                return nil
            }
            frames.append((stream, memory, upcoming))
        }
        func takeRing(_ ring: StoredDevice.Transfers) -> TransferRingMemory? {
            guard let geometry = ring.grant.geometry, let descriptor = take(ring.memory) else { return nil }
            return Self.transferRing(descriptor, geometry)
        }
        for ring in stored.transfers {
            guard let memory = takeRing(ring) else {
                Self.discard(hold)
                return nil
            }
            transfers.append((ring, memory))
        }
        var conversations: [(talk: StoredDevice.Conversation, out: TransferRingMemory, incoming: TransferRingMemory)] = []
        for talk in stored.conversations ?? [] {
            guard let out = takeRing(talk.out), let incoming = takeRing(talk.incoming) else {
                Self.discard(hold)
                return nil
            }
            conversations.append((talk, out, incoming))
        }
        return InheritedDevice(
            slot: slot, stored: stored, state: state, hold: hold, frames: frames, transfers: transfers,
            conversations: conversations, process: stored.process.flatMap { processes.removeValue(forKey: $0) }, lastNumber: lastNumber)
    }

    private static func frameRing(_ descriptor: Int32, _ geometry: FrameRingGeometry) -> FrameRingMemory? {
        do throws(FrameRingError) {
            return try FrameRingMemory(adopting: OwnedDescriptor(descriptor), geometry: geometry)
        } catch {
            return nil
        }
    }

    private static func transferRing(_ descriptor: Int32, _ geometry: TransferRingGeometry) -> TransferRingMemory? {
        do throws(USBError) {
            return try TransferRingMemory(adopting: OwnedDescriptor(descriptor), geometry: geometry)
        } catch {
            return nil
        }
    }

    /// It is not gone on with.
    func discard(_ device: InheritedDevice) {
        if let process = device.process { end(process) }
        Self.discard(device.hold)
        release(device.slot)
    }

    private static func discard(_ hold: DeviceHold) {
        guard case .file(let descriptor, _) = hold.keeper else { return }
        unclaim(descriptor)
    }

    /// An open file of usbfs has claims that end now, not when the service manager gets to closing its duplicate.
    static func discard(_ descriptor: Int32) {
        let file = OwnedDescriptor(descriptor)
        unclaim(file.number)
    }

    private static func unclaim(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return }
        // Everything else refuses this, and an interface that is not claimed, too.
        for interface in UInt32(0)..<32 where clinux_usbfs_release(descriptor, interface) == -ENOTTY { return }
    }

    // MARK: What is put there

    /// `nil` if there are too many devices.
    func slot() -> Int? {
        guard let slot = (0..<StoreName.maximumSlots).first(where: { !slots.contains($0) }) else { return nil }
        slots.insert(slot)
        return slot
    }

    /// False if it could not be put there.
    func keep(_ descriptor: Int32, as name: StoreName) -> Bool {
        guard !isFrozen else { return false }
        if let problem = store.keep(descriptor, as: name.description) {
            logger.warning("a stream will not survive the supervisor", metadata: ["error": "\(problem)"])
            return false
        }
        names[name.slot, default: []].insert(name)
        return true
    }

    func remove(_ name: StoreName) {
        guard !isFrozen, names[name.slot]?.remove(name) != nil else { return }
        tell(store.remove(name.description))
    }

    // MARK: Processes

    /// That process is given a device: the next supervisor goes on with it, or ends it.
    func watch(_ process: Int32, _ pidfd: Int32) {
        guard !isFrozen else { return }
        if let problem = store.keep(pidfd, as: Self.name(process)) {
            logger.warning("a driver is unknown to the next supervisor", metadata: ["error": "\(problem)"])
        }
    }

    /// It has ended.
    func forget(_ process: Int32) { if !isFrozen { tell(store.remove(Self.name(process))) } }

    /// Ends what an earlier supervisor left.
    func end(_ process: InheritedProcess, then: @escaping @SupervisorActor () -> Void = {}) {
        process.end { [weak self] in
            self?.forget(process.processID)
            then()
        }
    }

    // MARK: Executables

    /// The slot's device is driven by that executable.
    func use(_ executable: SealedExecutable, digest: [UInt8], slot: Int) {
        guard !isFrozen, executables[digest]?.contains(slot) != true else { return }
        drop(slot)
        if executables[digest] == nil {
            if let problem = store.keep(executable.descriptor, as: Self.name(digest)) {
                logger.debug("a driver is read again by the next supervisor", metadata: ["error": "\(problem)"])
                return
            }
        }
        executables[digest, default: []].insert(slot)
    }

    private func drop(_ slot: Int) {
        for digest in Array(executables.keys) {
            guard executables[digest]?.remove(slot) != nil, executables[digest]?.isEmpty == true else { continue }
            executables[digest] = nil
            tell(store.remove(Self.name(digest)))
        }
    }

    /// Removes executables that no device uses.
    func removeUnused() {
        inheritedExecutables = [:]
        for (digest, users) in executables where users.isEmpty {
            executables[digest] = nil
            tell(store.remove(Self.name(digest)))
        }
    }

    /// Nothing of that slot's device goes on: the state first, without which the rest means nothing.
    func release(_ slot: Int) {
        guard !isFrozen else { return }
        for name in (names[slot] ?? []).sorted(by: { ($0.number ?? 0) < ($1.number ?? 0) }) { remove(name) }
        names[slot] = nil
        slots.remove(slot)
        drop(slot)
    }

    // MARK: Objects

    nonisolated static let objectsPrefix = "objects-"

    /// Whether that is the name of an arena or of the memory of records, to the letter.
    nonisolated static func isObjectsName(_ name: String) -> Bool {
        guard name.hasPrefix(objectsPrefix), name != objectsPrefix + "records" else { return name == objectsPrefix + "records" }
        guard let number = UInt64(name.dropFirst(objectsPrefix.count)), number > 0 else { return false }
        return name == objectsPrefix + String(number)
    }

    /// What an earlier supervisor left of objects; the caller owns the descriptors.
    func takeInheritedObjects() -> [StoredDescriptor] {
        defer { objects = [] }
        return objects
    }

    /// False if it could not be put there.
    func keepObjects(_ descriptor: Int32, as name: String) -> Bool {
        guard !isFrozen else { return false }
        guard let problem = store.keep(descriptor, as: name) else { return true }
        logger.warning("objects will not survive the supervisor", metadata: ["error": "\(problem)"])
        return false
    }

    func removeObjects(_ name: String) { if !isFrozen { tell(store.remove(name)) } }

    private func tell(_ problem: String?) {
        if let problem { logger.warning("the descriptor store does not release a descriptor", metadata: ["error": "\(problem)"]) }
    }

    // MARK: Names

    private nonisolated static let processPrefix = "process-"
    private nonisolated static func name(_ process: Int32) -> String { "\(processPrefix)\(process)" }
    /// The process's number in such a name.
    nonisolated static func process(_ name: String) -> Int32? {
        guard name.hasPrefix(processPrefix), let number = Int32(name.dropFirst(processPrefix.count)), number > 1,
            name == Self.name(number)
        else { return nil }
        return number
    }

    private nonisolated static let executablePrefix = "driver-"
    /// `driver-` and the SHA-256 in hexadecimal digits.
    private nonisolated static func name(_ digest: [UInt8]) -> String { executablePrefix + Hexadecimal.text(digest) }
    /// The SHA-256 in such a name.
    nonisolated static func digest(_ name: String) -> [UInt8]? {
        guard name.hasPrefix(executablePrefix) else { return nil }
        let bytes = Hexadecimal.bytes(String(name.dropFirst(executablePrefix.count)))
        return bytes?.count == 32 ? bytes : nil
    }
}
