// An object's bytes for somebody who takes them at a pace of their own.

import ObjectStore
import Wire

/// Reads an object from beginning to end, piece by piece. The last piece is given only if all
/// pieces together are what was committed: a receiver of the pieces has either the whole object or
/// one that visibly lacks its end.
public struct ObjectCursor: ~Copyable, Sendable {
    private let object: DeviceObject
    private var digest = ObjectDigest()
    private var place = DeviceObject.Place()
    private var isChecked = false

    public init(_ object: DeviceObject) { self.object = object }

    /// Fills the buffer with what comes next; 0 at the end. Throws `altered` in place of the last
    /// piece.
    public mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(ClientError) -> Int {
        let count = try object.copy(into: buffer, from: &place)
        digest.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        if !isChecked, place.total == object.status.length {
            isChecked = true
            guard digest.text() == object.status.sha256 else { throw object.alteration }
        }
        return count
    }
}
