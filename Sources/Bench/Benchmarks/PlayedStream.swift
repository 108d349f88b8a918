// A stream's transfers, made once and played over and over: what the host controller would have
// written.
import CBenchmarks
import DriverStreams
import USB
import UVC

/// Transfers of whole frames, an even number, so that the first may follow the last.
final class PlayedStream {
    let frames: [[UInt8]]
    /// Bytes that a turn through all transfers carries, headers left out.
    let payloadBytes: Int
    /// For C, which plays them; the memory is this object's.
    private(set) var transfers = UnsafeMutableBufferPointer<cbenchmarks_transfer>(start: nil, count: 0)
    /// The same with headers, a payload by itself each.
    private let payloads: [[UInt8]]
    private var buffers: [UnsafeMutableRawPointer] = []

    init(_ stream: FrameCase) {
        frames = stream.frameLengths.enumerated().map { Self.frame($1, number: $0, content: stream.content) }
        payloadBytes = frames.reduce(0) { $0 + $1.count }
        let shape = stream.shape
        var made: [cbenchmarks_transfer] = []
        switch stream.bus {
        case .isochronous(let packetLength, let dataShare):
            payloads = Self.packets(frames, room: packetLength, dataShare: dataShare)
            for start in stride(from: 0, to: payloads.count, by: shape.packetCount) {
                made.append(isochronous(payloads[start..<min(start + shape.packetCount, payloads.count)], shape))
            }
        case .bulk(let payloadLength):
            payloads = Self.packets(frames, room: payloadLength, dataShare: 1)
            // A payload that is shorter than the largest ends with a short packet, or an empty one,
            // and so does the transfer; behind another one the next follows at once.
            var transfer: [UInt8] = []
            for payload in payloads {
                transfer += payload
                while transfer.count >= shape.packetLength {
                    made.append(bulk(transfer[..<shape.packetLength]))
                    transfer.removeFirst(shape.packetLength)
                }
                guard payload.count < payloadLength, !transfer.isEmpty else { continue }
                made.append(bulk(transfer[...]))
                transfer = []
            }
        }
        transfers = .allocate(capacity: made.count)
        _ = transfers.initialize(from: made)
    }

    deinit {
        for buffer in buffers { buffer.deallocate() }
        transfers.deallocate()
    }

    /// For C, whose memory lives as long as this object.
    lazy var plainPayloads = plain(payloads)
    lazy var plainFrames = plain(frames)

    private func plain(_ pieces: [[UInt8]]) -> UnsafeMutableBufferPointer<cbenchmarks_payload> {
        let list = UnsafeMutableBufferPointer<cbenchmarks_payload>.allocate(capacity: pieces.count)
        buffers.append(UnsafeMutableRawPointer(list.baseAddress!))
        for (index, piece) in pieces.enumerated() {
            let bytes = keep(piece.count)
            bytes.copyMemory(from: piece, byteCount: piece.count)
            list.initializeElement(
                at: index, to: cbenchmarks_payload(bytes: bytes.assumingMemoryBound(to: UInt8.self), length: UInt32(piece.count)))
        }
        return list
    }

    private func isochronous(_ packets: ArraySlice<[UInt8]>, _ shape: StreamShape) -> cbenchmarks_transfer {
        let bytes = keep(shape.packetLength * shape.packetCount)
        let plain = UnsafeMutablePointer<cbenchmarks_packet>.allocate(capacity: shape.packetCount)
        buffers.append(UnsafeMutableRawPointer(plain))
        for index in 0..<shape.packetCount {
            let payload = index < packets.count ? packets[packets.startIndex + index] : []
            let offset = index * shape.packetLength
            UnsafeMutableRawBufferPointer(start: bytes + offset, count: payload.count).copyBytes(from: payload)
            plain[index] = cbenchmarks_packet(offset: UInt32(offset), length: UInt32(payload.count), status: 0)
        }
        return cbenchmarks_transfer(
            bytes: bytes.assumingMemoryBound(to: UInt8.self), length: 0, packets: plain, packet_count: UInt32(shape.packetCount))
    }

    private func bulk(_ payload: ArraySlice<UInt8>) -> cbenchmarks_transfer {
        let bytes = keep(payload.count)
        UnsafeMutableRawBufferPointer(start: bytes, count: payload.count).copyBytes(from: payload)
        return cbenchmarks_transfer(
            bytes: bytes.assumingMemoryBound(to: UInt8.self), length: UInt32(payload.count), packets: nil, packet_count: 0)
    }

    private func keep(_ count: Int) -> UnsafeMutableRawPointer {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4096)
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        buffers.append(bytes)
        return bytes
    }

    /// Payloads of at most `room` bytes, each with a header of 12; where only a share of them
    /// carries data the others are headers.
    private static func packets(_ frames: [[UInt8]], room: Int, dataShare: Double) -> [[UInt8]] {
        var packets: [[UInt8]] = []
        for (number, frame) in frames.enumerated() {
            var offset = 0
            var due = 0.0
            while offset < frame.count {
                let count = min(room - 12, frame.count - offset)
                var flags = PayloadHeader.Flag.endOfHeader | UInt8(number % 2)
                if offset + count == frame.count { flags |= PayloadHeader.Flag.endOfFrame }
                let header = PayloadHeader(
                    flags: flags, presentationTime: UInt32(number), sourceClock: PayloadHeader.SourceClock(time: 1, frameNumber: 2)
                ).bytes
                packets.append(header + frame[offset..<(offset + count)])
                offset += count
                due += 1 / dataShare - 1
                while due >= 1, offset < frame.count {
                    packets.append(header)
                    due -= 1
                }
            }
        }
        return packets
    }

    /// Bytes without a marker in them, so that a frame's end is where it ends.
    private static func frame(_ length: Int, number: Int, content: PayloadAssembler.Settings.Content) -> [UInt8] {
        var state = UInt64(number + 1) &* 0x9e37_79b9_7f4a_7c15
        var bytes = (0..<length).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(state >> 57)
        }
        if content == .mjpeg {
            bytes.replaceSubrange(0..<2, with: [0xff, 0xd8])
            bytes.replaceSubrange((length - 2)..., with: [0xff, 0xd9])
        }
        return bytes
    }
}
