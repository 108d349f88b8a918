// What cameras get wrong: what is left, and what is said.

import Glibc
import Testing
import USB
import UVC

@Suite struct DescriptorMistakeTests {
    /// The made-up camera's MJPEG frame with other bytes from `offset` on.
    private static func frame(_ offset: Int, _ bytes: [UInt8]) -> [UInt8] {
        var frame = DescriptorBytes.mjpegFrame
        frame.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        return frame
    }

    /// The header of one format, whose length is right.
    private static func streaming(_ descriptors: [UInt8]...) -> [UInt8] {
        let all = descriptors.flatMap { $0 }
        let total = 14 + all.count
        return [14, 0x24, 0x01, 1, UInt8(total & 0xff), UInt8(total >> 8), 0x81, 0, 4, 0, 0, 0, 1, 0] + all
    }

    private static func messages(_ function: VideoFunction) -> [String] { function.anomalies.map(\.message) }

    @Test func countsAndLengthsThatLieAreSaid() {
        var streaming = DescriptorBytes.streaming
        streaming[3] = 5
        streaming[4] = 99
        let function = DescriptorBytes.function(streaming: streaming)
        #expect(function.streamingInterfaces.first?.formats.count == 2)
        #expect(
            Self.messages(function) == [
                "Streaming interface 1 announces 5 formats (bNumFormats) but has 2.",
                "Streaming interface 1 announces 99 bytes (wTotalLength) but has 150.",
            ])
    }

    @Test func theFirstOfTwoFramesWithOneIndexCounts() throws {
        var format = DescriptorBytes.mjpegFormat
        format[4] = 2
        let function = DescriptorBytes.function(
            streaming: Self.streaming(format, DescriptorBytes.mjpegFrame, Self.frame(5, [0x40, 0x01, 0xf0, 0x00])))
        #expect(try #require(function.streamingInterfaces.first?.formats.first).frames.map(\.width) == [640])
        #expect(function.anomalies.map(\.kind) == [.duplicate])
    }

    @Test func theFirstOfTwoFormatsWithOneIndexCounts() throws {
        let function = DescriptorBytes.function(
            streaming: Self.streaming(
                DescriptorBytes.mjpegFormat, DescriptorBytes.mjpegFrame, DescriptorBytes.mjpegFormat, Self.frame(3, [2])))
        let stream = try #require(function.streamingInterfaces.first)
        #expect(stream.formats.map { $0.frames.map(\.index) } == [[1]])
        #expect(function.anomalies.map(\.kind) == [.duplicate])
    }

    @Test func anIntervalOfZeroIsLeftOut() throws {
        let function = DescriptorBytes.function(
            streaming: Self.streaming(DescriptorBytes.mjpegFormat, Self.frame(26, [0, 0, 0, 0])))
        let frame = try #require(function.streamingInterfaces.first?.formats.first?.frames.first)
        #expect(frame.intervals == .discrete([666_666, 2_000_000]))
        #expect(frame.defaultInterval == 666_666)
        #expect(function.anomalies.map(\.kind) == [.value, .value])
    }

    @Test func aFrameThatNamesNoRateRunsAtThirty() throws {
        let zeros = [UInt8](repeating: 0, count: 4)
        let frame = [26] + Array(Self.frame(21, zeros + [0]).prefix(26).dropFirst())
        let function = DescriptorBytes.function(streaming: Self.streaming(DescriptorBytes.mjpegFormat, frame))
        let parsed = try #require(function.streamingInterfaces.first?.formats.first?.frames.first)
        #expect(parsed.intervals == .discrete([333_333]))
        #expect(parsed.defaultInterval == 333_333)
    }

    @Test func aContinuousRangeThatIsUpsideDownIsFixed() throws {
        let range: [UInt8] = [0, 0x80, 0x84, 0x1e, 0x00, 0x15, 0x16, 0x05, 0x00, 0, 0, 0, 0]  // from 2000000 to 333333
        let function = DescriptorBytes.function(streaming: Self.streaming(DescriptorBytes.mjpegFormat, Self.frame(25, range)))
        let frame = try #require(function.streamingInterfaces.first?.formats.first?.frames.first)
        #expect(frame.intervals == .continuous(minimum: 2_000_000, maximum: 2_000_000, step: 0))
        #expect(frame.defaultInterval == 2_000_000)
    }

    @Test func moreIntervalsThanBytesAreCutToWhatIsThere() throws {
        let function = DescriptorBytes.function(streaming: Self.streaming(DescriptorBytes.mjpegFormat, Self.frame(25, [200])))
        #expect(
            try #require(function.streamingInterfaces.first?.formats.first?.frames.first).intervals
                == .discrete([333_333, 666_666, 2_000_000]))
        #expect(Self.messages(function) == ["Frame 1 of format 1 announces 200 intervals (bFrameIntervalType) but has 3."])
    }

    @Test func aDefaultFrameThatDoesNotExistGivesWayToTheFirst() throws {
        var format = DescriptorBytes.mjpegFormat
        format[6] = 77
        let function = DescriptorBytes.function(streaming: Self.streaming(format, DescriptorBytes.mjpegFrame))
        #expect(try #require(function.streamingInterfaces.first?.formats.first).defaultFrameIndex == 1)
        #expect(Self.messages(function) == ["The default frame 77 of format 1 does not exist; 1 is used."])
    }

    @Test func aFormatWeDoNotKnowIsKept() throws {
        var format = DescriptorBytes.frameBasedFormat
        format.replaceSubrange(5..<9, with: Array("XYZ1".utf8))
        let function = DescriptorBytes.function(streaming: Self.streaming(format, DescriptorBytes.frameBasedFrame))
        let parsed = try #require(function.streamingInterfaces.first?.formats.first)
        #expect(parsed.name == "xyz1" && parsed.title == "XYZ1 {315a5958-0000-0010-8000-00aa00389b71}")
        #expect(parsed.pixelFormat == nil)
        #expect(parsed.frames.count == 1)
    }

    @Test func aFormatWithoutFramesGetsNone() throws {
        // MPEG-2 TS: bDataOffset, bPacketLength, bStrideLength behind the index.
        let function = DescriptorBytes.function(streaming: Self.streaming([7, 0x24, 0x0a, 1, 0, 188, 0], DescriptorBytes.mjpegFrame))
        let format = try #require(function.streamingInterfaces.first?.formats.first)
        #expect(format.name == "mpeg2ts")
        #expect(format.frames.isEmpty)
        #expect(function.anomalies.map(\.kind) == [.misplaced])
    }

    @Test func vendorsDescriptorsAreSaidOnceForEachSort() {
        let vendor: [UInt8] = [4, 0x24, 0x0f, 0]
        let function = DescriptorBytes.function(
            streaming: Self.streaming(DescriptorBytes.mjpegFormat, DescriptorBytes.mjpegFrame, vendor, vendor, vendor))
        #expect(Self.messages(function) == ["3 descriptors of the unknown subtype 0x0f in streaming interface 1 are skipped."])
    }

    @Test func entitiesThatAreTwiceThereOrNowhereAreSaid() {
        let twice = DescriptorBytes.function(control: DescriptorBytes.control + DescriptorBytes.outputTerminal)
        #expect(twice.entities.map(\.id) == [1, 2, 3, 4])
        #expect(twice.anomalies.contains { $0.kind == .duplicate && $0.message == "Two entities have the id 4; the first counts." })
        var control = DescriptorBytes.control
        control[control.count - 2] = 9  // the output terminal's source
        #expect(
            Self.messages(DescriptorBytes.function(control: control)) == [
                "Entity 4 takes its picture from entity 9, which does not exist."
            ])
    }

    @Test func anEndpointThatTheHeaderDoesNotNameIsTaken() throws {
        var streaming = DescriptorBytes.streaming
        streaming[6] = 0x85
        let function = DescriptorBytes.function(streaming: streaming)
        let stream = try #require(function.streamingInterfaces.first)
        #expect(stream.endpoint == EndpointAddress(rawValue: 0x81))
        #expect(stream.alternateSettings.count == 2)
        #expect(function.anomalies.map(\.kind) == [.missing])
    }

    @Test func aStreamThatTheHeaderForgotIsFound() {
        var control = DescriptorBytes.control
        control[12] = 8  // baInterfaceNr(1)
        let function = DescriptorBytes.function(control: control)
        #expect(function.streamingInterfaces.map(\.number) == [1])
        #expect(
            Set(Self.messages(function)) == [
                "The control interface 0 does not list its streaming interface 1.",
                "The control interface 0 lists interface 8, which is not a streaming interface of its own.",
            ])
    }

    @Test func interfacesWithoutHeadersStillGiveWhatTheyHave() {
        let function = DescriptorBytes.function(
            control: Array(DescriptorBytes.control.dropFirst(13)), streaming: Array(DescriptorBytes.streaming.dropFirst(15)))
        #expect(function.uvcVersion == 0x0100)
        #expect(function.entities.count == 4)
        #expect(function.streamingInterfaces.map(\.formats.count) == [2])
        #expect(function.streamingInterfaces.map(\.alternateSettings.count) == [2])
        #expect(function.anomalies.filter { $0.severity == .lost }.count == 2)
    }

    /// What once ended the fuzzer, kept to stay fixed.
    @Test(arguments: ["frame-behind-a-format-without-frames"])
    func inputsThatWereFoundByFuzzingAreSurvived(name: String) throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
        let file = try #require(fopen("\(root)/Corpus/descriptors/\(name)", "rb"))
        defer { fclose(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in count = fread(buffer.baseAddress, 1, 1 << 16, file) }
        let set = DescriptorSet(parsing: bytes)
        let functions = set.configurations.flatMap { VideoFunction.all(in: $0, speed: .high) }
        #expect(!functions.isEmpty)
        for format in functions.flatMap(\.streamingInterfaces).flatMap(\.formats) where !format.frames.isEmpty {
            #expect(format.frame(index: format.defaultFrameIndex) != nil)
        }
    }
}
