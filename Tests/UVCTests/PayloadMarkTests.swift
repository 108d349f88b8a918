// Cameras whose frame identifiers and end marks tell nothing, and frames whose contents are odd though the transport says that they are whole.
import Testing
import USB
import UVC

@Suite struct PayloadMarkTests {
    /// A JPEG as a parser sees it: SOI, a table, SOS, scan data with a stuffed FF and a restart marker.
    static func picture(_ content: UInt8, end: [UInt8] = [0xff, 0xd9]) -> [UInt8] {
        [0xff, 0xd8, 0xff, 0xdb, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, content, 0xff, 0, content, 0xff, 0xd0, content, content] + end
    }

    /// The picture in payloads of seven bytes.
    static func payloads(
        _ bytes: [UInt8], frameID: (Int) -> UInt8 = { _ in 0 }, end: (_ index: Int, _ isLast: Bool) -> Bool = { $1 }
    ) -> [TestPayload] {
        stride(from: 0, to: bytes.count, by: 7).enumerated().map { index, start in
            let last = min(start + 7, bytes.count)
            return .data(frameID(index), Array(bytes[start..<last]), end: end(index, last == bytes.count))
        }
    }

    enum Marks: CaseIterable {
        case sound, noEnd, stuckIdentifier, stuckIdentifierWithoutEnd, strayEnd, strayIdentifier

        func payloads(_ bytes: [UInt8], number: Int) -> [TestPayload] {
            let toggled = UInt8(number & 1)
            return switch self {
            case .sound: PayloadMarkTests.payloads(bytes, frameID: { _ in toggled })
            case .noEnd: PayloadMarkTests.payloads(bytes, frameID: { _ in toggled }, end: { _, _ in false })
            case .stuckIdentifier: PayloadMarkTests.payloads(bytes)
            case .stuckIdentifierWithoutEnd: PayloadMarkTests.payloads(bytes, end: { _, _ in false })
            case .strayEnd: PayloadMarkTests.payloads(bytes, frameID: { _ in toggled }, end: { _, _ in true })
            // From payload to payload, across frames as well.
            case .strayIdentifier: PayloadMarkTests.payloads(bytes, frameID: { UInt8(($0 + number * ((bytes.count + 6) / 7)) & 1) })
            }
        }

        var found: FrameMarks {
            switch self {
            case .sound, .noEnd: .sound
            case .stuckIdentifier, .strayIdentifier: .endOfFrameOnly
            case .stuckIdentifierWithoutEnd: .none
            case .strayEnd: .frameIDOnly
            }
        }

        /// Frames at the start by which it shows.
        var lesson: Int {
            switch self {
            case .sound, .noEnd, .stuckIdentifier, .stuckIdentifierWithoutEnd: 0
            case .strayEnd, .strayIdentifier: 1
            }
        }
    }

