// What supervisor and driver say to each other about objects: pages, photos, files, which reach a
// client whole, once, or visibly not at all.

/// From the supervisor to a driver.
public enum ObjectOrder: Codable, Hashable, Sendable {
    /// The answer to `open`, `extend` and `resume`. Descriptors attached, writable: the arenas that
    /// `ObjectGrant.arenas` names, in that order.
    case granted(ObjectGrant)
    /// The answer to any request that can't be met. Codes: `NoSuchJob`, `NoSuchObject`,
    /// `InvalidParameter`, `LimitReached`, `Busy`.
    case refused(request: UInt64, CallError)
    /// The answer to `commit` and `abandon`: it is so, whatever happens from now on.
    case done(request: UInt64)
    /// The answer to `jobs`.
    case jobs(request: UInt64, [ObjectJob])
    /// Nobody wants this object any more. Write no more of it, then say `released`.
    case gone(id: UInt64, reason: String)
    /// Nothing is left in this arena: unmap it.
    case arenaReleased(number: UInt64)
}

/// From a driver to the supervisor. `request` is the driver's number, which the answer repeats.
public enum ObjectWord: Codable, Hashable, Sendable {
    /// Begins an object of a job.
    case open(ObjectOpening)
    /// Asks for more space for an object that this process is writing. The answer comes when there
    /// is room.
    case extend(request: UInt64, id: UInt64, space: Int)
    /// Goes on with an object that an earlier process of this device left unfinished.
    case resume(request: UInt64, id: UInt64)
    /// The object is whole.
    case commit(ObjectCommit)
    /// The object will not become whole, and why. Clients are told.
    case abandon(request: UInt64, id: UInt64, reason: String)
    /// Nothing is written any more into the object that `gone` named.
    case released(id: UInt64)
    /// Asks for this device's jobs, and what of their objects is unfinished.
    case jobs(request: UInt64)
}

/// A part of an object: `length` bytes at `offset` of an arena. An object is its extents one after
/// the other.
public struct ObjectExtent: Codable, Hashable, Sendable {
    /// The arena's number, which is never given to another one.
    public var arena: UInt64
    public var offset: Int
    public var length: Int

    public init(arena: UInt64, offset: Int, length: Int) {
        self.arena = arena
        self.offset = offset
        self.length = length
    }
}

public struct ObjectOpening: Codable, Hashable, Sendable {
    public var request: UInt64
    /// The job's token, as the client that asked for the object chose it.
    public var job: String
    /// What the object is, for clients: a JSON object of at most 4 KiB. The supervisor passes it on
    /// unread, but for `name`.
    public var metadata: JSONValue
    /// Bytes that are wanted at first. Fewer may be granted, at least one.
    public var space: Int

    public init(request: UInt64, job: String, metadata: JSONValue, space: Int) {
        self.request = request
        self.job = job
        self.metadata = metadata
        self.space = space
    }
}

public struct ObjectCommit: Codable, Hashable, Sendable {
    public var request: UInt64
    public var id: UInt64
    /// Bytes; no more than were granted.
    public var length: Int
    /// SHA-256 of these bytes: 64 hexadecimal digits in lower case. Readers check it.
    public var sha256: String

    public init(request: UInt64, id: UInt64, length: Int, sha256: String) {
        self.request = request
        self.id = id
        self.length = length
        self.sha256 = sha256
    }
}

public struct ObjectGrant: Codable, Hashable, Sendable {
    public var request: UInt64
    public var id: UInt64
    public var job: String
    /// The how-manieth of its job it is, from 0: a driver that is started again counts on from
    /// there.
    public var index: Int
    public var metadata: JSONValue
    /// Where the writer says how many bytes are written: a 64-bit word at this offset of the arena
    /// of this number.
    public var cursorArena: UInt64
    public var cursor: Int
    /// All space of the object so far.
    public var extents: [ObjectExtent]
    /// The bytes that are written already.
    public var length: Int
    /// The arenas whose descriptors are attached: those that this process does not have yet.
    public var arenas: [UInt64]
    /// Bytes of every arena.
    public var arenaBytes: Int

    public init(
        request: UInt64, id: UInt64, job: String, index: Int, metadata: JSONValue, cursorArena: UInt64, cursor: Int,
        extents: [ObjectExtent], length: Int, arenas: [UInt64], arenaBytes: Int
    ) {
        self.request = request
        self.id = id
        self.job = job
        self.index = index
        self.metadata = metadata
        self.cursorArena = cursorArena
        self.cursor = cursor
        self.extents = extents
        self.length = length
        self.arenas = arenas
        self.arenaBytes = arenaBytes
    }
}

/// A job as its device's driver sees it.
public struct ObjectJob: Codable, Hashable, Sendable {
    public struct Unfinished: Codable, Hashable, Sendable {
        public var id: UInt64
        public var index: Int
        /// Bytes that are written.
        public var length: Int

        public init(id: UInt64, index: Int, length: Int) {
            self.id = id
            self.index = index
            self.length = length
        }
    }
    public var job: String
    /// Objects that were ever opened for it. Those that are not in `unfinished` need nothing more.
    public var opened: Int
    public var unfinished: [Unfinished]

    public init(job: String, opened: Int, unfinished: [Unfinished]) {
        self.job = job
        self.opened = opened
        self.unfinished = unfinished
    }
}

/// An object as clients see it.
public struct ObjectStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Sendable {
        /// A driver is writing it, or has died over it and its successor is to go on.
        case open
        /// Whole. It stays until it is acknowledged.
        case committed
        /// It will never be whole; `reason` says why. It stays until it is acknowledged.
        case abandoned
    }
    /// Given once, over restarts of drivers and daemon.
    public var id: UInt64
    public var device: String
    public var job: String
    /// The how-manieth of its job, from 0.
    public var index: Int
    /// `name` of the metadata, empty if there is none.
    public var name: String
    public var state: State
    /// Bytes; of an open object, those that are written.
    public var length: Int
    /// Of a committed object.
    public var sha256: String?
    public var metadata: JSONValue
    public var reason: String?

    public init(
        id: UInt64, device: String, job: String, index: Int, name: String, state: State, length: Int, sha256: String?,
        metadata: JSONValue, reason: String?
    ) {
        self.id = id
        self.device = device
        self.job = job
        self.index = index
        self.name = name
        self.state = state
        self.length = length
        self.sha256 = sha256
        self.metadata = metadata
        self.reason = reason
    }
}
