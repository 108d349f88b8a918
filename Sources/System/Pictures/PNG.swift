// PNG by libpng's simplified interface, which reports errors by return value and never jumps.

import CPNG

/// Owns what libpng keeps behind a `png_image`.
private struct PNGImage: ~Copyable {
    var image = png_image()

    init() { image.version = png_uint_32(PNG_IMAGE_VERSION) }
    deinit {
        var image = image
        png_image_free(&image)
    }

    var message: String {
        withUnsafeBytes(of: image.message) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

extension Picture {
    /// Decodes any PNG to 8-bit RGB; what is transparent becomes white.
    public init(png bytes: [UInt8]) throws(PictureError) {
        var reader = PNGImage()
        self = try bytes.withUnsafeBufferPointer { source throws(PictureError) in
            guard png_image_begin_read_from_memory(&reader.image, source.baseAddress, source.count) != 0 else {
                throw PictureError(.malformed, "The PNG can't be read: \(reader.message).")
            }
            reader.image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
            return try Picture(width: Int(reader.image.width), height: Int(reader.image.height)) { target throws(PictureError) in
                var white = png_color(red: 255, green: 255, blue: 255)
                let stride = png_int_32(reader.image.width * 3)
                guard png_image_finish_read(&reader.image, &white, target.baseAddress, stride, nil) != 0 else {
                    throw PictureError(.malformed, "The PNG can't be read: \(reader.message).")
                }
            }
        }
    }

    func encodedPNG() throws(PictureError) -> [UInt8] {
        var writer = PNGImage()
        writer.image.width = png_uint_32(width)
        writer.image.height = png_uint_32(height)
        writer.image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
        // The pixels with a filter byte a row, deflate's worst case, the chunks' frames, and the other chunks.
        let raw = pixels.count + height
        var size = png_alloc_size_t(raw + raw / 256 + 8192)
        var bytes = [UInt8](repeating: 0, count: Int(size))
        let stride = png_int_32(width * 3)
        let done = pixels.withUnsafeBytes { source in
            bytes.withUnsafeMutableBytes { target in
                png_image_write_to_memory(&writer.image, target.baseAddress, &size, 0, source.baseAddress, stride, nil)
            }
        }
        guard done != 0 else { throw PictureError(.library, "The PNG can't be written: \(writer.message).") }
        bytes.removeLast(bytes.count - Int(size))
        return bytes
    }
}
