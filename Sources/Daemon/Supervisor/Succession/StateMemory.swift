// A few kilobytes in memory that survives the process, of which a reader sees the old or the new
// and nothing in between.

import CLinux
import FileDescriptors
import Glibc

/// A sealed-size memfd with two places, of which each writing takes the other one. What a place holds counts when its checksum is right, and of two the
/// one with the higher number: a writer may be killed at any instant.
final class StateMemory {
    /// Bytes that it takes at most.
    static let capacity = (256 << 10) - headerSize
    static let byteCount = 2 * placeSize
    private static let placeSize = 256 << 10
    private static let headerSize = 32
    private static let magic: UInt64 = 0x3154_5453_5244_5355  // "USDRSTT1"

    /// Closed when this object goes.
    var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor
    private var sequence: UInt64 = 0

    init() throws(SystemFailure) {
        let made = clinux_memfd("device-state", 0)
        guard let memory = OwnedDescriptor(opened: made) else { throw SystemFailure(operation: "memfd_create(device-state)", errno: -made) }
        guard ftruncate(memory.number, off_t(Self.byteCount)) == 0, clinux_seal_size(memory.number) == 0 else {
            throw SystemFailure(operation: "ftruncate(device-state)", errno: errno)
        }
        self.memory = memory
    }

    /// Takes over what another process wrote. `nil` if it is no such memory or holds nothing whole.
    init?(adopting memory: consuming OwnedDescriptor, contents: inout [UInt8]) {
        self.memory = memory
        var status = stat()
        let seals = F_SEAL_SHRINK | F_SEAL_GROW
        // Only then is there no end to run into, and nobody who could make reading wait.
        guard fstat(descriptor, &status) == 0, status.st_size == off_t(Self.byteCount), clinux_seals(descriptor) & seals == seals,
            clinux_seals(descriptor) >= 0
        else { return nil }
        var best: (sequence: UInt64, bytes: [UInt8])?
        for place in 0..<2 {
            guard let found = Self.read(descriptor, place), found.sequence > best?.sequence ?? 0 else { continue }
            best = found
        }
        guard let best else { return nil }
        sequence = best.sequence
        contents = best.bytes
    }

    private static func read(_ descriptor: Int32, _ place: Int) -> (sequence: UInt64, bytes: [UInt8])? {
        var bytes = [UInt8](repeating: 0, count: placeSize)
        guard pread(descriptor, &bytes, placeSize, off_t(place * placeSize)) == placeSize else { return nil }
        let header = bytes.withUnsafeBytes { raw in (0..<4).map { raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) } }
        guard header[0] == magic, header[1] < UInt64.max, header[1] % 2 == UInt64(place), header[2] <= UInt64(capacity) else { return nil }
        let contents = Array(bytes[headerSize..<headerSize + Int(header[2])])
        guard header[3] == checksum(header[1], contents) else { return nil }
        return (header[1], contents)
    }

    /// Replaces what is there. False if it is too large or can't be written; what was there before stays.
    func write(_ contents: [UInt8]) -> Bool {
        guard contents.count <= Self.capacity else { return false }
        let next = sequence + 1
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerSize + contents.count)
        for word in [Self.magic, next, UInt64(contents.count), Self.checksum(next, contents)] {
            withUnsafeBytes(of: word) { bytes += $0 }
        }
        bytes += contents
        guard pwrite(descriptor, bytes, bytes.count, off_t(Int(next % 2) * Self.placeSize)) == bytes.count else { return false }
        sequence = next
        return true
    }

    /// FNV-1a over the number and the bytes: tells a half-written place, not a forged one.
    private static func checksum(_ sequence: UInt64, _ bytes: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        withUnsafeBytes(of: sequence) { for byte in $0 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 } }
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}