    private func frames(
        _ payloads: [TestPayload], content: PayloadAssembler.Settings.Content = .mjpeg, isBulk: Bool, perTransfer: Int = 4,
        capacity: Int = 64
    ) -> ([TestFrame], FrameMarks) {
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: content))
        let frames =
            isBulk
            ? assembler.frames(bulk: payloads, requested: 64, capacity: capacity)
            : assembler.frames(isochronous: payloads, perTransfer: perTransfer, capacity: capacity)
        return (frames, assembler.state.frameMarks)
    }

    @Test(arguments: Marks.allCases, [true, false]) func picturesAreToldApartWhateverTheMarks(marks: Marks, isBulk: Bool) {
        let pictures = (0..<12).map { Self.picture(UInt8($0 + 1)) }
        let (frames, found) = self.frames(pictures.enumerated().flatMap { marks.payloads($1, number: $0) }, isBulk: isBulk)
        let whole = frames.filter { $0.damage.isEmpty }.map(\.bytes)
        // The last one ends with what comes after it, where nothing marks its end.
        let expected = Array(pictures[marks.lesson..<11])
        #expect(whole.starts(with: expected) && whole.allSatisfy { pictures.contains($0) }, "\(frames)")
        #expect(frames.count - whole.count <= marks.lesson * 4)
        #expect(found == marks.found)
    }

    @Test(arguments: Marks.allCases, [true, false]) func uncompressedFramesAreToldApartWhateverTheMarks(marks: Marks, isBulk: Bool) {
        let pictures = (0..<16).map { [UInt8](repeating: UInt8($0 + 1), count: 42) }
        let (frames, _) = self.frames(
            pictures.enumerated().flatMap { marks.payloads($1, number: $0) }, content: .uncompressed(length: 42), isBulk: isBulk)
        let whole = frames.filter { $0.damage.isEmpty }.map(\.bytes)
        // By a few frames it shows what the marks are worth; where nothing marks its end, the last one has none.
        let last = marks == .noEnd || marks == .strayEnd ? 15 : 16
        #expect(Array(whole.suffix(10)) == Array(pictures[(last - 10)..<last]))
        #expect(whole.allSatisfy { pictures.contains($0) })
    }

    @Test func marksThatMakeSenseAgainAreBelieved() {
        // A stray identifier for a while (noise, say), and then a camera as it should be that loses an end mark.
        let pictures: [[UInt8]] = (1...12).map { Self.picture($0) }
        var payloads: [TestPayload] = []
        for number in 0..<4 { payloads += Marks.strayIdentifier.payloads(pictures[number], number: number) }
        for number in 4..<12 {
            let frameID = UInt8(number & 1)
            payloads += Self.payloads(pictures[number], frameID: { _ in frameID }, end: { number != 8 && $1 })
        }
        let (frames, found) = frames(payloads, isBulk: false)
        #expect(frames.suffix(7).map(\.bytes) == Array(pictures[5...]))
        #expect(found == .sound)
    }

    // MARK: Contents

    struct Anomaly: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var tail: [UInt8]
    }

    @Test(arguments: [
        Anomaly(testDescription: "no last marker", tail: []),
        Anomaly(testDescription: "64 bytes behind it", tail: [0xff, 0xd9] + [UInt8](repeating: 7, count: 64)),
        Anomaly(testDescription: "600 bytes behind it", tail: [0xff, 0xd9] + (0..<600).map { UInt8($0 % 200 + 1) }),
        Anomaly(testDescription: "zeros behind it", tail: [0xff, 0xd9] + [UInt8](repeating: 0, count: 600)),
        Anomaly(
            testDescription: "another last marker far behind it", tail: [0xff, 0xd9] + [UInt8](repeating: 7, count: 500) + [0xff, 0xd9, 1]),
    ]) func picturesThatTheTransportSaysAreWholeArrive(anomaly: Anomaly) {
        for marks in [Marks.sound, .noEnd] {
            let pictures = (0..<8).map { Self.picture(UInt8($0 + 1), end: anomaly.tail) }
            let (frames, _) = self.frames(
                pictures.enumerated().flatMap { marks.payloads($1, number: $0) }, isBulk: false, capacity: 1024)
            let whole = frames.filter { $0.damage.isEmpty }
            // What shows that the device's marks can be relied on comes first.
            #expect(whole.count >= 4)
            #expect(frames.suffix(4).allSatisfy { $0.damage.isEmpty })
            let ends = (0..<8).map { Self.picture(UInt8($0 + 1)) }
            #expect(whole.allSatisfy { ends.contains($0.bytes) }, "\(whole)")
        }
    }

    @Test func aPictureWithoutItsLastMarkerIsSaidToBeCompleted() {
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .mjpeg))
        var repaired: [Bool] = []
        withGuardedSlot(64) { slot in
            for (number, end) in [[0xff, 0xd9], [], [0xff, 0xd9]].enumerated() as EnumeratedSequence<[[UInt8]]> {
                let payload = TestPayload.data(UInt8(number & 1), Self.picture(1, end: end), end: true).bytes
                payload.withUnsafeBytes {
                    while let frame = assembler.bulk($0, requested: 64, at: 1, into: slot) { repaired.append(frame.isRepaired) }
                }
            }
        }
        #expect(repaired == [false, true, false])
    }

    @Test func aPictureThatFillsItsSlotHasNoRoomForAMarkerAndArrivesAllTheSame() {
        let pictures = (0..<4).map { Self.picture(UInt8($0 + 1), end: []) }
        let (frames, _) = self.frames(
            pictures.enumerated().flatMap { Marks.sound.payloads($1, number: $0) }, isBulk: false, capacity: pictures[0].count)
        #expect(frames.suffix(3).map(\.bytes) == pictures.suffix(3) && frames.suffix(3).allSatisfy { $0.damage.isEmpty })
    }

    @Test func whereTheTransportIsInDoubtTheContentsDecide() {
        let pictures = (0..<5).map { Self.picture(UInt8($0 + 1), end: []) }
        var payloads = pictures.enumerated().map { Marks.sound.payloads($1, number: $0) }
        payloads[2].insert(.lost, at: 1)
        // The end mark is missing where the others have one.
        payloads[3].removeLast()
        let (frames, _) = self.frames(payloads.flatMap { $0 }, isBulk: false)
        #expect(frames.map { $0.damage.isEmpty } == [true, false, false, true], "the first is not shown: \(frames)")
    }

    @Test func paddingBehindUncompressedFramesIsCut() {
        let pictures = (0..<6).map { [UInt8](repeating: UInt8($0 + 1), count: 60) + [9, 9, 9, 9] }
        let (frames, _) = self.frames(
            pictures.enumerated().flatMap { Marks.sound.payloads($1, number: $0) }, content: .uncompressed(length: 60), isBulk: false,
            capacity: 60)
        #expect(frames == pictures.map { TestFrame(bytes: Array($0.prefix(60))) })
    }

    @Test func framesWithoutAnyEndAreCountedAndSaid() {
        // Nothing by which to tell them apart: what fills the slot twice over is a frame, and said to be too long.
        let payloads = (0..<100).map { _ in TestPayload.data(0, [1, 2, 3, 4, 5, 6, 7]) }
        let (frames, _) = self.frames(payloads, content: .other, isBulk: false)
        #expect(frames.count >= 3 && frames.allSatisfy { $0.damage == .oversize })
    }

    // MARK: Bulk payloads whose end nothing shows

    @Test(arguments: [0, 1 << 20]) func aPayloadThatFillsItsTransfersEndsWhereTheNextBegins(limit: Int) {
        // 22 bytes of picture and 2 of header: exactly three transfers of eight, no short packet, no empty transfer.
        let pictures = (0..<6).map { Self.picture(UInt8($0 + 1)) }
        var transfers: [TestPayload] = []
        for (number, picture) in pictures.enumerated() {
            let payload = TestPayload.data(UInt8(number & 1), picture, end: true).bytes
            #expect(payload.count == 24)
            for start in stride(from: 0, to: 24, by: 8) { transfers.append(.raw(Array(payload[start..<(start + 8)]))) }
        }
        var assembler = PayloadAssembler(settings: PayloadAssembler.Settings(content: .mjpeg, maxPayloadSize: limit))
        #expect(assembler.frames(bulk: transfers, requested: 8) == pictures.dropLast().map { TestFrame(bytes: $0) })
        var raw = PayloadAssembler(settings: PayloadAssembler.Settings(content: .uncompressed(length: 22), maxPayloadSize: limit))
        #expect(raw.frames(bulk: transfers, requested: 8) == pictures.dropLast().map { TestFrame(bytes: $0) })
    }
}
