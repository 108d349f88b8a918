// Payload sequences by hand: a small language for packets, and what a run of the assembler made of them.
import USB
import UVC

/// One packet or transfer, and how it arrived.
struct TestPayload {
    var bytes: [UInt8]
    var status: TransferStatus = .completed

    /// A two-byte header and data.
    static func data(_ frameID: UInt8, _ data: [UInt8], end: Bool = false, error: Bool = false, still: Bool = false) -> TestPayload {
        var flags = PayloadHeader.Flag.endOfHeader | frameID
        if end { flags |= PayloadHeader.Flag.endOfFrame }
        if error { flags |= PayloadHeader.Flag.error }
        if still { flags |= PayloadHeader.Flag.stillImage }
        return TestPayload(bytes: [2, flags] + data)
    }

    /// A header and nothing else.
    static func empty(_ frameID: UInt8, end: Bool = false) -> TestPayload { data(frameID, [], end: end) }
    static let nothing = TestPayload(bytes: [])
    /// A packet that the bus lost.
    static let lost = TestPayload(bytes: [], status: .fault(18))
    static func raw(_ bytes: [UInt8]) -> TestPayload { TestPayload(bytes: bytes) }
}

/// A frame that the assembler returned, with its bytes.
struct TestFrame: Equatable, CustomStringConvertible {
    var bytes: [UInt8]
    var damage: FrameDamage = []
    var isStillImage = false

    var description: String { "\(bytes) \(damage)\(isStillImage ? " still" : "")" }
}

extension PayloadAssembler {
    /// Assembles packets, `perTransfer` in each transfer, with room for `capacity` bytes a frame. Bytes behind the slot are checked.
    mutating func frames(isochronous payloads: [TestPayload], perTransfer: Int = 4, capacity: Int = 64) -> [TestFrame] {
        let packetSize = max(16, payloads.map(\.bytes.count).max() ?? 16)
        var frames: [TestFrame] = []
        withGuardedSlot(capacity) { slot in
            for start in stride(from: 0, to: payloads.count, by: perTransfer) {
                let part = payloads[start..<min(start + perTransfer, payloads.count)]
                var buffer: [UInt8] = []
                var packets: [IsochronousPacket] = []
                for payload in part {
                    packets.append(
                        IsochronousPacket(
                            offset: buffer.count, length: packetSize, actualLength: payload.bytes.count, status: payload.status))
                    buffer += payload.bytes + [UInt8](repeating: 0xAA, count: packetSize - payload.bytes.count)
                }
                buffer.withUnsafeBytes { bytes in
                    while let frame = isochronous(bytes, packets: packets, at: 1_000, into: slot) {
                        frames.append(TestFrame(frame, slot))
                    }
                }
            }
        }
        return frames
    }

    /// Assembles bulk transfers of `requested` bytes.
    mutating func frames(bulk transfers: [TestPayload], requested: Int, capacity: Int = 64) -> [TestFrame] {
        var frames: [TestFrame] = []
        withGuardedSlot(capacity) { slot in
            for transfer in transfers {
                transfer.bytes.withUnsafeBytes { bytes in
                    while let frame = bulk(bytes, requested: requested, status: transfer.status, at: 1_000, into: slot) {
                        frames.append(TestFrame(frame, slot))
                    }
                }
            }
        }
        return frames
    }
}

extension TestFrame {
    init(_ frame: AssembledFrame, _ slot: UnsafeMutableRawBufferPointer) {
        self.init(bytes: [UInt8](slot[..<frame.length]), damage: frame.damage, isStillImage: frame.isStillImage)
    }
}

/// A slot with sixteen bytes behind it that must stay as they are.
func withGuardedSlot(_ capacity: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity + 16, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xC5)
    body(UnsafeMutableRawBufferPointer(rebasing: memory[..<capacity]))
    precondition(memory[capacity...].allSatisfy { $0 == 0xC5 }, "nothing is written behind the slot")
}

/// A JPEG's first and last marker around `content`.
func jpeg(_ content: [UInt8]) -> [UInt8] { [0xff, 0xd8] + content + [0xff, 0xd9] }
