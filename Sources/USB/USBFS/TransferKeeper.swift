// What makes transfers in the kernel's own memory safe to use: somebody who can read it when this process has died.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import TransferRing
public import USB

/// This process's keeper (`clinux_keeper_start`): it shares the process's memory, survives it, and hands the bytes of what was in flight to the
/// successor.
public final class TransferKeeper: Sendable {
    /// What `RingRecord.place` says of memory that this process has mapped.
    let owner: UInt32
    private struct Use {
        var isOn = false
        /// How often it was begun.
        var count = 0
    }
    private let use = Mutex(Use())

    /// Starts it. `nil` if that can't be done: nothing is mapped then.
    /// - Parameter incarnation: a number that no other incarnation of this driver has, which may still have something in flight.
    public convenience init?(incarnation: UInt32) {
        guard let ownProcess = OwnedDescriptor(opened: clinux_pidfd_open(getpid())) else { return nil }
        self.init(incarnation: incarnation, watching: ownProcess.number, isConfined: true)
    }

    /// - Parameters:
    ///   - watching: readable or hung up once the process counts as dead. Stays the caller's.
    ///   - isConfined: see `clinux_keeper_start`.
    init?(incarnation: UInt32, watching: Int32, isConfined: Bool) {
        guard incarnation > 0, watching >= 0, clinux_keeper_start(watching, isConfined ? 1 : 0) > 0 else { return nil }
        owner = incarnation
    }

    /// From now on nothing in this process starts one, or another.
    public static func forbid() throws(USBError) {
        let result = clinux_keeper_forbid()
        guard result == 0 else {
            throw USBError(.connection, operation: "seccomp(no keeper)", detail: String(cString: strerror(-result)))
        }
    }

    /// Memory for a ring's transfers; `nil` if it can't be had, or another ring has the keeper.
    func buffers(for mapping: TransferRingMapping, of file: NodeFile) -> MappedBuffers? {
        let geometry = mapping.geometry
        // Conversations' bytes are few, and theirs to log.
        guard geometry.logLength == 0, MappedBuffers.fits(geometry) else { return nil }
        let place = use.withLock { use -> Int? in
            guard !use.isOn else { return nil }
            use.isOn = true
            use.count += 1
            return (Int(owner) &* 16 + (use.count - 1) % 16) & 0x7ff
        }
        guard let place else { return nil }
        let buffers = MappedBuffers(file: file, keeper: self, place: place, geometry: geometry)
        var kept = mapping.kept(by: owner, mapped: buffers.base, stride: buffers.stride, isMapped: buffers.isMapped)
        clinux_keeper_keep(&kept)
        return buffers
    }

    /// The ring's memory is unmapped.
    fileprivate func isFree() {
        clinux_keeper_keep(nil)
        use.withLock { $0.isOn = false }
    }
}

/// The kernel's memory for a ring's transfers, each mapped when it is first submitted. What comes lies there without having been cleared and copied.
///
/// The kernel knows a mapping by the address at which it was made, so that no two on an open file may have the same one while anything of either is
/// in flight: each incarnation has addresses of its own.
final class MappedBuffers {
    /// Bytes of a transfer: what the kernel can have in one piece.
    private static let longest = 4 << 20
    /// Addresses of all transfers of a ring.
    private static let room = 64 << 20
    /// Above the rings (`TransferRingMapping.address`), and below what 39 bits of address space end with.
    private static func address(_ place: Int) -> UInt { 0x50_0000_0000 + UInt(place) * UInt(room) }
    /// Submissions from one that found no memory to the next that asks.
    private static let pause: UInt64 = 256

    static func fits(_ geometry: TransferRingGeometry) -> Bool {
        geometry.transferLength <= longest && geometry.transferCount * stride(geometry) <= room
    }

    private static func stride(_ geometry: TransferRingGeometry) -> Int { (geometry.transferLength + pageSize - 1) & ~(pageSize - 1) }
    private static let pageSize = max(4096, sysconf(Int32(_SC_PAGESIZE)))

    let base: UnsafeMutableRawPointer
    let stride: Int
    private let file: NodeFile
    private let keeper: TransferKeeper
    private let length: Int
    private let count: Int
    /// 1 for each that is; the keeper looks here when this process has died.
    fileprivate let isMapped: UnsafeMutablePointer<UInt32>
    /// The transfer's number from which on it is tried again.
    private var nextAttempt: UInt64 = 0
    /// Whether it was found to be read as fast as other memory.
    private var isJudged = false

    fileprivate init(file: NodeFile, keeper: TransferKeeper, place: Int, geometry: TransferRingGeometry) {
        self.file = file
        self.keeper = keeper
        guard let base = UnsafeMutableRawPointer(bitPattern: Self.address(place)) else { preconditionFailure("no address is 0") }
        self.base = base
        stride = Self.stride(geometry)
        length = geometry.transferLength
        count = geometry.transferCount
        isMapped = .allocate(capacity: count)
        isMapped.initialize(repeating: 0, count: count)
    }

    deinit {
        keeper.isFree()
        for index in 0..<count where isMapped[index] != 0 { munmap(base + index * stride, stride) }
        isMapped.deallocate()
    }

    var owner: UInt32 { keeper.owner }

    /// A transfer's memory, where it is mapped.
    func buffer(_ index: Int) -> UnsafeMutableRawBufferPointer? {
        0..<count ~= index && isMapped[index] != 0
            ? UnsafeMutableRawBufferPointer(start: base + index * stride, count: length) : nil
    }

    /// The same for one that is about to be submitted: mapped, if there is memory.
    func buffer(for record: RingRecord) -> UnsafeMutableRawBufferPointer? {
        if let mapped = buffer(record.index) { return mapped }
        let number = record.number
        guard number >= nextAttempt, 0..<count ~= record.index else { return nil }
        if map(record.index) { return isJudged || isFast(record.index) ? buffer(record.index) : nil }
        // A predecessor's mapping may take its room, which has no use for it any more.
        if record.place != 0, record.place != owner {
            record.lie(in: 0)
            if record.mapping.ringKeepers(until: clinux_monotonic_ns() + 50_000_000), map(record.index) { return buffer(record.index) }
        }
        nextAttempt = number &+ Self.pause
        return nil
    }

    private func map(_ index: Int) -> Bool {
        let flags = MAP_SHARED | 0x100000  // MAP_FIXED_NOREPLACE
        let wanted = base + index * stride
        let address = mmap(wanted, stride, PROT_READ | PROT_WRITE, flags, file.descriptor, 0)
        guard address == wanted else {
            if let address, address != MAP_FAILED { munmap(address, stride) }
            return false
        }
        clinux_store_u32(isMapped + index, 1)
        return true
    }

    /// Where devices don't see the processor's caches (some ARM boards), such memory is not cached, and reading it takes far longer than the copy
    /// that it saves: then it is not used. Judged once, by reading some of it.
    private func isFast(_ index: Int) -> Bool {
        isJudged = true
        let count = min(length, 32 << 10)
        let ordinary = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
        defer { ordinary.deallocate() }
        memset(ordinary, 1, count)
        let here = clinux_reading_time(base + index * stride, UInt64(count))
        let there = clinux_reading_time(ordinary, UInt64(count))
        if here <= 6 * there + 20_000 { return true }
        clinux_store_u32(isMapped + index, 0)
        munmap(base + index * stride, stride)
        nextAttempt = .max
        return false
    }
}
