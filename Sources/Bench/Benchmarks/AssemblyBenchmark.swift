// Payload assembly against plain memcpy and against the least that C has to do, over the same transfers in the same run.
import CBenchmarks
import Glibc
import USB
import UVC

enum AssemblyBenchmark {
    /// A stream as a camera sends it: the packets' size, how many of them carry data, and a frame's size.
    struct Stream {
        var name: String
        var packetSize: Int
        var frameLength: Int
        /// Every how many packets one carries data; the others bring a header and nothing else.
        var dataEvery: Int
        var content: PayloadAssembler.Settings.Content
    }

    static let streams = [
        Stream(name: "mjpeg-720p-1024", packetSize: 1024, frameLength: 100_000, dataEvery: 2, content: .mjpeg),
        Stream(name: "mjpeg-1080p-3072", packetSize: 3072, frameLength: 300_000, dataEvery: 4, content: .mjpeg),
        Stream(name: "yuy2-480p-3072", packetSize: 3072, frameLength: 614_400, dataEvery: 1, content: .uncompressed(length: 614_400)),
        Stream(name: "yuy2-1080p-3072", packetSize: 3072, frameLength: 4_147_200, dataEvery: 1, content: .uncompressed(length: 4_147_200)),
    ]

    static func run(json: Bool) {
        for stream in streams {
            let result = measure(stream)
            if json {
                print(
                    "{\"stream\":\"\(stream.name)\",\"nanosecondsPerPacket\":\(result.ours),\"toC\":\(result.ours / result.c),"
                        + "\"toMemcpy\":\(result.ours / result.copy)}")
            } else {
                print(
                    "\(stream.name): \(rounded(result.ours)) ns a packet, \(rounded(result.ours / result.c)) × minimal C, "
                        + "\(rounded(result.ours / result.copy)) × memcpy")
            }
        }
    }

    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    private static func measure(_ stream: Stream) -> (ours: Double, c: Double, copy: Double) {
        let transfers = makeTransfers(stream)
        let slots = (0..<4).map { _ in UnsafeMutableRawBufferPointer.allocate(byteCount: stream.frameLength + 4096, alignment: 4096) }
        for slot in slots { slot.initializeMemory(as: UInt8.self, repeating: 1) }
        defer { for slot in slots { slot.deallocate() } }
        let packets = transfers.reduce(0) { $0 + $1.packets.count }

        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: stream.content))
        var slot = 0
        var frames = 0
        func ours() {
            for transfer in transfers {
                while let frame = assembler.isochronous(
                    UnsafeRawBufferPointer(transfer.buffer.bytes), packets: transfer.packets, at: 0, into: slots[slot])
                {
                    precondition(frame.damage.isEmpty)
                    frames += 1
                    slot = (slot + 1) % slots.count
                }
            }
        }
        var frame = cbenchmarks_frame()
        frame.capacity = UInt32(stream.frameLength + 4096)
        frame.bytes = slots[0].baseAddress?.assumingMemoryBound(to: UInt8.self)
        var current = 0
        func minimal() {
            for transfer in transfers {
                let bytes = UnsafePointer(transfer.buffer.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
                let ended = cbenchmarks_assemble(&frame, bytes, transfer.plain, Int32(transfer.plain.count))
                if ended > 0 {
                    current = (current + 1) % slots.count
                    frame.bytes = slots[current].baseAddress?.assumingMemoryBound(to: UInt8.self)
                }
            }
        }
        var target = 0
        var filled = 0
        func copy() {
            for transfer in transfers {
                for packet in transfer.packets where packet.actualLength > 12 {
                    memcpy(
                        slots[target].baseAddress! + filled, transfer.buffer.bytes.baseAddress! + packet.offset + 12,
                        packet.actualLength - 12)
                    filled += packet.actualLength - 12
                    if filled >= stream.frameLength {
                        filled = 0
                        target = (target + 1) % slots.count
                    }
                }
            }
        }
        // The median of ratios of neighbouring runs: what else the machine does meanwhile touches all three alike.
        var figures: [(ours: Double, c: Double, copy: Double)] = []
        ours()
        minimal()
        copy()
        for _ in 0..<41 {
            figures.append((time(ours), time(minimal), time(copy)))
        }
        let toC = figures.map { $0.ours / $0.c }.sorted()[figures.count / 2]
        let toCopy = figures.map { $0.ours / $0.copy }.sorted()[figures.count / 2]
        let best = figures.map(\.ours).sorted()[figures.count / 2]
        precondition(frames > 0)
        return (best / Double(packets), best / toC / Double(packets), best / toCopy / Double(packets))
    }

    private static func time(_ body: () -> Void) -> Double {
        var start = timespec()
        var end = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
        body()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
        return Double(end.tv_sec - start.tv_sec) * 1e9 + Double(end.tv_nsec - start.tv_nsec)
    }

    private struct Transfer {
        var buffer: TransferBuffer
        var packets: [IsochronousPacket]
        var plain: [cbenchmarks_packet]
    }

    /// An even number of frames, so that FID fits when they are sent again, in transfers of 32 packets.
    private static func makeTransfers(_ stream: Stream) -> [Transfer] {
        var payloads: [[UInt8]] = []
        let room = stream.packetSize - 12
        for frame in 0..<4 {
            var bytes = [UInt8](repeating: 0x55, count: stream.frameLength)
            bytes.replaceSubrange(0..<2, with: [0xff, 0xd8])
            bytes.replaceSubrange((stream.frameLength - 2)..., with: [0xff, 0xd9])
            var offset = 0
            while offset < bytes.count {
                let count = min(room, bytes.count - offset)
                var flags = PayloadHeader.Flag.endOfHeader | UInt8(frame % 2)
                if offset + count == bytes.count { flags |= PayloadHeader.Flag.endOfFrame }
                let header = PayloadHeader(
                    flags: flags, presentationTime: UInt32(frame), sourceClock: PayloadHeader.SourceClock(time: 1, frameNumber: 2))
                payloads.append(header.bytes + bytes[offset..<(offset + count)])
                for _ in 1..<max(1, stream.dataEvery) where offset + count < bytes.count { payloads.append(header.bytes) }
                offset += count
            }
        }
        return stride(from: 0, to: payloads.count, by: 32).map { start in
            let buffer = TransferBuffer(count: 32 * stream.packetSize)
            var packets: [IsochronousPacket] = []
            for index in 0..<32 {
                let payload = start + index < payloads.count ? payloads[start + index] : []
                let offset = index * stream.packetSize
                UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[offset...]).copyBytes(from: payload)
                packets.append(IsochronousPacket(offset: offset, length: stream.packetSize, actualLength: payload.count))
            }
            let plain = packets.map { cbenchmarks_packet(offset: UInt32($0.offset), length: UInt32($0.actualLength), status: 0) }
            return Transfer(buffer: buffer, packets: packets, plain: plain)
        }
    }
}
