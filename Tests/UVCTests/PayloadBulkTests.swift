// Bulk payloads: a header at their start only, whatever transfers they are cut into.
import Testing
import USB
import UVC

@Suite struct PayloadBulkTests {
    /// Three frames as payloads of at most `limit` bytes, header included.
    private func payloads(limit: Int) -> (frames: [TestFrame], payloads: [[UInt8]]) {
        var frames: [TestFrame] = []
        var payloads: [[UInt8]] = []
        for number in 0..<3 as Range<UInt8> {
            let frame = jpeg((0..<30).map { number &* 40 &+ $0 })
            frames.append(TestFrame(bytes: frame))
            for start in stride(from: 0, to: frame.count, by: limit - 2) {
                let end = min(start + limit - 2, frame.count)
                payloads.append(TestPayload.data(number & 1, Array(frame[start..<end]), end: end == frame.count).bytes)
            }
        }
        return (frames, payloads)
    }

    /// As the host sees it: each payload cut into transfers, the last of them short unless the payload is as long as it may be. Where that
    /// is a multiple of the transfer's length nothing short comes.
    @Test(arguments: [8, 12, 16, 34, 36, 40], [4, 8, 12, 16, 36, 64])
    func payloadsSpanTransfers(limit: Int, requested: Int) {
        let (frames, payloads) = payloads(limit: limit)
        var transfers: [TestPayload] = []
        for payload in payloads {
            var start = 0
            while start < payload.count {
                let end = min(start + requested, payload.count)
                transfers.append(.raw(Array(payload[start..<end])))
                start = end
            }
            // A payload that ends neither short nor at its limit is ended by a transfer without bytes.
            if payload.count < limit, payload.count % requested == 0 { transfers.append(.nothing) }
        }
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .mjpeg, maxPayloadSize: limit))
        #expect(assembler.frames(bulk: transfers, requested: requested) == frames)
    }

    @Test func aTransferOfSeveralWholePayloadsIsTakenApart() {
        let (frames, payloads) = payloads(limit: 36)  // each frame is one payload of exactly 36 bytes
        #expect(payloads.map(\.count) == [36, 36, 36])
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .mjpeg, maxPayloadSize: 36))
        #expect(assembler.frames(bulk: [.raw(payloads.flatMap { $0 })], requested: 108) == frames)
    }

    @Test func withoutALimitAShortTransferEndsThePayload() {
        let frame = jpeg([1, 2, 3, 4, 5, 6, 7, 8])
        let payload = TestPayload.data(0, frame, end: true).bytes
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .mjpeg))
        let transfers: [TestPayload] = [.raw(Array(payload[..<8])), .raw(Array(payload[8...]))]
        #expect(assembler.frames(bulk: transfers, requested: 8) == [TestFrame(bytes: frame)])
    }

    @Test func aFailedTransferEndsItsPayloadAndDamagesTheFrame() {
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .other, maxPayloadSize: 12))
        let frames = assembler.frames(
            bulk: [
                .data(1, [0], end: true), TestPayload(bytes: [2, 0x80, 1, 2, 3, 4, 5, 6], status: .fault(71)),
                .data(0, [7, 8], end: true), .data(1, [9], end: true),
            ], requested: 8)
        #expect(
            frames == [
                TestFrame(bytes: [0]), TestFrame(bytes: [1, 2, 3, 4, 5, 6, 7, 8], damage: .packetLost), TestFrame(bytes: [9]),
            ])
    }

    @Test func emptyTransfersBetweenPayloadsAreNothing() {
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .other, maxPayloadSize: 8))
        let frames = assembler.frames(
            bulk: [.nothing, .nothing, .data(0, [1, 2, 3, 4, 5, 6]), .nothing, .data(0, [7], end: true), .nothing], requested: 8)
        #expect(frames == [TestFrame(bytes: [1, 2, 3, 4, 5, 6, 7])])
        #expect(assembler.state.failedPackets == 0)
    }

    @Test func aPayloadWithAMalformedHeaderIsDroppedWhole() {
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .other, maxPayloadSize: 16))
        let frames = assembler.frames(
            bulk: [
                .data(1, [0], end: true), .data(0, [1, 1, 1, 1, 1, 1]), .data(0, [1, 1, 1, 1, 1, 1]),
                .raw([200, 0x80, 9, 9, 9, 9, 9, 9]), .raw([9, 9]), .data(0, [2], end: true),
            ].map { $0 }, requested: 8)
        // The first two transfers are one payload of 16 bytes: its second half has no header, so its bytes are data.
        #expect(
            frames == [
                TestFrame(bytes: [0]),
                TestFrame(bytes: [1, 1, 1, 1, 1, 1, 2, 0x80, 1, 1, 1, 1, 1, 1, 2], damage: .malformedPayload),
            ])
        #expect(assembler.state.malformedPayloads == 1)
    }

    @Test func stateFromAnywhereNeverWritesBehindTheSlot() {
        // Random states, as a corrupted memory would hold them.
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            var state = AssemblyState()
            withUnsafeMutableBytes(of: &state) { bytes in
                for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &generator) }
            }
            var isochronous = PayloadAssembler(settings: PayloadAssembler.Settings(content: .mjpeg, packetInterval: .max), state: state)
            _ = isochronous.frames(isochronous: [.data(0, [1, 2, 3]), .data(1, jpeg([1]), end: true), .lost], capacity: 8)
            var bulk = PayloadAssembler(
                settings: PayloadAssembler.Settings(content: .uncompressed(length: 6), maxPayloadSize: 5), state: state)
            _ = bulk.frames(bulk: [.data(0, [1, 2, 3]), .data(1, [1, 2, 3, 4, 5, 6], end: true), .nothing], requested: 8, capacity: 8)
        }
    }
}
