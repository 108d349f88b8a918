// Portable pixmaps: P6 (RGB) and P5 (grey), 8 bits.

extension Picture {
    /// Decodes a binary PPM (P6) or PGM (P5) with up to 255 levels.
    public init(ppm bytes: [UInt8]) throws(PictureError) {
        guard bytes.count > 2, bytes[0] == 0x50, bytes[1] == 0x36 || bytes[1] == 0x35 else {
            throw PictureError(.malformed, "The bytes are not a binary PPM, which begins with P6 (or P5).")
        }
        let channels = bytes[1] == 0x36 ? 3 : 1
        var position = 2
        let width = try Self.number(in: bytes, at: &position, of: "width")
        let height = try Self.number(in: bytes, at: &position, of: "height")
        let levels = try Self.number(in: bytes, at: &position, of: "number of levels")
        guard levels > 0, levels <= 255 else {
            throw PictureError(.unsupported, "The PPM has \(levels) levels; 1 to 255 are supported.")
        }
        // One byte of white space ends the header.
        position += 1
        let count = try Self.checkedCount(width: width, height: height) / 3 * channels
        guard bytes.count - position >= count else {
            throw PictureError(.malformed, "The PPM ends after \(max(0, bytes.count - position)) of its \(count) bytes.")
        }
        let samples = bytes[position..<position + count]
        let scale = (0...255).map { UInt8(min($0, levels) * 255 / levels) }
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * 3)
        for sample in samples {
            let value = levels == 255 ? sample : scale[Int(sample)]
            pixels.append(value)
            if channels == 1 { pixels.append(contentsOf: [value, value]) }
        }
        try self.init(width: width, height: height, pixels: pixels)
    }

    /// The next decimal number of the header, past white space and comments.
    private static func number(in bytes: [UInt8], at position: inout Int, of what: String) throws(PictureError) -> Int {
        var value: Int?
        var inComment = false
        while position < bytes.count {
            let byte = bytes[position]
            if inComment {
                inComment = byte != 0x0a
            } else if byte >= 0x30, byte <= 0x39 {
                let grown = (value ?? 0) * 10 + Int(byte - 0x30)
                guard grown < 1_000_000 else { throw malformed(what) }
                value = grown
            } else if let value {
                return value
            } else if byte == 0x23 {
                inComment = true
            } else if byte != 0x20, byte < 0x09 || byte > 0x0d {
                throw malformed(what)
            }
            position += 1
        }
        throw malformed(what)
    }

    private static func malformed(_ what: String) -> PictureError {
        PictureError(.malformed, "The PPM's header has no usable \(what).")
    }

    func encodedPPM() -> [UInt8] {
        Array("P6\n\(width) \(height)\n255\n".utf8) + pixels
    }
}
