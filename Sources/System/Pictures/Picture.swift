// A picture in memory: 8-bit RGB, row by row from the top.

/// An RGB picture.
public struct Picture: Hashable, Sendable {
    /// The longest side that is accepted, in pixels.
    public static let maximumSide = 16384
    /// The most bytes that a decoded picture may take.
    public static let maximumByteCount = 256 << 20

    public let width: Int
    public let height: Int
    /// Red, green, blue; rows without padding; `width * height * 3` bytes.
    public var pixels: [UInt8]

    /// Throws `tooLarge` for sizes out of bounds, and `malformed` for a size of nothing or the wrong number of bytes.
    public init(width: Int, height: Int, pixels: [UInt8]) throws(PictureError) {
        let count = try Self.checkedCount(width: width, height: height)
        guard pixels.count == count else {
            throw PictureError(.malformed, "A picture of \(width)x\(height) takes \(count) bytes; there are \(pixels.count).")
        }
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// A picture of one colour.
    public init(width: Int, height: Int, red: UInt8, green: UInt8, blue: UInt8) throws(PictureError) {
        let count = try Self.checkedCount(width: width, height: height)
        self.width = width
        self.height = height
        pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for offset in stride(from: 0, to: count, by: 3) {
                buffer[offset] = red
                buffer[offset + 1] = green
                buffer[offset + 2] = blue
            }
            initialized = count
        }
    }

    /// A picture whose bytes `fill` writes, all of them.
    init(width: Int, height: Int, filling fill: (UnsafeMutableBufferPointer<UInt8>) throws(PictureError) -> Void) throws(PictureError) {
        let count = try Self.checkedCount(width: width, height: height)
        self.width = width
        self.height = height
        var bytes = [UInt8](repeating: 0, count: count)
        var failure: PictureError?
        bytes.withUnsafeMutableBufferPointer { buffer in
            do throws(PictureError) { try fill(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        pixels = bytes
    }

    /// The bytes that an RGB picture of this size takes.
    static func checkedCount(width: Int, height: Int) throws(PictureError) -> Int {
        guard width > 0, height > 0 else {
            throw PictureError(.malformed, "A picture of \(width)x\(height) has no pixels.")
        }
        guard width <= maximumSide, height <= maximumSide, width * height * 3 <= maximumByteCount else {
            throw PictureError(
                .tooLarge,
                "A picture of \(width)x\(height) is too large: at most \(maximumSide) pixels a side and \(maximumByteCount >> 20) MiB in all."
            )
        }
        return width * height * 3
    }

    /// The pixel at a place, counted from the top left.
    public subscript(x: Int, y: Int) -> (red: UInt8, green: UInt8, blue: UInt8) {
        precondition(x >= 0 && x < width && y >= 0 && y < height, "the place is within the picture")
        let offset = (y * width + x) * 3
        return (pixels[offset], pixels[offset + 1], pixels[offset + 2])
    }

    /// The picture in another size: averaged where it shrinks, the nearest pixel where it grows. Proportions are not kept.
    public func scaled(toWidth newWidth: Int, height newHeight: Int) throws(PictureError) -> Picture {
        if newWidth == width, newHeight == height { return self }
        let (width, height) = (self.width, self.height)
        return try pixels.withUnsafeBufferPointer { source throws(PictureError) in
            try Picture(width: newWidth, height: newHeight) { target throws(PictureError) in
                for y in 0..<newHeight {
                    let top = y * height / newHeight
                    let bottom = max(top + 1, (y + 1) * height / newHeight)
                    for x in 0..<newWidth {
                        let left = x * width / newWidth
                        let right = max(left + 1, (x + 1) * width / newWidth)
                        var (red, green, blue) = (0, 0, 0)
                        for sourceY in top..<bottom {
                            var offset = (sourceY * width + left) * 3
                            for _ in left..<right {
                                red += Int(source[offset])
                                green += Int(source[offset + 1])
                                blue += Int(source[offset + 2])
                                offset += 3
                            }
                        }
                        let count = (bottom - top) * (right - left)
                        let offset = (y * newWidth + x) * 3
                        target[offset] = UInt8((red + count / 2) / count)
                        target[offset + 1] = UInt8((green + count / 2) / count)
                        target[offset + 2] = UInt8((blue + count / 2) / count)
                    }
                }
            }
        }
    }
}
