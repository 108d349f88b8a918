// What the next supervisor has to know of objects: one record for each job, arena and object, in
// JSON.

import ObjectStore
import Wire

struct StoredJob: Codable, Hashable, Sendable {
    var token: String
    var device: String
    var user: UInt32
    /// Objects that were opened for it.
    var opened: Int
}

struct StoredArena: Codable, Hashable, Sendable {
    var number: UInt64
    var device: String
    var user: UInt32
}

struct StoredObject: Codable, Hashable, Sendable {
    var id: UInt64
    var job: String
    var index: Int
    var metadata: JSONValue
    var state: ObjectStatus.State
    var extents: [ObjectExtent]
    var cursorArena: UInt64
    /// The cursor's number in that arena.
    var cursor: Int
    var length: Int
    var sha256: String?
    var reason: String?
}

enum StoredRecord: Codable, Hashable, Sendable {
    case job(StoredJob)
    case arena(StoredArena)
    case object(StoredObject)

    /// What two records of the same thing have in common.
    enum Key: Hashable {
        case job(String)
        case arena(UInt64)
        case object(UInt64)
    }
    var key: Key {
        switch self {
        case .job(let job): .job(job.token)
        case .arena(let arena): .arena(arena.number)
        case .object(let object): .object(object.id)
        }
    }
}

extension StoredJob {
    /// 16 to 64 letters, digits, `-`, `_` and `.`: enough of them that nobody guesses one.
    static func isToken(_ text: String) -> Bool {
        16...64 ~= text.utf8.count
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    var isSound: Bool { Self.isToken(token) && 1...512 ~= device.utf8.count && 0...Int(Int32.max) ~= opened }
}

extension StoredObject {
    /// Within bounds by itself; that its extents are nobody else's shows when they are taken.
    func isSound(_ layout: ArenaLayout, _ limits: ObjectLimits) -> Bool {
        guard case .object = metadata, metadata.encodedByteCount <= limits.metadataBytes else { return false }
        let space = extents.reduce(0) { $0 + min(max($1.length, 0), layout.byteCount) }
        guard StoredJob.isToken(job), 0..<Int(Int32.max) ~= index, id > 0, id < 1 << 53, 0..<ArenaLayout.cursorCount ~= cursor,
            extents.count <= limits.extentsPerObject, Set(extents.map(\.arena)).count <= limits.arenasPerObject,
            extents.allSatisfy({
                $0.length > 0 && layout.holds(offset: $0.offset, length: $0.length) && $0.offset % ArenaLayout.blockSize == 0
            }),
            (reason ?? "").utf8.count <= limits.reasonBytes
        else { return false }
        switch state {
        case .open: return !extents.isEmpty && sha256 == nil && extents.allSatisfy { $0.length % ArenaLayout.blockSize == 0 }
        case .committed: return length == space && sha256.map(ObjectDigest.isDigest) == true
        case .abandoned: return extents.isEmpty && reason != nil && length >= 0
        }
    }
}
