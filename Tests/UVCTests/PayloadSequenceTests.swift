// The table of payload sequences: what cameras send when all goes well, and when it does not.
import Testing
import USB
import UVC

struct SequenceCase: CustomTestStringConvertible, Sendable {
    var name: String
    var content: PayloadAssembler.Settings.Content = .other
    var ignoresFrameID = false
    var endsAtJPEGStart = false
    var capacity = 64
    var payloads: @Sendable () -> [TestPayload]
    var frames: [TestFrame]
    var testDescription: String { name }
}

@Suite struct PayloadSequenceTests {
    static let table: [SequenceCase] = [
        SequenceCase(
            name: "two frames, FID toggles, EOF in the last packet",
            payloads: { [.data(0, [1, 2]), .data(0, [3], end: true), .data(1, [4, 5]), .data(1, [6], end: true)] },
            frames: [TestFrame(bytes: [1, 2, 3]), TestFrame(bytes: [4, 5, 6])]),
        SequenceCase(
            name: "EOF in a header of its own",
            payloads: { [.data(0, [1]), .empty(0, end: true), .data(1, [2]), .empty(1, end: true)] },
            frames: [TestFrame(bytes: [1]), TestFrame(bytes: [2])]),
        SequenceCase(
            name: "lost EOF: the next FID ends the frame",
            payloads: { [.data(0, [1]), .data(0, [2]), .data(1, [3]), .data(1, [4], end: true)] },
            frames: [TestFrame(bytes: [1, 2]), TestFrame(bytes: [3, 4])]),
        SequenceCase(
            name: "EOF never comes at all",
            payloads: { [.data(1, [1]), .data(0, [2]), .data(1, [3]), .data(0, [4])] },
            frames: [TestFrame(bytes: [1]), TestFrame(bytes: [2]), TestFrame(bytes: [3])]),
        SequenceCase(
            name: "lost EOF before headers without data",
            payloads: { [.data(0, [1]), .empty(1), .empty(1), .data(1, [2], end: true)] },
            frames: [TestFrame(bytes: [1]), TestFrame(bytes: [2])]),
        SequenceCase(
            name: "zero-length packets and headers without data between and within frames",
            payloads: {
                [.nothing, .empty(1), .data(0, [1]), .nothing, .empty(0), .data(0, [2], end: true), .empty(0, end: true), .nothing]
                    + [.empty(1), .data(1, [3], end: true)]
            },
            frames: [TestFrame(bytes: [1, 2]), TestFrame(bytes: [3])]),
        SequenceCase(
            name: "three frames' ends in one transfer",
            payloads: { [.data(0, [1], end: true), .data(1, [2], end: true), .data(0, [3], end: true), .data(1, [4])] },
            frames: [TestFrame(bytes: [1]), TestFrame(bytes: [2]), TestFrame(bytes: [3])]),
        SequenceCase(
            name: "data behind EOF with the same FID is dropped",
            payloads: { [.data(0, [1, 1, 1, 1], end: true), .data(0, [9]), .data(1, [2], end: true)] },
            frames: [TestFrame(bytes: [1, 1, 1, 1]), TestFrame(bytes: [2])]),
        SequenceCase(
            name: "FID never toggles, known by its quirk", ignoresFrameID: true,
            payloads: { [.data(0, [1]), .data(0, [2], end: true), .data(0, [3], end: true), .data(0, [4], end: true)] },
            frames: [TestFrame(bytes: [1, 2]), TestFrame(bytes: [3]), TestFrame(bytes: [4])]),
        SequenceCase(
            name: "FID toggles within frames of a device whose FID is ignored", ignoresFrameID: true,
            payloads: { [.data(0, [1]), .data(1, [2]), .data(0, [3], end: true)] },
            frames: [TestFrame(bytes: [1, 2, 3])]),
        SequenceCase(
            name: "FID never toggles, noticed after two frames",
            payloads: { (1...5 as ClosedRange<UInt8>).map { .data(1, [$0, $0], end: true) } },
            frames: [TestFrame(bytes: [1, 1]), TestFrame(bytes: [4, 4]), TestFrame(bytes: [5, 5])]),
        SequenceCase(
            name: "ERR marks the frame and no other",
            payloads: {
                [.data(1, [0], end: true), .data(0, [1]), .data(0, [2], error: true), .data(0, [3], end: true), .data(1, [4], end: true)]
            },
            frames: [TestFrame(bytes: [0]), TestFrame(bytes: [1, 2, 3], damage: .errorBit), TestFrame(bytes: [4])]),
        SequenceCase(
            name: "a header longer than its packet",
            payloads: { [.data(1, [0], end: true), .data(0, [1]), .raw([12, 0x80, 7]), .data(0, [2], end: true)] },
            frames: [TestFrame(bytes: [0]), TestFrame(bytes: [1, 2], damage: .malformedPayload)]),
        SequenceCase(
            name: "headers shorter than two bytes",
            payloads: { [.data(1, [0], end: true), .data(0, [1]), .raw([0, 0]), .raw([1, 0x80]), .raw([2]), .data(0, [2], end: true)] },
            frames: [TestFrame(bytes: [0]), TestFrame(bytes: [1, 2], damage: .malformedPayload)]),
        SequenceCase(
            name: "a header that is longer than the standard knows",
            payloads: { [.raw([20, 0x81] + [UInt8](repeating: 9, count: 18) + [1, 2]), .data(1, [3], end: true)] },
            frames: [TestFrame(bytes: [1, 2, 3])]),
        SequenceCase(
            name: "a frame larger than its slot", capacity: 4,
            payloads: {
                [.data(1, [0], end: true), .data(0, [1, 2, 3]), .data(0, [4, 5, 6]), .data(0, [7], end: true), .data(1, [8], end: true)]
            },
            frames: [TestFrame(bytes: [0]), TestFrame(bytes: [1, 2, 3, 4], damage: .oversize), TestFrame(bytes: [8])]),
        SequenceCase(
            name: "a frame that fills its slot", capacity: 4,
            payloads: { [.data(0, [1, 2, 3]), .data(0, [4], end: true)] },
            frames: [TestFrame(bytes: [1, 2, 3, 4])]),
        SequenceCase(
            name: "a lost packet damages the frame it was part of",
            payloads: { [.data(1, [0], end: true), .data(0, [1]), .lost, .data(0, [2], end: true), .data(1, [3], end: true)] },
            frames: [TestFrame(bytes: [0]), TestFrame(bytes: [1, 2], damage: .packetLost), TestFrame(bytes: [3])]),
        SequenceCase(
            name: "a packet lost between frames of known length harms nothing", content: .uncompressed(length: 2),
            payloads: { [.data(0, [1, 1], end: true), .lost, .data(1, [2, 2], end: true)] },
            frames: [TestFrame(bytes: [1, 1]), TestFrame(bytes: [2, 2])]),
        SequenceCase(
            name: "the bytes of a packet with an error are not used",
            payloads: {
                [
                    .data(1, [0], end: true), .data(0, [1]), TestPayload(bytes: [2, 0x80, 9, 9], status: .fault(84)),
                    .data(0, [2], end: true),
                ]
            },
            frames: [TestFrame(bytes: [0]), TestFrame(bytes: [1, 2], damage: .packetLost)]),
        SequenceCase(
            name: "an uncompressed frame that is too short", content: .uncompressed(length: 4),
            payloads: { [.data(0, [1, 1, 1, 1], end: true), .data(1, [2, 2], end: true), .data(0, [3, 3, 3, 3], end: true)] },
            frames: [
                TestFrame(bytes: [1, 1, 1, 1]), TestFrame(bytes: [2, 2], damage: .short), TestFrame(bytes: [3, 3, 3, 3]),
            ]),
        SequenceCase(
            name: "an uncompressed frame that is too long", content: .uncompressed(length: 2),
            payloads: { [.data(0, [1, 1], end: true), .data(1, [2, 2, 2], end: true)] },
            frames: [TestFrame(bytes: [1, 1]), TestFrame(bytes: [2, 2], damage: .oversize)]),
        SequenceCase(
            name: "a stream joined in the middle of an uncompressed frame", content: .uncompressed(length: 4),
            payloads: { [.data(0, [1]), .data(0, [1], end: true), .data(1, [2, 2, 2, 2], end: true)] },
            frames: [TestFrame(bytes: [2, 2, 2, 2])]),
        SequenceCase(
            name: "a stream joined in the middle of a JPEG", content: .mjpeg,
            payloads: { [.data(0, [5, 5, 0xff, 0xd9], end: true), .data(1, jpeg([1]), end: true)] },
            frames: [TestFrame(bytes: jpeg([1]))]),
        SequenceCase(
            name: "a stream joined at a frame's start loses nothing", content: .mjpeg,
            payloads: { [.data(0, jpeg([1]), end: true)] },
            frames: [TestFrame(bytes: jpeg([1]))]),
        SequenceCase(
            name: "a JPEG that does not begin, and one that lost its end", content: .mjpeg,
            payloads: {
                [.data(0, jpeg([1]), end: true), .data(1, [7, 7, 0xff, 0xd9], end: true), .data(0, [0xff, 0xd8, 7])]
                    + [.data(1, jpeg([2]), end: true)]
            },
            frames: [
                TestFrame(bytes: jpeg([1])), TestFrame(bytes: [7, 7, 0xff, 0xd9], damage: .noStart),
                TestFrame(bytes: [0xff, 0xd8, 7], damage: .noEnd), TestFrame(bytes: jpeg([2])),
            ]),
        SequenceCase(
            name: "padding behind a JPEG is cut", content: .mjpeg,
            payloads: {
                [.data(0, jpeg([1]) + [0, 0, 0, 0, 0]), .data(0, [0, 0, 0], end: true), .data(1, jpeg([2]) + [0x55, 0x55], end: true)]
            },
            frames: [TestFrame(bytes: jpeg([1])), TestFrame(bytes: jpeg([2]))]),
        SequenceCase(
            name: "EOF and FID both lost: the next JPEG's start ends the frame", content: .mjpeg, endsAtJPEGStart: true,
            payloads: { [.data(0, jpeg([1])), .data(0, jpeg([2])), .data(0, [0xff, 0xd8, 3]), .data(0, [3, 0xff, 0xd9], end: true)] },
            frames: [TestFrame(bytes: jpeg([1])), TestFrame(bytes: jpeg([2])), TestFrame(bytes: jpeg([3, 3]))]),
        SequenceCase(
            name: "a still image among video",
            payloads: { [.data(0, [1], end: true), .data(1, [2], still: true), .data(1, [2], end: true, still: true)] },
            frames: [TestFrame(bytes: [1]), TestFrame(bytes: [2, 2], isStillImage: true)]),
    ]

