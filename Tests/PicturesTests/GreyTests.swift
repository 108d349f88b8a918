// Grey pictures as files, read back by the libraries.

import Testing

@testable import Pictures

@Suite struct GreyTests {
    private func sample() throws -> GreyPicture {
        let pixels = (0..<13 * 7).map { UInt8($0 * 255 / 90) }
        return try GreyPicture(width: 13, height: 7, pixels: pixels)
    }

    @Test func aGreyPNGHasEachPixel() throws {
        let picture = try sample()
        let read = try Picture(png: try picture.encodedPNG())
        #expect(read.width == 13 && read.height == 7)
        for y in 0..<7 {
            for x in 0..<13 { #expect(read[x, y] == (picture.pixels[y * 13 + x], picture.pixels[y * 13 + x], picture.pixels[y * 13 + x])) }
        }
    }

    @Test func aBilevelPNGHasBlackAndWhite() throws {
        let picture = try sample()
        let bytes = try picture.encodedBilevelPNG()
        // The depth in IHDR.
        #expect(bytes[24] == 1)
        let read = try Picture(png: bytes)
        for y in 0..<7 { for x in 0..<13 { #expect(read[x, y].green == (picture.pixels[y * 13 + x] >= 128 ? 255 : 0)) } }
    }

    @Test func anRGBPNGHasEachPixel() throws {
        let pixels = (0..<5 * 4 * 3).map { UInt8($0 * 4) }
        let read = try Picture(png: try PNGFile.encoded(width: 5, height: 4, channels: 3, rows: pixels))
        #expect(read.pixels == pixels)
    }

    @Test func aGreyJPEGIsNearIt() throws {
        let picture = try GreyPicture(width: 40, height: 30, pixels: [UInt8](repeating: 77, count: 1200))
        let read = try Picture(jpeg: try picture.encodedJPEG(quality: 90))
        #expect(read.pixels.allSatisfy { abs(Int($0) - 77) <= 2 })
    }

    @Test func theWrongNumberOfBytesIsRefused() {
        #expect(throws: PictureError.self) { try GreyPicture(width: 3, height: 3, pixels: [1]) }
        #expect(throws: PictureError.self) { try GreyPicture(width: 0, height: 3, pixels: []) }
    }
}
