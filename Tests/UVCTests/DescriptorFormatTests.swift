// The table of formats, and the arithmetic of frame intervals.

import Testing
import USB
import UVC

@Suite struct DescriptorFormatTests {
    @Test func eachGUIDStandsOnceInTheTableForSoManyBits() {
        #expect(Set(PixelFormat.all.map { [$0.guid.description, "\($0.bitsPerPixel)"] }).count == PixelFormat.all.count)
    }

    private func format(_ guid: String, bits: UInt8 = 16) throws -> VideoFormat {
        VideoFormat(index: 1, kind: .uncompressed(try #require(GUID(guid)), bitsPerPixel: bits))
    }

    /// Intel's depth cameras: two of them give one GUID to frames of different lengths.
    @Test(
        arguments: [
            ("5a564e49-2d90-4a58-920b-773f1f2c556b", 16, "z16", 32), ("495a4e49-1a66-a242-9065-d01814a8ef8a", 24, "inzi", 48),
            ("495a4e49-1a66-a242-9065-d01814a8ef8a", 32, "inzi", 64), ("49564e49-57db-5e49-8e3f-f479532b946f", 16, "y10", 32),
            ("49564e49-57db-5e49-8e3f-f479532b946f", 8, "grey", 16), ("49564e49-57db-5e49-8e3f-f479532b946f", 99, "y10", 32),
            ("20202043-0000-0010-8000-00aa00389b71", 4, "cnf4", 8),
        ] as [(String, UInt8, String, Int)])
    func depthCamerasFormatsAreKnown(guid: String, bits: UInt8, name: String, bytes: Int) throws {
        let format = try format(guid, bits: bits)
        #expect(format.name == name && format.unknownGUID == nil)
        #expect(format.frameBytes(width: 4, height: 4) == bytes)
    }

    /// A GUID that is made of four characters and nothing else is called by them; any other shows them beside it.
    @Test(arguments: [
        ("49524e49-0000-0010-8000-00aa00389b71", "inri", "INRI {49524e49-0000-0010-8000-00aa00389b71}"),
        ("34464e43-0000-0010-8000-00aa00389b71", "cnf4", "CNF4 {34464e43-0000-0010-8000-00aa00389b71}"),
        ("20384859-0000-0010-8000-00aa00389b71", "yh8", "YH8 {20384859-0000-0010-8000-00aa00389b71}"),
        (
            "49524e49-0001-0203-0405-060708090a0b", "49524e49-0001-0203-0405-060708090a0b",
            "INRI {49524e49-0001-0203-0405-060708090a0b}"
        ),
        ("001b4e49-0000-0010-8000-00aa00389b71", "001b4e49-0000-0010-8000-00aa00389b71", "001b4e49-0000-0010-8000-00aa00389b71"),
        ("20202020-0000-0010-8000-00aa00389b71", "20202020-0000-0010-8000-00aa00389b71", "20202020-0000-0010-8000-00aa00389b71"),
    ])
    func anUnknownGUIDShowsItsLetters(guid: String, name: String, title: String) throws {
        let format = try format(guid)
        #expect(format.name == name && format.title == title && format.unknownGUID?.description == guid)
    }

    @Test func equalRatesStandOnce() {
        #expect(FrameIntervals.discrete([333_333, 333_333, 333_334, 666_666, 333_333]).roundedRates == [30, 15])
        #expect(FrameIntervals.discrete([333_667, 333_333]).roundedRates == [30, 29.97])
        #expect(FrameIntervals.continuous(minimum: 333_333, maximum: 333_333, step: 0).rates.count == 1)
    }

    @Test(arguments: [
        ("yuy2", "32595559-0000-0010-8000-00aa00389b71"), ("yuy2", "32595559-0000-0010-8000-000000389b71"),
        ("nv12", "3231564e-0000-0010-8000-00aa00389b71"), ("grey", "00000032-0000-0010-8000-00aa00389b71"),
        ("grey", "00000032-0002-0010-8000-00aa00389b71"), ("bgr24", "e436eb7d-524f-11ce-9f53-0020af0ba770"),
        ("h265", "43564548-0000-0010-8000-00aa00389b71"), ("z16", "5a564e49-2d90-4a58-920b-773f1f2c556b"),
    ])
    func aGUIDHasItsName(name: String, guid: String) throws {
        #expect(PixelFormat(guid: try #require(GUID(guid)))?.name == name)
    }

    @Test func namesAndFourCharactersAreTypedInAnyCase() {
        #expect(PixelFormat(name: "YUYV") == nil)
        #expect(PixelFormat(name: "Yuy2")?.fourCC == "YUY2")
        #expect(PixelFormat(name: "MJPG")?.name == "mjpeg")
        #expect(PixelFormat(name: "y16")?.fourCC == "Y16 ")
        #expect(PixelFormat(name: "") == nil)
    }

    @Test func aFrameHasTheLengthThatItsFormatMakes() throws {
        func bytes(_ name: String, _ width: Int, _ height: Int, bits: UInt8 = 99) throws -> Int? {
            let guid = try #require(PixelFormat(name: name)).guid
            return VideoFormat(index: 1, kind: .uncompressed(guid, bitsPerPixel: bits)).frameBytes(width: width, height: height)
        }
        #expect(try bytes("yuy2", 640, 480) == 614_400)
        #expect(try bytes("nv12", 1920, 1080) == 3_110_400)
        #expect(try bytes("grey", 340, 340) == 115_600)
        #expect(VideoFormat(index: 1, kind: .mjpeg).frameBytes(width: 640, height: 480) == nil)
        let unknown = try #require(GUID("315a5958-0000-0010-8000-00aa00389b71"))
        #expect(VideoFormat(index: 1, kind: .uncompressed(unknown, bitsPerPixel: 10)).frameBytes(width: 7, height: 1) == 9)
    }

    @Test func theNearestIntervalIsFound() {
        let list = FrameIntervals.discrete([333_333, 666_666, 2_000_000])
        #expect(list.nearest(to: 333_334) == 333_333)
        #expect(list.nearest(to: 500_000) == 666_666)
        #expect(list.nearest(to: .max) == 2_000_000)
        let range = FrameIntervals.continuous(minimum: 100, maximum: 1000, step: 300)
        #expect([0, 100, 249, 250, 800, 1000, .max].map { range.nearest(to: $0) } == [100, 100, 100, 400, 700, 1000, 1000])
        #expect(FrameIntervals.continuous(minimum: 100, maximum: 1000, step: 0).nearest(to: 777) == 777)
        #expect(FrameIntervals.continuous(minimum: 1, maximum: .max, step: .max).nearest(to: .max - 1) == .max)
        #expect((list.shortest, list.longest) == (333_333, 2_000_000))
    }

    @Test func bitsOutsideAFieldAreNotSet() {
        let bits = ControlBits(bytes: [0x01, 0x80])
        #expect(bits.set == [0, 15])
        #expect(bits.contains(15))
        #expect(!bits.contains(16))
        #expect(!bits.contains(-1))
    }
}
