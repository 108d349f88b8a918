// JPEG to I420 in limited range, which is what programs take uncompressed pictures for unless they are told otherwise.

import CTurboJPEG

/// Owns a decompressor of libjpeg-turbo and the memory that it needs besides. Reuse it for a stream of pictures; one thread at a time.
public final class I420Decoder {
    // What libjpeg-turbo returns from tjInitDecompress; no other copy of the pointer exists.
    private let handle: tjhandle
    /// Chroma planes of pictures that have more of it than I420.
    private var chroma = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)

    public init() throws(PictureError) {
        guard let handle = tjInitDecompress() else { throw PictureError(.library, "libjpeg-turbo has no memory for a decompressor.") }
        self.handle = handle
    }

    deinit {
        tjDestroy(handle)
        chroma.deallocate()
    }

    /// What a picture takes, without padding: Y, then U, then V.
    public static func byteCount(width: Int, height: Int) -> Int { width * height + width / 2 * (height / 2) * 2 }

    /// Whether pictures of this size can be decoded: their planes have rows of whole words, as programs reckon with.
    public static func takes(width: Int, height: Int) -> Bool {
        width > 0 && height > 0 && width % 8 == 0 && height % 2 == 0 && width <= Picture.maximumSide && height <= Picture.maximumSide
    }

    /// Decodes a JPEG of exactly this size. What libjpeg-turbo only warns of (missing ends, stray bytes between segments, as cameras send
    /// them) is not an error. The bytes must not change meanwhile: they are read more than once. Throws `malformed`, also if the size
    /// differs.
    public func decode(
        _ bytes: UnsafeBufferPointer<UInt8>, width: Int, height: Int, into target: UnsafeMutableRawBufferPointer
    ) throws(PictureError) {
        precondition(Self.takes(width: width, height: height) && target.count >= Self.byteCount(width: width, height: height))
        guard bytes.count >= 4, bytes[0] == 0xff, bytes[1] == 0xd8 else {
            throw PictureError(.malformed, "The bytes are not a JPEG, which begins with FF D8.")
        }
        var (jpegWidth, jpegHeight, subsampling, colourSpace): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
        guard
            tjDecompressHeader3(handle, bytes.baseAddress, UInt(bytes.count), &jpegWidth, &jpegHeight, &subsampling, &colourSpace) == 0
        else { throw failure() }
        guard Int(jpegWidth) == width, Int(jpegHeight) == height else {
            throw PictureError(.malformed, "The JPEG is \(jpegWidth)x\(jpegHeight), not \(width)x\(height).")
        }
        guard let shape = ChromaShape(subsampling) else {
            throw PictureError(.malformed, "The JPEG's chroma is subsampled in a way that is not supported.")
        }
        let luma = target.baseAddress!.assumingMemoryBound(to: UInt8.self)
        let (halfWidth, halfHeight) = (width / 2, height / 2)
        let (blue, red) = (luma + width * height, luma + width * height + halfWidth * halfHeight)
        // 4:2:0 goes straight to its place.
        let (columns, rows) = (shape.columns(width), shape.rows(height))
        if shape != .quarter, shape != .none { reserve(columns * rows * 2) }
        let (u, v) =
            switch shape {
            case .quarter, .none: (blue, red)
            default: (chroma.baseAddress!, chroma.baseAddress! + columns * rows)
            }
        // The fast transform is off by one here and there, and a tenth cheaper: these are moving pictures.
        var planes: [UnsafeMutablePointer<UInt8>?] = [luma, u, v]
        var strides = [Int32(width), Int32(columns), Int32(columns)]
        let status = tjDecompressToYUVPlanes(
            handle, bytes.baseAddress, UInt(bytes.count), &planes, Int32(width), &strides, Int32(height),
            TJFLAG_LIMITSCANS | TJFLAG_FASTDCT)
        guard status == 0 || tjGetErrorCode(handle) == TJERR_WARNING.index else { throw failure() }
        Self.limitLuma(luma, count: width * height)
        shape.reduce(u, into: blue, width: halfWidth, height: halfHeight)
        shape.reduce(v, into: red, width: halfWidth, height: halfHeight)
    }

    private func reserve(_ count: Int) {
        guard chroma.count < count else { return }
        chroma.deallocate()
        chroma = .allocate(capacity: count)
    }

    /// 0…255 to 16…235.
    private static func limitLuma(_ plane: UnsafeMutablePointer<UInt8>, count: Int) {
        for index in 0..<count { plane[index] = UInt8(truncatingIfNeeded: ((UInt16(plane[index]) &* 220 &+ 128) &>> 8) &+ 16) }
    }

    private func failure() -> PictureError {
        PictureError(.malformed, "The JPEG can't be decoded: \(String(cString: tjGetErrorStr2(handle))).")
    }
}

