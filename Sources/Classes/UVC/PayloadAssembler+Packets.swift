// The packets in a frame's middle, which nearly all are: a header that says nothing new, and bytes.

import Glibc
import USB

extension PayloadAssembler {
    /// Nearly every packet: the frame goes on. Takes packets for as long as there is nothing more to
    /// them, just as `take` would; the first that is to be looked at is left.
    mutating func goOn(
        _ packets: IsochronousPackets, from first: Int, of bytes: UnsafeRawBufferPointer, into slot: UnsafeMutableRawBufferPointer
    ) -> Int {
        let stride = packets.packetLength
        guard state.isInFrame == 1, !state.isWary, !settings.endsAtJPEGStart, state.droppedBytes == 0, Int(state.length) <= slot.count,
            let descriptions = packets.base, let source = bytes.baseAddress, let target = slot.baseAddress,
            // Each packet lies within the bytes, and a header's first two within the packet's room.
            stride >= 2, packets.count <= bytes.count / stride
        else { return first }
        let copy = stride <= Self.shortLength ? Self.copyShortPackets : Self.copyPackets
        let taken = copy(
            source + first * stride, stride, descriptions + first * IsochronousPackets.descriptionLength, packets.count - first,
            state.frameID, target + Int(state.length), slot.count - Int(state.length))
        state.length += UInt32(truncatingIfNeeded: taken.bytes)
        return first + taken.packets
    }

    /// Bytes that are copied at once, and up to how many `memcpy` takes longer than they do.
    private static let blockLength = 64
    private static let shortLength = 512

    /// At least a block, and not a byte more than `count`: the last block begins within the one
    /// before. A published frame that is assembled again gets the bytes that it has.
    @inline(__always)
    private static func copyBlocks(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int) {
        @inline(__always) func copyBlock(_ offset: Int) {
            let block = source.loadUnaligned(fromByteOffset: offset, as: SIMD64<UInt8>.self)
            target.storeBytes(of: block, toByteOffset: offset, as: SIMD64<UInt8>.self)
        }
        let last = count &- blockLength
        var offset = 0
        while offset < last {
            copyBlock(offset)
            offset &+= blockLength
        }
        copyBlock(last)
    }

    /// The loop by itself, so that all it needs is in registers.
    @inline(never)
    private static func copyPackets(
        from source: UnsafeRawPointer, stride: Int, _ descriptions: UnsafeRawPointer, count: Int, frameID: UInt8,
        to target: UnsafeMutableRawPointer, room: Int
    ) -> (packets: Int, bytes: Int) {
        loop(from: source, stride: stride, descriptions, count: count, frameID: frameID, to: target, room: room) { memcpy($1, $0, $2) }
    }

    /// The same where none has more than `shortLength` bytes.
    @inline(never)
    private static func copyShortPackets(
        from source: UnsafeRawPointer, stride: Int, _ descriptions: UnsafeRawPointer, count: Int, frameID: UInt8,
        to target: UnsafeMutableRawPointer, room: Int
    ) -> (packets: Int, bytes: Int) {
        loop(from: source, stride: stride, descriptions, count: count, frameID: frameID, to: target, room: room) {
            if $2 >= blockLength { copyBlocks($0, to: $1, count: $2) } else { memcpy($1, $0, $2) }
        }
    }

    /// Unchecked pointers: a length is read once, and is at most `stride` and `room` when it counts;
    /// `goOn` has seen to the rest.
    @inline(__always)
    private static func loop(
        from source: UnsafeRawPointer, stride: Int, _ descriptions: UnsafeRawPointer, count: Int, frameID: UInt8,
        to target: UnsafeMutableRawPointer, room: Int, copy: (UnsafeRawPointer, UnsafeMutableRawPointer, Int) -> Void
    ) -> (packets: Int, bytes: Int) {
        let flags = UInt16(PayloadHeader.Flag.frameID | PayloadHeader.Flag.endOfFrame | PayloadHeader.Flag.error) << 8
        let expected = UInt16(frameID) << 8
        var (payload, description, place) = (source, descriptions, target)
        let end = descriptions + count * IsochronousPackets.descriptionLength
        let limit = target + room
        while description < end {
            let length = IsochronousPackets.wholeLength(description, room: stride)
            // One comparison: neither 0 or 1, nor -1.
            if UInt(bitPattern: length &- 2) < UInt.max - 2 {
                let start = UInt16(littleEndian: payload.loadUnaligned(as: UInt16.self))
                let header = Int(start & 0xff)
                let count = length &- header
                // Another: a header has 2 bytes, and at most the packet's.
                guard start & flags == expected, UInt(bitPattern: header &- 2) <= UInt(bitPattern: length &- 2) else { break }
                if count > 0 {
                    guard count <= limit - place else { break }
                    copy(payload + header, place, count)
                    place += count
                }
            } else if length != 0 {
                break
            }
            description += IsochronousPackets.descriptionLength
            payload += stride
        }
        return ((description - descriptions) / IsochronousPackets.descriptionLength, place - target)
    }
}
