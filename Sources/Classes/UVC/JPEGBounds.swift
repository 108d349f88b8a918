// Where a JPEG begins and ends among the bytes that a camera sent.
import Glibc

/// Looks for SOI and EOI where they can't be anything else (ITU-T T.81 §B.1.1).
enum JPEGBounds {
    /// Zeros behind EOI that are taken for padding, and how far from the end EOI may stand among other bytes, to be found at a glance.
    private static let maximumPadding = 65_536
    private static let maximumTail = 64
    /// Bytes that may stand before SOI.
    private static let maximumLead = 512

    /// Where the image begins: at once, or a little further on, where SOI is followed by a marker.
    /// `nil` for what is not a JPEG.
    static func start(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 2 else { return nil }
        if bytes[0] == 0xff, bytes[1] == 0xd8 { return 0 }
        for offset in 0..<max(0, min(maximumLead, bytes.count - 2)) where begins(bytes, at: offset) { return offset }
        return nil
    }

    /// Whether SOI and the first byte of another marker stand there.
    static func begins(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        offset >= 0 && bytes.count - offset >= 3 && bytes[offset] == 0xff && bytes[offset + 1] == 0xd8 && bytes[offset + 2] == 0xff
    }

    /// The index behind EOI, whatever follows it; `nil` if there is none.
    static func end(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var end = bytes.count
        let lowest = max(start + 2, bytes.count - maximumPadding)
        while end > lowest, bytes[end - 1] == 0 { end -= 1 }
        func isEnd(_ index: Int) -> Bool { index >= start + 4 && bytes[index - 1] == 0xd9 && bytes[index - 2] == 0xff }
        if isEnd(end) { return end }
        switch structure(bytes, from: start) {
        case .ends(let index): return index
        case .goesOn: return nil
        // Of an image that makes no sense EOI may be the last thing to be seen.
        case .lost: return stride(from: end, through: max(0, end - maximumTail), by: -1).first(where: isEnd)
        }
    }

    private enum Structure {
        /// Behind that index.
        case ends(Int)
        /// To the last byte, in a scan or in a segment.
        case goesOn
        case lost
    }

    /// Follows the image's structure to the first EOI that stands in no segment: one pass over the bytes.
    private static func structure(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Structure {
        var offset = start + 2
        while offset + 2 <= bytes.count {
            guard bytes[offset] == 0xff else { return .lost }
            let marker = bytes[offset + 1]
            switch marker {
            case 0xff: offset += 1  // fill byte
            case 0xd9: return .ends(offset + 2)
            case 0x01, 0xd0...0xd7: offset += 2  // markers without a segment
            case 0x00, 0xd8: return .lost
            default:
                guard offset + 4 <= bytes.count else { return .goesOn }
                let length = Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])
                guard length >= 2 else { return .lost }
                offset += 2 + length
                if marker == 0xda { offset = endOfScan(bytes, from: offset) }
            }
        }
        return .goesOn
    }

    /// The marker behind a scan's data, in which FF is followed by 00 or by a restart marker; the bytes' end where there is none.
    private static func endOfScan(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var offset = start
        while offset < bytes.count, let base = bytes.baseAddress, let found = memchr(base + offset, 0xff, bytes.count - offset) {
            let index = UnsafeRawPointer(found) - base
            guard index + 1 < bytes.count else { break }
            switch bytes[index + 1] {
            case 0x00, 0xd0...0xd7: offset = index + 2
            case 0xff: offset = index + 1
            default: return index
            }
        }
        return bytes.count
    }
}
