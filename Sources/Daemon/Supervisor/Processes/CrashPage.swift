// What a driver's signal handler left in its progress page: read as bytes that a stranger wrote.

import CLinux

/// A driver's last words: signal, address, return addresses, and what was mapped where. Nothing of it is trusted.
struct CrashPage: Hashable, Sendable {
    struct Object: Hashable, Sendable {
        /// What to subtract from an address to get the ELF file's.
        var base: UInt64
        var range: Range<UInt64>
        /// `nil` for the executable itself.
        var path: String?
    }
    var signal: Int32
    var faultAddress: UInt64
    /// Innermost first: the instruction that faulted, then return addresses.
    var frames: [UInt64]
    var objects: [Object]

    init(signal: Int32, faultAddress: UInt64, frames: [UInt64], objects: [Object]) {
        self.signal = signal
        self.faultAddress = faultAddress
        self.frames = frames
        self.objects = objects
    }

    /// `nil` when nothing was said, or nothing that makes sense. `page` holds at least `clinux_last_words`.
    init?(page: UnsafeRawBufferPointer) {
        guard page.count >= MemoryLayout<clinux_last_words>.size else { return nil }
        let words = page.loadUnaligned(as: clinux_last_words.self)
        guard words.magic == CLINUX_CRASH_MAGIC, words.signal_number > 0, words.signal_number < 65 else { return nil }
        signal = Int32(words.signal_number)
        faultAddress = words.fault_address
        let framesStart = 24
        frames = (0..<min(Int(words.frame_count), Int(CLINUX_CRASH_FRAMES))).map {
            page.loadUnaligned(fromByteOffset: framesStart + $0 * 8, as: UInt64.self)
        }
        let objectCount = min(Int(words.object_count), Int(CLINUX_CRASH_OBJECTS))
        // Offsets are those of the struct in crash.h: three u64 and 96 bytes of path.
        let size = 120
        let objectsStart = MemoryLayout<clinux_last_words>.size - Int(CLINUX_CRASH_OBJECTS) * size
        objects = (0..<objectCount).compactMap { index in
            let entry = UnsafeRawBufferPointer(rebasing: page[(objectsStart + index * size)..<(objectsStart + (index + 1) * size)])
            let start = entry.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
            let end = entry.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
            guard start < end else { return nil }
            let path = String(decoding: entry[24...].prefix { $0 != 0 }, as: UTF8.self)
            return Object(base: entry.loadUnaligned(as: UInt64.self), range: start..<end, path: path.isEmpty ? nil : path)
        }
    }
}