/// How much chroma a JPEG has, and how it becomes a quarter, in limited range.
private enum ChromaShape {
    case whole, halfWidth, halfHeight, quarter, quarterWidth, none

    init?(_ subsampling: Int32) {
        switch subsampling {
        case TJSAMP_444.index: self = .whole
        case TJSAMP_422.index: self = .halfWidth
        case TJSAMP_440.index: self = .halfHeight
        case TJSAMP_420.index: self = .quarter
        case TJSAMP_411.index: self = .quarterWidth
        case TJSAMP_GRAY.index: self = .none
        default: return nil
        }
    }

    func columns(_ width: Int) -> Int {
        switch self {
        case .whole, .halfHeight: width
        case .halfWidth, .quarter: width / 2
        case .quarterWidth: width / 4
        case .none: 0
        }
    }

    func rows(_ height: Int) -> Int {
        switch self {
        case .whole, .halfWidth, .quarterWidth: height
        case .halfHeight, .quarter: height / 2
        case .none: 0
        }
    }

    /// 0…255 to 16…240, with 128 where it was.
    @inline(__always)
    private static func limited(_ value: UInt16) -> UInt8 { UInt8(truncatingIfNeeded: (value &* 225 &+ 4096) &>> 8) }

    @inline(__always)
    private static func mean(_ first: UInt8, _ second: UInt8) -> UInt16 { (UInt16(first) &+ UInt16(second) &+ 1) &>> 1 }

    /// `width` and `height` are those of the quarter.
    func reduce(_ plane: UnsafeMutablePointer<UInt8>, into target: UnsafeMutablePointer<UInt8>, width: Int, height: Int) {
        switch self {
        case .none: target.update(repeating: 128, count: width * height)
        case .quarter:
            for index in 0..<width * height { target[index] = Self.limited(UInt16(plane[index])) }
        case .halfWidth:
            for row in 0..<height {
                let (upper, lower, out) = (plane + row * 2 * width, plane + (row * 2 + 1) * width, target + row * width)
                for column in 0..<width { out[column] = Self.limited(Self.mean(upper[column], lower[column])) }
            }
        case .halfHeight:
            for row in 0..<height {
                let (line, out) = (plane + row * width * 2, target + row * width)
                for column in 0..<width { out[column] = Self.limited(Self.mean(line[column * 2], line[column * 2 + 1])) }
            }
        case .whole:
            for row in 0..<height {
                let (upper, out) = (plane + row * 2 * width * 2, target + row * width)
                let lower = upper + width * 2
                for column in 0..<width {
                    let sum =
                        UInt16(upper[column * 2]) &+ UInt16(upper[column * 2 + 1]) &+ UInt16(lower[column * 2])
                        &+ UInt16(lower[column * 2 + 1])
                    out[column] = Self.limited((sum &+ 2) &>> 2)
                }
            }
        case .quarterWidth:
            for row in 0..<height {
                let (upper, out) = (plane + row * 2 * (width / 2), target + row * width)
                let lower = upper + width / 2
                for column in 0..<width { out[column] = Self.limited(Self.mean(upper[column / 2], lower[column / 2])) }
            }
        }
    }
}
