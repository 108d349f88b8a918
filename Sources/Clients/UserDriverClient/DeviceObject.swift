// An object's bytes, read from the memory that its driver wrote them into, and believed only when
// their digest is right.

import CLinux
import FileDescriptors
import Glibc
import ObjectStore
public import Wire

/// A committed object. Its bytes are in the daemon's memory, which the driver may still be able to
/// change: so they are copied out, and the copy is checked against the digest that the driver
/// committed.
public final class DeviceObject: Sendable {
    struct Extent: Codable, Hashable, Sendable {
        var descriptor: Int
        var offset: Int
        var length: Int
    }
    private static let chunk = 1 << 20

    public let status: ObjectStatus
    private let extents: [Extent]
    private let descriptors: OwnedDescriptors

    init(_ reply: JSONValue, descriptors: consuming OwnedDescriptors) throws(ClientError) {
        self.descriptors = descriptors
        status = try UserDriverClient.decode(ObjectStatus.self, reply["object"], of: "OpenObject")
        extents = try UserDriverClient.decode([Extent].self, reply["extents"], of: "OpenObject")
        var left = status.length
        for extent in extents {
            guard 0..<self.descriptors.count ~= extent.descriptor, extent.offset >= 0, 0...left ~= extent.length else {
                throw UserDriverClient.malformed("OpenObject")
            }
            left -= extent.length
        }
        guard left == 0, status.sha256.map(ObjectDigest.isDigest) == true else { throw UserDriverClient.malformed("OpenObject") }
    }

    /// How far somebody has read.
    struct Place: Sendable {
        var extent = 0
        /// Of the extent.
        var offset = 0
        var total = 0
    }

    /// As much as fits and lies together; 0 at the end.
    func copy(into buffer: UnsafeMutableRawBufferPointer, from place: inout Place) throws(ClientError) -> Int {
        while place.extent < extents.count, place.offset == extents[place.extent].length {
            place.extent += 1
            place.offset = 0
        }
        guard place.extent < extents.count, buffer.count > 0 else { return 0 }
        let extent = extents[place.extent]
        let wanted = min(buffer.count, extent.length - place.offset)
        while true {
            let count = pread(descriptors[extent.descriptor], buffer.baseAddress, wanted, off_t(extent.offset) + off_t(place.offset))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .system("Reading object \(status.id)", count < 0 ? errno : ENODATA) }
            place.offset += count
            place.total += count
            return count
        }
    }

    /// What is thrown where the digest is another one.
    var alteration: ClientError {
        ClientError(
            .altered, "Object \(status.id) is not what its driver committed: its SHA-256 differs. Don't use it.")
    }

    /// Reads it from beginning to end, up to 1 MiB at a time. Don't trust what `take` was lent
    /// before this has returned: it throws `altered` if the bytes are not those that were
    /// committed.
    public func read(_ take: (UnsafeRawBufferPointer) throws(ClientError) -> Void) throws(ClientError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(Self.chunk, max(status.length, 1)), alignment: 16)
        defer { buffer.deallocate() }
        var digest = ObjectDigest()
        for extent in extents {
            var done = 0
            while done < extent.length {
                let wanted = min(buffer.count, extent.length - done)
                let count = pread(descriptors[extent.descriptor], buffer.baseAddress, wanted, off_t(extent.offset) + off_t(done))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw .system("Reading object \(status.id)", count < 0 ? errno : ENODATA) }
                let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                digest.update(bytes)
                try take(bytes)
                done += count
            }
        }
        guard digest.text() == status.sha256 else {
            throw alteration
        }
    }

    /// All of it.
    public func bytes() throws(ClientError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(status.length)
        try read { (bytes) throws(ClientError) in result += bytes }
        return result
    }

    /// Writes it to a file, which appears whole or not at all.
    public func save(to path: String) throws(ClientError) {
        let partial = path + ".part-\(status.id)"
        let opened = Glibc.open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard let file = OwnedDescriptor(opened: opened) else { throw .system("Opening \(partial)", errno) }
        do throws(ClientError) {
            try read { (bytes) throws(ClientError) in try Self.write(bytes, to: file.number, partial) }
            guard fsync(file.number) == 0 else { throw .system("Writing \(partial)", errno) }
            guard rename(partial, path) == 0 else { throw .system("Renaming \(partial)", errno) }
        } catch {
            unlink(partial)
            throw error
        }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, _ path: String) throws(ClientError) {
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(file, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .system("Writing \(path)", errno) }
            done += count
        }
    }
}
