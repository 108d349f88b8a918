// Jobs, objects and arenas as the supervisor holds them.

import ObjectStore
import Wire

/// Whose objects share arenas.
struct ObjectOwner: Hashable, Sendable {
    var device: String
    var user: UInt32
}

/// A client's job. Only its user can speak of it, by its token.
@SupervisorActor
final class KeptJob {
    let token: String
    let owner: ObjectOwner
    var opened: Int
    /// In the order in which they were opened.
    var objects: [KeptObject] = []
    /// Of its record; -1 before it has one.
    var slot = -1
    /// The higher, the later it was begun.
    let number: Int
    private static var last = 0

    init(_ stored: StoredJob) {
        Self.last += 1
        number = Self.last
        token = stored.token
        owner = ObjectOwner(device: stored.device, user: stored.user)
        opened = stored.opened
    }

    var stored: StoredJob { StoredJob(token: token, device: owner.device, user: owner.user, opened: opened) }
}

/// An object from its opening to its acknowledgement.
@SupervisorActor
final class KeptObject {
    let job: KeptJob
    var stored: StoredObject
    var slot = -1
    /// The process that is writing it.
    weak var writer: ObjectDesk?
    /// Its job was discarded while a process was writing it: its space is not given to anybody
    /// before that process has let go.
    var isGone = false

    init(_ job: KeptJob, _ stored: StoredObject) {
        self.job = job
        self.stored = stored
    }

    var id: UInt64 { stored.id }
    var isOpen: Bool { stored.state == .open }
    var space: Int { stored.extents.reduce(0) { $0 + $1.length } }
}

/// An arena, and what of it is free.
@SupervisorActor
final class KeptArena {
    let number: UInt64
    let owner: ObjectOwner
    let memory: ObjectArena
    var space: ArenaSpace
    var slot = -1
    /// Numbers of cursors that open objects have.
    var cursors: Set<Int> = []
    /// Whether the next supervisor finds it.
    var isStored = false

    init(number: UInt64, owner: ObjectOwner, memory: ObjectArena) {
        self.number = number
        self.owner = owner
        self.memory = memory
        space = ArenaSpace(blockCount: memory.layout.blockCount)
    }

    var name: String { ObjectKeeper.arenaName(number) }
    var freeCursor: Int? { (0..<ArenaLayout.cursorCount).first { !cursors.contains($0) } }
}

/// A driver process as far as objects go.
@SupervisorActor
final class ObjectDesk {
    /// A request that is answered when there is room.
    enum Waiting {
        case open(ObjectOpening, KeptJob)
        case extend(request: UInt64, KeptObject, space: Int)
    }
    let device: String
    let process: ObjectIdentifier
    private let post: (ObjectOrder, [Int32]) -> Void
    /// Arenas whose descriptors it was sent.
    var arenas: Set<UInt64> = []
    var waiting: [Waiting] = []
    /// Objects that it has made whole.
    var commits = 0

    init(device: String, process: ObjectIdentifier, post: @escaping @SupervisorActor (ObjectOrder, [Int32]) -> Void) {
        self.device = device
        self.process = process
        self.post = post
    }

    func send(_ order: ObjectOrder, _ descriptors: [Int32] = []) { post(order, descriptors) }

    func refuse(_ request: UInt64, _ error: CallError) { send(.refused(request: request, error)) }
}
