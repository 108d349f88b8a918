// A transfer ring in this process: the same address in every incarnation, and no offset that comes out of the memory itself.

import CLinux
import Glibc
public import USB

/// The owner of one mapping.
///
/// A transfer that is in flight in the kernel is known by the address of its URB, which the kernel writes to when it is reaped. So that a
/// successor can reap what its predecessor submitted, both have the ring at the same address.
public final class TransferRingMapping: @unchecked Sendable {
    // Sendable: an address that stays valid until deinit. Words are accessed atomically; buffers and records belong to whoever the record's
    // phase says.
    let base: UnsafeMutableRawPointer
    public let geometry: TransferRingGeometry
    /// What a look at the geometry would reckon for each transfer.
    private let byteCount: Int
    private let stride: Int
    private let buffersOffset: Int
    let transferLength: Int
    /// Packets' descriptions as they are submitted: whole at once is cheaper than one by one.
    private let submittedPackets: UnsafeMutableRawPointer
    /// The driver's: what it has seen of the port's counter.
    var lastCompletions: UInt32 = 0
    private static let magic: UInt64 = 0x3247_4E49_5252_5455  // "UTRRING2"
    /// One in which no transfer's `place` is another than the ring.
    private static let magicBefore: UInt64 = 0x3147_4E49_5252_5455  // "UTRRING1"

    /// Where the ring of this number lies: 256 GiB and up are free on every 64-bit Linux, with 39 bits of address space too. The largest ring fits
    /// in between.
    public static func address(ofRing number: Int) -> UInt { 0x40_0000_0000 + UInt(number) << 30 }
    public static let maximumRings = 16

    /// Maps the memory at the address of ring `number`; `nil` takes any address, for a caller that has nothing to reap. The descriptor
    /// remains the caller's.
    public init(descriptor: Int32, geometry: TransferRingGeometry, number: Int?) throws(USBError) {
        let operation = "mmap(transfer-ring)"
        var status = stat()
        let seals = F_SEAL_SHRINK | F_SEAL_GROW
        guard geometry.isSound, fstat(descriptor, &status) == 0, status.st_size == off_t(geometry.byteCount),
            clinux_seals(descriptor) & seals == seals
        else { throw USBError(.invalidArgument, operation: operation, detail: "the memory is not of the ring's size, or not sealed") }
        var wanted: UnsafeMutableRawPointer?
        var flags = MAP_SHARED
        if let number {
            guard 0..<Self.maximumRings ~= number else {
                throw USBError(.invalidArgument, operation: operation, detail: "there is no ring \(number)")
            }
            wanted = UnsafeMutableRawPointer(bitPattern: Self.address(ofRing: number))
            flags |= 0x100000  // MAP_FIXED_NOREPLACE
        }
        guard let address = mmap(wanted, geometry.byteCount, PROT_READ | PROT_WRITE, flags, descriptor, 0), address != MAP_FAILED else {
            throw USBError(system: errno, operation: operation)
        }
        guard wanted == nil || address == wanted else {
            munmap(address, geometry.byteCount)
            throw USBError(.busy, operation: operation, detail: "the ring's address is taken")
        }
        base = address
        self.geometry = geometry
        byteCount = geometry.byteCount
        stride = geometry.stride
        buffersOffset = geometry.buffersOffset
        transferLength = geometry.transferLength
        submittedPackets = .allocate(byteCount: max(1, geometry.packetCount) * RecordWord.packetSize, alignment: 4)
        for packet in 0..<geometry.packetCount {
            let words = submittedPackets + packet * RecordWord.packetSize
            words.storeBytes(of: UInt32(geometry.packetLength), as: UInt32.self)
            words.storeBytes(of: 0, toByteOffset: 4, as: UInt64.self)
        }
    }

    deinit {
        munmap(base, byteCount)
        submittedPackets.deallocate()
    }

    /// Whether a driver has begun to use it.
    var isBegun: Bool { [Self.magic, Self.magicBefore].contains(word64(RingWord.magic)) }
    func begin() { store64(RingWord.magic, Self.magic) }

    func word64(_ offset: Int) -> UInt64 { clinux_load_u64(base + offset) }
    func word32(_ offset: Int) -> UInt32 { clinux_load_u32(base + offset) }
    func store64(_ offset: Int, _ value: UInt64) { if mayWrite { clinux_store_u64(base + offset, value) } }
    func store32(_ offset: Int, _ value: UInt32) { if mayWrite { clinux_store_u32(base + offset, value) } }

    /// Changes the word, unless somebody else has.
    func exchange32(_ offset: Int, from expected: UInt32, to value: UInt32) {
        if mayWrite { _ = clinux_exchange_if_u32(base + offset, expected, value) }
    }

    /// Copies bytes to a place; not atomic.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        precondition(offset >= 0 && bytes.count <= byteCount - offset)
        guard mayWrite, let source = bytes.baseAddress else { return }
        (base + offset).copyMemory(from: source, byteCount: bytes.count)
    }

    #if DEBUG
        /// For tests: is asked before every write, each of which may be the one that this process
        /// does not live to see.
        var writes: (() -> Bool)?
        var mayWrite: Bool { writes?() ?? true }
    #else
        var mayWrite: Bool { true }
    #endif

    /// The record of a transfer, by its place in the ring.
    func record(_ index: Int) -> Int {
        precondition(index >= 0 && index < geometry.transferCount)
        return geometry.recordsOffset + index * TransferRingGeometry.recordSize
    }

    func index(of number: UInt64) -> Int { Int(number % UInt64(geometry.transferCount)) }

    /// A transfer's bytes.
    func buffer(_ index: Int) -> UnsafeMutableRawBufferPointer {
        precondition(index >= 0 && index < geometry.transferCount)
        return UnsafeMutableRawBufferPointer(start: base + buffersOffset + index * stride, count: transferLength)
    }

    /// The bytes behind the buffers.
    var log: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + geometry.logOffset, count: geometry.logLength) }

    /// Describes the packets of a record anew, for the kernel's eyes: nothing has come.
    func resetPackets(_ record: Int) {
        guard geometry.packetCount > 0 else { return }
        (base + record + RecordWord.packets)
            .copyMemory(from: submittedPackets, byteCount: geometry.packetCount * RecordWord.packetSize)
    }
}