    @Test(arguments: table, [1, 3, 32])
    func isochronous(_ sequence: SequenceCase, perTransfer: Int) {
        var assembler = PayloadAssembler(
            settings: PayloadAssembler.Settings(
                content: sequence.content, ignoresFrameID: sequence.ignoresFrameID, endsAtJPEGStart: sequence.endsAtJPEGStart))
        let frames = assembler.frames(isochronous: sequence.payloads(), perTransfer: perTransfer, capacity: sequence.capacity)
        #expect(frames == sequence.frames)
    }

    /// The same sequences as bulk: each packet a payload in a short transfer of its own. (A transfer without bytes is no loss there.)
    @Test(arguments: table)
    func bulk(_ sequence: SequenceCase) {
        var assembler = PayloadAssembler(
            settings: PayloadAssembler.Settings(
                content: sequence.content, ignoresFrameID: sequence.ignoresFrameID, endsAtJPEGStart: sequence.endsAtJPEGStart))
        // What came of a failed transfer is part of the payload; a failed packet's bytes are not.
        let payloads = sequence.payloads().map { $0.status == .completed ? $0 : .lost }
        let frames = assembler.frames(bulk: payloads, requested: 64, capacity: sequence.capacity)
        #expect(frames == sequence.frames)
    }

    @Test func theStateOfOneTransferIsEnoughForTheNext() {
        // A frame over three transfers, assembled by three assemblers that hand on nothing but the state.
        let settings = PayloadAssembler.Settings(content: .mjpeg)
        let bytes = jpeg([1, 2, 3, 4, 5, 6])
        var state = AssemblyState()
        withGuardedSlot(32) { slot in
            for (index, part) in [bytes[0..<3], bytes[3..<6], bytes[6...]].enumerated() {
                var assembler = PayloadAssembler(settings: settings, state: state)
                let payload = TestPayload.data(1, Array(part), end: index == 2).bytes
                payload.withUnsafeBytes {
                    let packets = [IsochronousPacket(offset: 0, length: 64, actualLength: payload.count)]
                    let frame = assembler.isochronous($0, packets: packets, at: UInt64(index + 1), into: slot)
                    #expect((frame != nil) == (index == 2))
                    if let frame {
                        #expect([UInt8](slot[..<frame.length]) == bytes)
                        #expect(frame.captured == 1)
                    }
                }
                state = assembler.state
            }
        }
    }

