// An object in the making: bytes appended to memory that survives the process, then committed or
// abandoned.

import Glibc
import ObjectStore
import Synchronization
import UserDriver
public import Wire

/// An object that this process is writing. One task at a time appends to it.
///
/// Appended bytes are safe when `append` returns: if the process dies they remain, and its
/// successor continues at `length`.
public final class ObjectWriter: Sendable {
    /// Space that is asked for at a time where the driver does not say how much there will be.
    private static let chunk = 1 << 20
    /// Bytes between two looks at whether somebody still wants it.
    private static let piece = 256 << 10

    private struct Place: Sendable {
        var arena: ArenaMapping
        var offset: Int
        var length: Int
    }

    private struct State: ~Copyable, Sendable {
        var places: [Place] = []
        var cursor: (arena: ArenaMapping, offset: Int)?
        /// Bytes that are written.
        var length = 0
        var space = 0
        var digest = ObjectDigest()
        var end: CallError?

        init(cursor: (arena: ArenaMapping, offset: Int)) { self.cursor = cursor }
    }

    private let link: ObjectLink
    private let state: Mutex<State>
    /// Its bytes, as progress of the driver's; for as long as it is written.
    private let activity: Progress.Activity?
    /// Its number, which no other object ever gets.
    public let id: UInt64
    public let job: String
    /// Its position in its job, from 0.
    public let index: Int
    /// What it was opened with, by this process or an earlier one.
    public let metadata: JSONValue

    init(_ link: ObjectLink, _ grant: ObjectGrant) throws {
        guard let arena = link.arena(grant.cursorArena) else { throw Self.broken }
        var state = State(cursor: (arena, grant.cursor))
        (state.places, state.space) = try Self.places(of: grant, link)
        guard 0...state.space ~= grant.length else { throw Self.broken }
        // The digest is of all its bytes, also of those that an earlier process wrote.
        var left = grant.length
        for place in state.places where left > 0 {
            let count = min(left, place.length)
            let isThere: Void? = place.arena.withBytes(at: place.offset, count: count) { state.digest.update($0) }
            guard isThere != nil else { throw Self.broken }
            left -= count
        }
        state.length = grant.length
        self.state = Mutex(state)
        self.link = link
        (id, job, index, metadata) = (grant.id, grant.job, grant.index, grant.metadata)
        activity = link.activity(grant.metadata["name"]?.stringValue ?? "object \(grant.id)")
    }

    /// Bytes written so far, by this process and those before it.
    public var length: Int { state.withLock { $0.length } }

    /// Appends bytes. Waits while there is no room for them. Throws `CallError`: `NoSuchObject`
    /// when nobody wants the object any more, `LimitReached` when there will never be room.
    public func append(_ bytes: [UInt8]) async throws {
        var done = 0
        while done < bytes.count {
            let count = try bytes.withUnsafeBytes { raw in
                try write(UnsafeRawBufferPointer(rebasing: raw[done..<min(done + Self.piece, raw.count)]))
            }
            done += count
            activity?.advance(by: UInt64(count))
            if count == 0 {
                let grant = try await link.extend(id, by: max(bytes.count - done, Self.chunk))
                let (places, space) = try Self.places(of: grant, link)
                try state.withLock { state in
                    guard space >= state.space else { throw Self.broken }
                    if state.end == nil { (state.places, state.space) = (places, space) }
                }
            }
        }
    }

    /// It is whole. When this returns it will be delivered, whatever dies.
    public func commit() async throws {
        let (length, digest) = try state.withLock { state in
            if let end = state.end { throw end }
            return (state.length, state.digest.text())
        }
        try await link.commit(id, length: length, sha256: digest)
        end(CallError("NotPermitted", "The object is committed."))
    }

    /// The object will not be completed; the reason is passed on to the program that asked for it.
    public func abandon(_ reason: String) async throws {
        end(CallError("NotPermitted", "The object is abandoned."))
        try await link.abandon(id, reason)
    }

    /// From now on nothing is written, and no arena is kept mapped for it.
    func end(_ error: CallError) {
        state.withLock { state in
            state.end = state.end ?? error
            (state.places, state.cursor) = ([], nil)
        }
        activity?.end()
    }

    /// As much of it as there is space for.
    private func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        try state.withLock { state in
            if let end = state.end { throw end }
            var start = 0
            for place in state.places {
                let used = state.length - start
                start += place.length
                guard used < place.length else { continue }
                let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(place.length - used))
                guard place.arena.write(part, at: place.offset + used) else { throw Self.broken }
                state.digest.update(part)
                state.length += part.count
                // Last: who sees this sees the bytes.
                if let cursor = state.cursor { cursor.arena.setWritten(UInt64(state.length), cursor: cursor.offset) }
                return part.count
            }
            return 0
        }
    }

    private static func places(of grant: ObjectGrant, _ link: ObjectLink) throws -> ([Place], space: Int) {
        var places: [Place] = []
        var space = 0
        for extent in grant.extents {
            guard let arena = link.arena(extent.arena), arena.layout.holds(offset: extent.offset, length: extent.length) else {
                throw broken
            }
            places.append(Place(arena: arena, offset: extent.offset, length: extent.length))
            space += extent.length
        }
        return (places, space)
    }

    private static let broken = CallError("ContractBroken", "The supervisor's grant does not fit.")
}
