// Fuzzes payload assembly, the JPEG repair behind it, and the probe block.

import USB
import UVC

/// An input is a byte of settings, optionally a state as a corrupted memory would hold it, and packets: a length, how it arrived, bytes.
enum PayloadFuzz: FuzzTarget {
    static let name = "payloads"

    static let seeds: [[UInt8]] = {
        func packet(_ bytes: [UInt8], status: UInt8 = 0) -> [UInt8] { [UInt8(bytes.count), status] + bytes }
        let jpeg: [[UInt8]] = [
            packet([2, 0x80, 0xff, 0xd8, 0xff, 0xdb, 0, 2, 0xff, 0xda, 0, 2, 1]), packet([2, 0x80]), packet([]),
            packet([12, 0x8e, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2, 3, 0xff, 0xd9]), packet([2, 0x81, 0xff, 0xd8, 0xff, 0xd9]),
            packet([2, 0x83, 0, 0]), packet([2, 0x80, 0xff, 0xd8], status: 1), packet([2, 0xc2, 0xff, 0xd9]),
        ]
        let body = jpeg.flatMap { $0 }
        return (0..<16).map { [UInt8($0)] + body } + [[0x20] + [UInt8](repeating: 0, count: stateSize) + body]
    }()

    private static let stateSize = MemoryLayout<AssemblyState>.size
    private static let guardSize = 32

    private struct Packet {
        var bytes: ArraySlice<UInt8>
        var fails: Bool
    }

    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let contents: [PayloadAssembler.Settings.Content] = [.mjpeg, .uncompressed(length: 20), .other, .uncompressed(length: 0)]
        let settings = PayloadAssembler.Settings(
            content: contents[Int(first & 3)], maxPayloadSize: first & 0x10 != 0 ? 16 : 0, packetInterval: 125_000,
            ignoresFrameID: first & 4 != 0, endsAtJPEGStart: first & 8 != 0)
        var state = AssemblyState()
        var offset = 1
        if first & 0x20 != 0, bytes.count >= 1 + stateSize {
            withUnsafeMutableBytes(of: &state) { $0.copyBytes(from: bytes[1..<(1 + stateSize)]) }
            offset += stateSize
        }
        var packets: [Packet] = []
        while offset + 2 <= bytes.count {
            let end = min(bytes.count, offset + 2 + Int(bytes[offset]))
            packets.append(Packet(bytes: bytes[(offset + 2)..<end], fails: bytes[offset + 1] & 1 != 0))
            offset = end
        }
        isochronous(packets, settings, state, isTrusted: first & 0x20 == 0)
        bulk(packets, settings, state)
        block(bytes)
    }

    /// However packets are spread over transfers, the frames are the same, unless the state that it began with was nonsense.
    private static func isochronous(_ packets: [Packet], _ settings: PayloadAssembler.Settings, _ state: AssemblyState, isTrusted: Bool) {
        let single = isochronous(packets, settings, state, perTransfer: 1)
        let many = isochronous(packets, settings, state, perTransfer: 7)
        if isTrusted { precondition(single == many, "frames do not depend on transfers") }
        let described = isochronous(packets, settings, state, perTransfer: 7, asKernelDescribes: true)
        precondition(described == many, "packets in the ring are what packets in an array are")
    }

    private static func isochronous(
        _ packets: [Packet], _ settings: PayloadAssembler.Settings, _ state: AssemblyState, perTransfer: Int,
        asKernelDescribes: Bool = false
    ) -> [[UInt8]] {
        var assembler = PayloadAssembler(settings: settings, state: state)
        return collect { slot, found in
            for start in stride(from: 0, to: packets.count, by: perTransfer) {
                let part = packets[start..<min(start + perTransfer, packets.count)]
                var buffer: [UInt8] = []
                if asKernelDescribes {
                    let room = part.map(\.bytes.count).max() ?? 0
                    for packet in part { buffer += packet.bytes + [UInt8](repeating: 0xEE, count: room - packet.bytes.count) }
                    let outcomes = part.map { (actualLength: $0.bytes.count, status: Int32($0.fails ? -18 : 0)) }
                    buffer.withUnsafeBytes { bytes in
                        IsochronousPackets.with(outcomes, packetLength: room) {
                            while let frame = assembler.isochronous(bytes, packets: $0, at: 1 << 40, into: slot) { found(frame) }
                        }
                    }
                    continue
                }
                let described = part.map { packet in
                    defer { buffer += packet.bytes }
                    return IsochronousPacket(
                        offset: buffer.count, length: packet.bytes.count, actualLength: packet.bytes.count,
                        status: packet.fails ? .fault(18) : .completed)
                }
                buffer.withUnsafeBytes {
                    while let frame = assembler.isochronous($0, packets: described, at: 1 << 40, into: slot) { found(frame) }
                }
            }
        }
    }

    private static func bulk(_ packets: [Packet], _ settings: PayloadAssembler.Settings, _ state: AssemblyState) {
        var assembler = PayloadAssembler(settings: settings, state: state)
        _ = collect { slot, found in
            for packet in packets {
                packet.bytes.withUnsafeBytes {
                    while let frame = assembler.bulk(
                        $0, requested: 16, status: packet.fails ? .fault(71) : .completed, at: 1 << 40, into: slot)
                    {
                        found(frame)
                    }
                }
            }
        }
    }

    /// Runs with a slot of 64 bytes and looks at every frame. Nothing may be written behind the slot.
    private static func collect(_ body: (UnsafeMutableRawBufferPointer, (AssembledFrame) -> Void) -> Void) -> [[UInt8]] {
        let capacity = 64
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity + guardSize, alignment: 64)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0xC5)
        let slot = UnsafeMutableRawBufferPointer(rebasing: memory[..<capacity])
        var frames: [[UInt8]] = []
        body(slot) { frame in
            precondition(frame.length >= 1 && frame.length <= capacity, "a frame is within its slot")
            let bytes = [UInt8](slot[..<frame.length])
            precondition(MotionJPEG.withHuffmanTables(bytes).count <= bytes.count + 420, "no more than the tables is added")
            frames.append(bytes)
        }
        precondition(memory[capacity...].allSatisfy { $0 == 0xC5 }, "nothing is written behind the slot")
        return frames
    }

    private static func block(_ bytes: [UInt8]) {
        guard let parameters = StreamingParameters(bytes: bytes) else { return }
        let length = min(48, bytes.count)
        precondition(parameters.encoded(length: length) == Array(bytes.prefix(length)), "a block survives being read and written")
    }
}
