// JPEG to I420.

import CTurboJPEG
import Testing

@testable import Pictures

struct I420DecoderTests {
    /// Colours that change from left to right and from top to bottom.
    private static func picture(width: Int, height: Int) throws -> Picture {
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                pixels += [UInt8(x * 255 / (width - 1)), UInt8(y * 255 / (height - 1)), UInt8(255 - x * 255 / (width - 1))]
            }
        }
        return try Picture(width: width, height: height, pixels: pixels)
    }

    enum Subsampling: String, CaseIterable {
        case s444, s422, s420, s440, s411, gray

        var tj: TJSAMP {
            switch self {
            case .s444: TJSAMP_444
            case .s422: TJSAMP_422
            case .s420: TJSAMP_420
            case .s440: TJSAMP_440
            case .s411: TJSAMP_411
            case .gray: TJSAMP_GRAY
            }
        }
    }

    private static func jpeg(_ subsampling: Subsampling) throws -> [UInt8] {
        let encoder = try JPEGEncoder()
        return try encoder.encode(try picture(width: 64, height: 48), quality: 95, subsampling: subsampling.tj)
    }

    private static func decode(_ jpeg: [UInt8], width: Int, height: Int) throws -> [UInt8] {
        let decoder = try I420Decoder()
        var frame = [UInt8](repeating: 0, count: I420Decoder.byteCount(width: width, height: height))
        try frame.withUnsafeMutableBytes { target in
            try jpeg.withUnsafeBufferPointer { try decoder.decode($0, width: width, height: height, into: target) }
        }
        return frame
    }

    @Test(arguments: Subsampling.allCases) func `every kind of chroma becomes the same picture`(subsampling: Subsampling) throws {
        let picture = try Self.picture(width: 64, height: 48)
        let jpeg = try Self.jpeg(subsampling)
        let frame = try Self.decode(jpeg, width: 64, height: 48)
        let expected = picture.bytes(as: .i420)
        let luma = zip(frame.prefix(64 * 48), expected).map { abs(Int($0) - Int($1)) }
        #expect(luma.max()! <= 6, "luma differs by \(luma.max()!)")
        let chroma = zip(frame.dropFirst(64 * 48), expected.dropFirst(64 * 48)).map { abs(Int($0) - Int($1)) }
        if subsampling == .gray {
            #expect(frame.dropFirst(64 * 48).allSatisfy { $0 == 128 })
        } else {
            #expect(chroma.reduce(0, +) / chroma.count <= 4, "chroma differs by \(chroma.reduce(0, +) / chroma.count)")
        }
        #expect(frame.prefix(64 * 48).allSatisfy { (16...235).contains($0) })
        #expect(frame.dropFirst(64 * 48).allSatisfy { (16...240).contains($0) })
    }

    @Test func `one decoder takes one picture after the other`() throws {
        let decoder = try I420Decoder()
        for subsampling in Subsampling.allCases + Subsampling.allCases.reversed() {
            let jpeg = try Self.jpeg(subsampling)
            var frame = [UInt8](repeating: 0, count: I420Decoder.byteCount(width: 64, height: 48))
            try frame.withUnsafeMutableBytes { target in
                try jpeg.withUnsafeBufferPointer { try decoder.decode($0, width: 64, height: 48, into: target) }
            }
            #expect(frame.contains { $0 > 128 })
        }
    }

    @Test func `another size is refused, and so is what is no JPEG`() throws {
        let jpeg = try Self.jpeg(.s422)
        for (bytes, width, height) in [
            (jpeg, 64, 64), (jpeg, 32, 24), ([0xff, 0xd8, 0xff, 0xd9], 64, 48), (Array("nonsense".utf8), 64, 48), ([], 64, 48),
        ] {
            #expect(throws: PictureError.self) { try Self.decode(bytes, width: width, height: height) }
        }
    }

    @Test func `a JPEG that ends early is decoded as far as it goes`() throws {
        let jpeg = try Self.jpeg(.s422)
        let frame = try Self.decode(Array(jpeg.prefix(jpeg.count * 3 / 4)), width: 64, height: 48)
        #expect(frame[0..<64].contains { $0 != frame[0] })
    }

    @Test func `sizes whose planes have no whole rows are not taken`() {
        #expect(I420Decoder.takes(width: 640, height: 480))
        for (width, height) in [(644, 480), (640, 481), (0, 0), (-8, 2), (1 << 20, 2)] {
            #expect(!I420Decoder.takes(width: width, height: height))
        }
    }
}