    @Test func aTransferDoneAgainGivesTheSameFrame() {
        let settings = PayloadAssembler.Settings(content: .mjpeg)
        let first = [TestPayload.data(0, [0xff, 0xd8, 1])]
        let second = [TestPayload.data(0, [2, 0xff, 0xd9], end: true), .data(1, [0xff, 0xd8, 3])]
        var assembler = PayloadAssembler(settings: settings)
        var results: [TestFrame] = []
        // Two slots, as in a ring: the frame that is done again lies in the first, and what follows it went into the second.
        withGuardedSlot(32) { firstSlot in
            withGuardedSlot(32) { secondSlot in
                func feed(_ payloads: [TestPayload]) {
                    var slot = firstSlot
                    let bytes = payloads.flatMap(\.bytes)
                    var offset = 0
                    let packets = payloads.map { payload in
                        defer { offset += payload.bytes.count }
                        return IsochronousPacket(offset: offset, length: 64, actualLength: payload.bytes.count)
                    }
                    bytes.withUnsafeBytes {
                        while let frame = assembler.isochronous($0, packets: packets, at: 5, into: slot) {
                            results.append(TestFrame(frame, slot))
                            slot = secondSlot
                        }
                    }
                }
                feed(first)
                let committed = assembler.state
                feed(second)
                let after = assembler.state
                assembler.state = committed
                feed(second)
                #expect(assembler.state == after)
            }
        }
        #expect(results == [TestFrame(bytes: jpeg([1, 2])), TestFrame(bytes: jpeg([1, 2]))])
    }

