// The table of formats, and the arithmetic of frame intervals.

import Testing
import USB
import UVC

@Suite struct DescriptorFormatTests {
    @Test func eachGUIDStandsOnceInTheTable() {
        #expect(Set(PixelFormat.all.map(\.guid)).count == PixelFormat.all.count)
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
