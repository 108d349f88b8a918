// A picture in shades of grey, as scanners send documents: 8 bits or 1 bit a pixel in files.

import CTurboJPEG
import CZlib

/// A grey picture, row by row from the top.
public struct GreyPicture: Hashable, Sendable {
    public let width: Int
    public let height: Int
    /// 0 is black; rows without padding; `width * height` bytes.
    public var pixels: [UInt8]

    /// Throws `tooLarge` for sizes out of bounds, and `malformed` for a size of nothing or the wrong number of bytes.
    public init(width: Int, height: Int, pixels: [UInt8]) throws(PictureError) {
        let count = try Picture.checkedCount(width: width, height: height) / 3
        guard pixels.count == count else {
            throw PictureError(.malformed, "A grey picture of \(width)x\(height) takes \(count) bytes; there are \(pixels.count).")
        }
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// As a JPEG with one component; `quality` is from 1 to 100.
    public func encodedJPEG(quality: Int) throws(PictureError) -> [UInt8] {
        guard let handle = tjInitCompress() else { throw PictureError(.library, "libjpeg-turbo has no memory for a compressor.") }
        defer { tjDestroy(handle) }
        var output: UnsafeMutablePointer<UInt8>?
        var size: UInt = 0
        let status = pixels.withUnsafeBufferPointer { source in
            tjCompress2(
                handle, source.baseAddress, Int32(width), Int32(width), Int32(height), TJPF_GRAY.index, &output, &size,
                TJSAMP_GRAY.index, Int32(min(max(quality, 1), 100)), 0)
        }
        defer { tjFree(output) }
        guard status == 0, let output else {
            throw PictureError(.library, "The JPEG can't be encoded: \(String(cString: tjGetErrorStr2(handle))).")
        }
        return Array(UnsafeBufferPointer(start: output, count: Int(size)))
    }

    /// As a PNG of 8 bits a pixel.
    public func encodedPNG() throws(PictureError) -> [UInt8] {
        try PNGFile.encoded(width: width, height: height, channels: 1, rows: pixels)
    }

    /// As a PNG of 1 bit a pixel: white from the middle up.
    public func encodedBilevelPNG() throws(PictureError) -> [UInt8] {
        let stride = (width + 7) / 8
        var rows = [UInt8](repeating: 0, count: stride * height)
        pixels.withUnsafeBufferPointer { pixels in
            rows.withUnsafeMutableBufferPointer { rows in
                for row in 0..<height {
                    for column in 0..<width where pixels[row * width + column] >= 128 {
                        rows[row * stride + column / 8] |= 0x80 >> UInt8(column & 7)
                    }
                }
            }
        }
        return try PNGFile.encoded(width: width, height: height, channels: 1, bits: 1, rows: rows)
    }
}

/// PNG written plainly: rows without filters, deflated fast.
public enum PNGFile {
    /// - Parameters:
    ///   - channels: 1 for grey, 3 for RGB.
    ///   - bits: of a sample: 8, or 1 with one channel.
    ///   - rows: one after the other, each padded to whole bytes.
    public static func encoded(width: Int, height: Int, channels: Int, bits: Int = 8, rows: [UInt8]) throws(PictureError) -> [UInt8] {
        _ = try Picture.checkedCount(width: width, height: height)
        let stride = (width * channels * bits + 7) / 8
        precondition(rows.count == stride * height && (channels == 1 || channels == 3 && bits == 8), "rows of that size")
        // A filter byte before each row: none.
        var raw = [UInt8](repeating: 0, count: (stride + 1) * height)
        raw.withUnsafeMutableBytes { raw in
            rows.withUnsafeBytes { rows in
                for row in 0..<height {
                    raw[(row * (stride + 1) + 1)...].copyBytes(from: rows[row * stride..<(row + 1) * stride])
                }
            }
        }
        var length = compressBound(uLong(raw.count))
        var data = [UInt8](repeating: 0, count: Int(length))
        guard compress2(&data, &length, raw, uLong(raw.count), 1) == Z_OK else {
            throw PictureError(.library, "The PNG can't be written: zlib has no memory.")
        }
        data.removeLast(data.count - Int(length))
        func word(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }
        let header = word(width) + word(height) + [UInt8(bits), channels == 3 ? 2 : 0, 0, 0, 0]
        return [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] + PNGChunk.bytes("IHDR", header) + PNGChunk.bytes("IDAT", data)
            + PNGChunk.bytes("IEND", [])
    }
}

/// The parts that PNG files are made of.
public enum PNGChunk {
    /// Length, type, contents, CRC-32 of the last two (PNG §5.3).
    public static func bytes(_ type: String, _ contents: [UInt8]) -> [UInt8] {
        var checked = Array(type.utf8)
        precondition(checked.count == 4, "a chunk's type has four letters")
        checked += contents
        var checksum = CRC32()
        checked.withUnsafeBytes { checksum.update($0) }
        func word(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }
        return word(UInt32(contents.count)) + checked + word(checksum.value)
    }
}