    @Test func timesComeFromTheFirstPayload() {
        let header = PayloadHeader(
            flags: 0x81, presentationTime: 0x0102_0304, sourceClock: PayloadHeader.SourceClock(time: 0x0506_0708, frameNumber: 0x1ff))
        // bHeaderLength 12, EOH PTS SCR FID, PTS, STC, SOF
        #expect(header.bytes == [12, 0x8d, 4, 3, 2, 1, 8, 7, 6, 5, 0xff, 0x01])
        #expect(header.bytes.withUnsafeBytes { PayloadHeader(payload: $0) }?.sourceClock?.frameNumber == 0x1ff)
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .other, packetInterval: 125_000))
        let bytes = header.bytes + [1] + [2, 0x83, 2]
        let packets = [
            IsochronousPacket(offset: 0, length: 16, actualLength: 13), IsochronousPacket(offset: 13, length: 16, actualLength: 3),
            IsochronousPacket(offset: 0, length: 16), IsochronousPacket(offset: 0, length: 16),
        ]
        withGuardedSlot(32) { slot in
            let frame = bytes.withUnsafeBytes { assembler.isochronous($0, packets: packets, at: 10_000_000, into: slot) }
            #expect(frame?.presentationTime == 0x0102_0304)
            #expect(frame?.sourceClock == PayloadHeader.SourceClock(time: 0x0506_0708, frameNumber: 0x1ff))
            #expect(frame?.captured == 10_000_000 - 3 * 125_000)
        }
    }

    @Test func aHeaderWithoutRoomForItsFieldsHasNone() {
        let header = [UInt8]([2, 0x8d, 1, 2, 3, 4]).withUnsafeBytes { PayloadHeader(payload: $0) }
        #expect(header?.presentationTime == nil && header?.sourceClock == nil && header?.flags == 0x8d)
    }

    @Test func packetsOutsideTheirTransferAreLost() {
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .other))
        let packets = [
            IsochronousPacket(offset: -1, length: 4, actualLength: 4), IsochronousPacket(offset: 0, length: 4, actualLength: 5),
            IsochronousPacket(offset: 5, length: 4, actualLength: 1), IsochronousPacket(offset: .max, length: 4, actualLength: .max),
            IsochronousPacket(offset: 0, length: 4, actualLength: -3),
        ]
        withGuardedSlot(8) { slot in
            let frame = [UInt8]([2, 0x82, 1, 2]).withUnsafeBytes { assembler.isochronous($0, packets: packets, at: 0, into: slot) }
            #expect(frame == nil)
        }
        #expect(assembler.state.failedPackets == 5)
    }

    /// The loop over packets in the ring is another one than that over an array.
    @Test func packetsInTheRingAreWhatPacketsInAnArrayAre() {
        var random = SystemRandomNumberGenerator()
        // Up to 512 bytes a packet's are copied in another way than beyond.
        for round in 0..<400 {
            let room = [64, 192, 512, 513][round % 4]
            let settings = PayloadAssembler.Settings(
                content: [.mjpeg, .uncompressed(length: 5 * room), .other].randomElement(using: &random)!, packetInterval: 125_000,
                endsAtJPEGStart: Int.random(in: 0..<8, using: &random) == 0)
            var (array, ring) = (PayloadAssembler(settings: settings), PayloadAssembler(settings: settings))
            var frameID: UInt8 = 0
            for _ in 0..<6 {
                var bytes = (0..<(16 * room)).map { _ in UInt8.random(in: 0...255, using: &random) }
                var outcomes: [(actualLength: Int, status: Int32)] = []
                for index in 0..<16 {
                    let length = [0, 1, 2, Int.random(in: 3...room, using: &random), room, room].randomElement(using: &random)!
                    outcomes.append((length, Int.random(in: 0..<40, using: &random) == 0 ? -18 : 0))
                    let ends = Int.random(in: 0..<9, using: &random) == 0
                    let header: [UInt8] = [
                        Int.random(in: 0..<50, using: &random) == 0 ? 99 : 2, 0x80 | frameID | (ends ? 2 : 0), 0xff, 0xd8,
                    ]
                    for (offset, byte) in header.enumerated() { bytes[index * room + offset] = byte }
                    if ends { frameID ^= 1 }
                }
                // All of it is compared: behind a frame's bytes nothing is to be written.
                var (left, right) = ([UInt8](repeating: 0, count: 6 * room), [UInt8](repeating: 0, count: 6 * room))
                bytes.withUnsafeBytes { bytes in
                    IsochronousPackets.with(outcomes, packetLength: room) { packets in
                        while true {
                            let one = left.withUnsafeMutableBytes {
                                array.isochronous(bytes, packets: Array(packets), at: 1 << 40, into: $0)
                            }
                            let other = right.withUnsafeMutableBytes { ring.isochronous(bytes, packets: packets, at: 1 << 40, into: $0) }
                            #expect(one == other && left == right && array.state == ring.state)
                            if one == nil || other == nil { break }
                        }
                    }
                }
            }
        }
    }
}
