// One frame on its way to the host: copied once, out of the ring, and lent to the engine piece by piece.

import CLinux
import Glibc
import UserDriverClient

/// A payload's header and a frame (UVC 1.1 §2.4.3.3). What is sent is what was checked: the ring's writer is never waited for, and may have
/// come round while the host takes its time.
struct NodePayload {
    private let memory = NodeMemory()
    /// `dwMaxPayloadTransferSize`
    private var largest = 0
    private var end = 0
    private var sent = 0
    private var owesEnd = false
    private var frameID = false

    mutating func prepare(byteCount: Int) {
        largest = byteCount + NodeNegotiation.headerLength
        memory.reserve(largest)
        clear()
    }

    /// Whatever is under way is dropped.
    mutating func clear() { (end, sent, owesEnd) = (0, 0, false) }

    /// Copies the frame. False if it was overwritten meanwhile, or is larger than was agreed on.
    mutating func take(_ frame: Frame, now: UInt64) -> Bool {
        let header = NodeNegotiation.headerLength
        let count = frame.byteCount
        guard count > 0, header + count <= largest else { return false }
        let target = memory.bytes
        let isWhole = frame.withBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: target[header..<header + count]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        }
        guard isWhole else { return false }
        frameID.toggle()
        // End of header, SCR, PTS, end of frame (it is one payload); the frame's identifier.
        target[0] = UInt8(header)
        target[1] = 0x80 | 0x08 | 0x04 | 0x02 | (frameID ? 1 : 0)
        target.storeBytes(of: Self.ticks(frame.captured).littleEndian, toByteOffset: 2, as: UInt32.self)
        target.storeBytes(of: Self.ticks(now).littleEndian, toByteOffset: 6, as: UInt32.self)
        // SOF: the 1 ms bus frame's number, 11 bits.
        target.storeBytes(of: UInt16(truncatingIfNeeded: now / 1_000_000 & 0x7ff).littleEndian, toByteOffset: 10, as: UInt16.self)
        (end, sent) = (header + count, 0)
        return true
    }

    /// The next piece of the frame that is under way; `nil` if there is none. It stays as it is until the next call of anything here.
    mutating func next(upTo limit: Int) -> (bytes: UnsafeRawBufferPointer, ends: Bool)? {
        if owesEnd {
            owesEnd = false
            return (UnsafeRawBufferPointer(start: nil, count: 0), true)
        }
        guard sent < end, limit > 0 else { return nil }
        let count = min(limit, end - sent)
        let piece = UnsafeRawBufferPointer(rebasing: memory.bytes[sent..<sent + count])
        sent += count
        guard sent == end else { return (piece, false) }
        // A payload ends by a short transfer, or by having the length that was agreed on.
        if count == limit, end < largest { owesEnd = true }
        return (piece, true)
    }

    /// Ticks of the node's clock, which wraps at 32 bits.
    private static func ticks(_ nanoseconds: UInt64) -> UInt32 {
        let perSecond = UInt64(NodeDescriptors.clockFrequency)
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return UInt32(truncatingIfNeeded: seconds &* perSecond &+ rest * perSecond / 1_000_000_000)
    }
}

/// Memory that is used again, frame after frame.
private final class NodeMemory {
    private(set) var bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    deinit { bytes.deallocate() }

    func reserve(_ count: Int) {
        guard count != bytes.count else { return }
        bytes.deallocate()
        bytes = .allocate(byteCount: count, alignment: 64)
    }
}
