// Records in memory that survives the process: whoever takes it over finds each record as it was
// before a change or after it.

import CLinux
public import FileDescriptors
import Glibc

/// A sealed-size memfd of slots, one record each. A record is changed by writing it into a free
/// slot and then clearing the old slot: of two with the same key the one with the higher number
/// counts. A slot is in use once its first word is not 0, and that word is written last.
///
/// The pages of slots that were never used take no memory. Nothing is mapped: a system without
/// memory makes a write fail, and nothing else.
public final class RecordMemory {
    public static let slotSize = 8 << 10
    private static let headerSize = 16
    /// Bytes that a record has at most.
    public static let capacity = slotSize - headerSize
    private static let magic: UInt64 = 0x3152_4345_524a_424f  // "OBJRECR1"

    /// Closed when this object goes.
    public var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor
    public let slotCount: Int
    private var isUsed: [Bool]
    private var firstFree = 1
    private var sequence: UInt64 = 0

    /// A record that an earlier process wrote.
    public struct Found {
        public var slot: Int
        /// The higher, the later.
        public var sequence: UInt64
        public var bytes: [UInt8]
    }

    /// Slot 0 is the memory's own.
    public init(slotCount: Int) throws(ObjectStoreError) {
        let made = clinux_memfd("object-records", 0)
        guard let memory = OwnedDescriptor(opened: made) else {
            throw ObjectStoreError("memfd_create", errno: -made, "no memory for records")
        }
        var magic = Self.magic
        guard ftruncate(memory.number, off_t(slotCount * Self.slotSize)) == 0, clinux_seal_size(memory.number) == 0,
            pwrite(memory.number, &magic, 8, 0) == 8
        else { throw ObjectStoreError("ftruncate", errno: errno, "no memory for \(slotCount) records") }
        self.memory = memory
        self.slotCount = slotCount
        isUsed = [Bool](repeating: false, count: slotCount)
        isUsed[0] = true
    }

    /// Takes over what another process wrote. `nil` if it is not such memory.
    public init?(adopting memory: consuming OwnedDescriptor, slotCount: Int, found: inout [Found]) {
        self.memory = memory
        self.slotCount = slotCount
        isUsed = [Bool](repeating: false, count: slotCount)
        isUsed[0] = true
        var status = stat()
        let (seals, wanted) = (clinux_seals(descriptor), F_SEAL_SHRINK | F_SEAL_GROW)
        var magic: UInt64 = 0
        guard seals >= 0, seals & wanted == wanted, fstat(descriptor, &status) == 0,
            status.st_size == off_t(slotCount * Self.slotSize), pread(descriptor, &magic, 8, 0) == 8, magic == Self.magic
        else { return nil }
        for slot in 1..<slotCount {
            var header = [UInt64](repeating: 0, count: 2)
            guard pread(descriptor, &header, Self.headerSize, off_t(slot * Self.slotSize)) == Self.headerSize, header[0] != 0 else {
                continue
            }
            guard header[0] < .max, header[1] <= UInt64(Self.capacity) else {
                clear(slot)
                continue
            }
            var bytes = [UInt8](repeating: 0, count: Int(header[1]))
            guard pread(descriptor, &bytes, bytes.count, off_t(slot * Self.slotSize + Self.headerSize)) == bytes.count else { continue }
            isUsed[slot] = true
            sequence = max(sequence, header[0])
            found.append(Found(slot: slot, sequence: header[0], bytes: bytes))
        }
    }

    /// Writes a record in place of the one in `old`. Returns its slot, or `nil` if there is no room
    /// or no memory: then the old one stays.
    public func put(_ bytes: [UInt8], replacing old: Int? = nil) -> Int? {
        guard bytes.count <= Self.capacity, let slot = freeSlot() else { return nil }
        var count = UInt64(bytes.count)
        var number = sequence + 1
        let start = off_t(slot * Self.slotSize)
        guard pwrite(descriptor, bytes, bytes.count, start + off_t(Self.headerSize)) == bytes.count,
            pwrite(descriptor, &count, 8, start + 8) == 8, pwrite(descriptor, &number, 8, start) == 8
        else { return nil }
        sequence = number
        isUsed[slot] = true
        if let old { clear(old) }
        return slot
    }

    /// Removes the record.
    public func clear(_ slot: Int) {
        guard 1..<slotCount ~= slot else { return }
        var zero: UInt64 = 0
        // The page is there, or there is nothing to clear.
        _ = pwrite(descriptor, &zero, 8, off_t(slot * Self.slotSize))
        isUsed[slot] = false
        firstFree = min(firstFree, slot)
    }

    /// The lowest ones first, so that few pages are in use.
    private func freeSlot() -> Int? {
        while firstFree < slotCount, isUsed[firstFree] { firstFree += 1 }
        return firstFree < slotCount ? firstFree : nil
    }
}
