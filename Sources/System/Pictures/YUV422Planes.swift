// Y, U and V planes at 4:2:2, the shape in which the emulated camera draws and libjpeg-turbo compresses.

/// Owns three planes: Y of `width × height`, U and V of `chromaWidth × height`.
public struct YUV422Planes: ~Copyable, @unchecked Sendable {
    // Sendable: the memory has one owner, this value, which can't be copied.
    public let width: Int
    public let height: Int
    /// Half the width, rounded up.
    public let chromaWidth: Int
    public let y: UnsafeMutableBufferPointer<UInt8>
    public let u: UnsafeMutableBufferPointer<UInt8>
    public let v: UnsafeMutableBufferPointer<UInt8>

    /// Black planes. Throws `tooLarge` for sizes out of bounds.
    public init(width: Int, height: Int) throws(PictureError) {
        _ = try Picture.checkedCount(width: width, height: height)
        self.width = width
        self.height = height
        chromaWidth = (width + 1) / 2
        y = .allocate(capacity: width * height)
        u = .allocate(capacity: chromaWidth * height)
        v = .allocate(capacity: chromaWidth * height)
        fill(y: 0, u: 128, v: 128)
    }

    deinit {
        y.deallocate()
        u.deallocate()
        v.deallocate()
    }

    /// Makes everything one colour.
    public func fill(y luma: UInt8, u blue: UInt8, v red: UInt8) {
        y.initialize(repeating: luma)
        u.initialize(repeating: blue)
        v.initialize(repeating: red)
    }

    /// Takes over the contents of planes of the same size.
    public func copy(from other: borrowing YUV422Planes) {
        precondition(width == other.width && height == other.height, "planes of one size")
        _ = y.update(fromContentsOf: other.y)
        _ = u.update(fromContentsOf: other.u)
        _ = v.update(fromContentsOf: other.v)
    }

    /// Full-range (JFIF) planes from an RGB picture of the same size.
    public func draw(_ picture: Picture) {
        precondition(width == picture.width && height == picture.height, "a picture of the planes' size")
        picture.pixels.withUnsafeBufferPointer { source in
            for row in 0..<height {
                for pair in 0..<chromaWidth {
                    let left = pair * 2
                    let right = min(left + 1, width - 1)
                    let a = FullRange(source, at: (row * width + left) * 3)
                    let b = FullRange(source, at: (row * width + right) * 3)
                    y[row * width + left] = a.y
                    y[row * width + right] = b.y
                    u[row * chromaWidth + pair] = UInt8((Int(a.u) + Int(b.u) + 1) / 2)
                    v[row * chromaWidth + pair] = UInt8((Int(a.v) + Int(b.v) + 1) / 2)
                }
            }
        }
    }
}

/// One pixel in JFIF's YCbCr: BT.601's matrix, full range, in 16-bit fixed point.
public struct FullRange: Hashable, Sendable {
    public var y: UInt8
    public var u: UInt8
    public var v: UInt8

    public init(red: Int, green: Int, blue: Int) {
        let (r, g, b) = (min(max(red, 0), 255), min(max(green, 0), 255), min(max(blue, 0), 255))
        y = UInt8((19595 * r + 38470 * g + 7471 * b + 32768) >> 16)
        u = UInt8(min(255, (-11059 * r - 21709 * g + 32768 * b + (128 << 16) + 32767) >> 16))
        v = UInt8(min(255, (32768 * r - 27439 * g - 5329 * b + (128 << 16) + 32767) >> 16))
    }

    init(_ rgb: UnsafeBufferPointer<UInt8>, at offset: Int) {
        self.init(red: Int(rgb[offset]), green: Int(rgb[offset + 1]), blue: Int(rgb[offset + 2]))
    }
}
