// Pictures keep what they hold through every file format and every raw format, and hostile bytes end in an error.

import Testing

@testable import Pictures

/// A picture with gradients, edges and a little noise.
func testPicture(width: Int = 64, height: Int = 48) throws -> Picture {
    var random = SplitMix(state: 7)
    var pixels: [UInt8] = []
    for y in 0..<height {
        for x in 0..<width {
            let noise = Int(random.next() % 5)
            pixels.append(UInt8(min(255, x * 200 / width + noise)))
            pixels.append(UInt8(min(255, y * 200 / height + noise)))
            pixels.append((x / 8 + y / 8) % 2 == 0 ? 60 : 180)
        }
    }
    return try Picture(width: width, height: height, pixels: pixels)
}

/// A small repeatable source of numbers.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

func meanDifference(_ a: Picture, _ b: Picture) -> Double {
    zip(a.pixels, b.pixels).reduce(0.0) { $0 + Double(abs(Int($1.0) - Int($1.1))) } / Double(a.pixels.count)
}

@Suite struct PictureTests {
    @Test(arguments: [PictureFileFormat.png, .ppm]) func losslessFilesKeepEveryPixel(format: PictureFileFormat) throws {
        let picture = try testPicture(width: 61, height: 47)
        #expect(try Picture(decoding: picture.encoded(as: format)) == picture)
    }

    @Test func jpegComesBackMuchTheSame() throws {
        let picture = try testPicture()
        let back = try Picture(decoding: picture.encoded(as: .jpeg(quality: 95)))
        #expect((back.width, back.height) == (picture.width, picture.height))
        #expect(meanDifference(back, picture) < 4)
    }

    @Test func planesEncodeToTheSamePictureAsPixels() throws {
        let picture = try testPicture()
        let planes = try YUV422Planes(width: 64, height: 48)
        planes.draw(picture)
        let encoder = try JPEGEncoder()
        let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: JPEGEncoder.capacity(width: 64, height: 48))
        defer { buffer.deallocate() }
        let count = try encoder.encode(planes, quality: 95, into: buffer)
        #expect(meanDifference(try Picture(jpeg: Array(buffer[..<count])), picture) < 4)
    }

    @Test(arguments: RawFormat.allCases.filter { $0 != .grey }) func rawFormatsComeBackMuchTheSame(format: RawFormat) throws {
        for (width, height) in [(64, 48), (33, 21)] {
            let picture = try testPicture(width: width, height: height).scaled(toWidth: width, height: height)
            let frame = picture.bytes(as: format)
            #expect(frame.count == format.byteCount(width: width, height: height))
            let back = try frame.withUnsafeBytes { try Picture(format: format, width: width, height: height, bytes: $0) }
            #expect(meanDifference(back, picture) < (format == .nv12 || format == .i420 ? 8 : 5))
        }
    }

    @Test func limitedRangeIsBT601() throws {
        // 75 % bars would hide a wrong range: pure white, black, red.
        for (rgb, yuv): ((UInt8, UInt8, UInt8), [UInt8]) in [
            ((255, 255, 255), [235, 128, 235, 128]), ((0, 0, 0), [16, 128, 16, 128]), ((255, 0, 0), [82, 90, 82, 240]),
        ] {
            let frame = try Picture(width: 2, height: 1, red: rgb.0, green: rgb.1, blue: rgb.2).bytes(as: .yuy2)
            for (a, b) in zip(frame, yuv) { #expect(abs(Int(a) - Int(b)) <= 1) }
        }
    }

    @Test func greyIsItsOwnLuma() throws {
        let bytes: [UInt8] = [0, 100, 255, 17]
        let picture = try bytes.withUnsafeBytes { try Picture(format: .grey, width: 2, height: 2, bytes: $0) }
        #expect(picture[1, 0] == (100, 100, 100))
        #expect(picture.bytes(as: .grey) == bytes)
    }

    @Test func scalingAveragesDownAndRepeatsUp() throws {
        let checks = try Picture(width: 2, height: 1, pixels: [0, 0, 0, 200, 100, 50])
        #expect(try checks.scaled(toWidth: 1, height: 1).pixels == [100, 50, 25])
        #expect(try checks.scaled(toWidth: 4, height: 1).pixels == [0, 0, 0, 0, 0, 0, 200, 100, 50, 200, 100, 50])
    }

    @Test func sizesOutOfBoundsAreRefused() {
        for (width, height) in [(0, 1), (16385, 1), (16384, 16384), (-1, 5)] {
            #expect(throws: PictureError.self) { try Picture(width: width, height: height, pixels: []) }
        }
        #expect(throws: PictureError.self) { try Picture(ppm: Array("P6 16384 16384 255\n".utf8)) }
        #expect(throws: PictureError.self) { try Picture(ppm: Array("P6 99999999999999999999 1 255\n".utf8)) }
        #expect(throws: PictureError.self) { try [].withUnsafeBytes { try Picture(format: .nv12, width: 2, height: 2, bytes: $0) } }
    }

    @Test(arguments: [PictureFileFormat.jpeg(quality: 80), .png, .ppm]) func cutFilesAreErrors(format: PictureFileFormat) throws {
        let bytes = try testPicture().encoded(as: format)
        for count in stride(from: 0, to: bytes.count - 16, by: 7) {
            #expect(throws: PictureError.self) { try Picture(decoding: Array(bytes.prefix(count))) }
        }
    }

    @Test(arguments: [PictureFileFormat.jpeg(quality: 80), .png, .ppm]) func alteredFilesNeverTrap(format: PictureFileFormat) throws {
        let bytes = try testPicture().encoded(as: format)
        var random = SplitMix(state: 3)
        for _ in 0..<500 {
            var altered = bytes
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                altered[Int.random(in: 0..<min(altered.count, 600), using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            do { _ = try Picture(decoding: altered) } catch { #expect(!error.description.isEmpty) }
        }
    }

    @Test func aTransparentPNGBecomesWhite() throws {
        // 1×1 RGBA, all zero, made by Python's zlib and struct.
        let png: [UInt8] = [
            0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a,  // signature
            0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89,  // IHDR
            0, 0, 0, 11, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60, 0x00, 0x02, 0x00, 0x00, 0x05, 0x00, 0x01, 0x7a, 0x5e, 0xab,
            0x3f,  // IDAT
            0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,  // IEND
        ]
        #expect(try Picture(png: png).pixels == [255, 255, 255])
    }

    @Test func filesThatAreNotThereAreNamed() {
        #expect { try Picture(contentsOf: "/nonexistent/picture.png") } throws: { error in
            "\(error)".contains("/nonexistent/picture.png") && "\(error)".contains("No such file")
        }
        #expect(throws: PictureError.self) { try Picture(contentsOf: "/") }
        #expect { try Picture(contentsOf: "/dev/zero") } throws: { "\($0)".contains("larger than") }
    }
}
