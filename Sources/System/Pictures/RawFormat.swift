// The uncompressed formats of cameras, to and from RGB: BT.601's matrix in limited range (Y 16…235, chroma 16…240).

/// An uncompressed format. Raw values are the names that people and scripts type.
public enum RawFormat: String, CaseIterable, Hashable, Sendable {
    /// Packed 4:2:2: Y0 U Y1 V.
    case yuy2
    /// Packed 4:2:2: U Y0 V Y1.
    case uyvy
    /// Planar 4:2:0: Y, then U and V interleaved.
    case nv12
    /// Planar 4:2:0: Y, then U, then V.
    case i420
    /// Y alone. Its range is full, 0…255, as infrared cameras send it.
    case grey

    /// Bytes of a frame. Formats that share chroma between pixels take an even width (4:2:0 an even height too); odd sizes are rounded up.
    public func byteCount(width: Int, height: Int) -> Int {
        let (halfWidth, halfHeight) = ((width + 1) / 2, (height + 1) / 2)
        return switch self {
        case .yuy2, .uyvy: halfWidth * 4 * height
        case .nv12, .i420: width * height + halfWidth * halfHeight * 2
        case .grey: width * height
        }
    }

    /// Where a pixel's samples are: offsets in the frame.
    @inline(__always)
    fileprivate func offsets(x: Int, y: Int, width: Int, height: Int) -> (y: Int, u: Int, v: Int) {
        let (halfWidth, halfHeight) = ((width + 1) / 2, (height + 1) / 2)
        switch self {
        case .yuy2:
            let pair = (y * halfWidth + x / 2) * 4
            return (pair + (x & 1) * 2, pair + 1, pair + 3)
        case .uyvy:
            let pair = (y * halfWidth + x / 2) * 4
            return (pair + 1 + (x & 1) * 2, pair, pair + 2)
        case .nv12:
            let chroma = width * height + ((y / 2) * halfWidth + x / 2) * 2
            return (y * width + x, chroma, chroma + 1)
        case .i420:
            let chroma = width * height + (y / 2) * halfWidth + x / 2
            return (y * width + x, chroma, chroma + halfWidth * halfHeight)
        case .grey:
            return (y * width + x, 0, 0)
        }
    }
}

extension Picture {
    /// A frame of a camera as RGB. Bytes after the frame's end are ignored; too few are `malformed`.
    public init(format: RawFormat, width: Int, height: Int, bytes: UnsafeRawBufferPointer) throws(PictureError) {
        _ = try Self.checkedCount(width: width, height: height)
        let count = format.byteCount(width: width, height: height)
        guard bytes.count >= count else {
            throw PictureError(
                .malformed, "A \(format.rawValue) frame of \(width)x\(height) takes \(count) bytes; there are \(bytes.count).")
        }
        try self.init(width: width, height: height) { target throws(PictureError) in
            var position = 0
            for y in 0..<height {
                for x in 0..<width {
                    let place = format.offsets(x: x, y: y, width: width, height: height)
                    if format == .grey {
                        target[position] = bytes[place.y]
                        target[position + 1] = bytes[place.y]
                        target[position + 2] = bytes[place.y]
                    } else {
                        let luma = 76309 * (Int(bytes[place.y]) - 16) + 32768
                        let (u, v) = (Int(bytes[place.u]) - 128, Int(bytes[place.v]) - 128)
                        target[position] = clamped((luma + 104597 * v) >> 16)
                        target[position + 1] = clamped((luma - 25675 * u - 53279 * v) >> 16)
                        target[position + 2] = clamped((luma + 132201 * u) >> 16)
                    }
                    position += 3
                }
            }
        }
    }

    /// The picture as a frame of a camera. Chroma is the average of the pixels that share it.
    public func bytes(as format: RawFormat) -> [UInt8] {
        let (width, height) = (self.width, self.height)
        var frame = [UInt8](repeating: 128, count: format.byteCount(width: width, height: height))
        let rows = format == .nv12 || format == .i420 ? 2 : 1
        pixels.withUnsafeBufferPointer { source in
            for top in stride(from: 0, to: height, by: rows) {
                for left in stride(from: 0, to: width, by: 2) {
                    var (u, v, count) = (0, 0, 0)
                    for y in top..<min(top + rows, height) {
                        for x in left..<min(left + 2, width) {
                            let offset = (y * width + x) * 3
                            let (r, g, b) = (Int(source[offset]), Int(source[offset + 1]), Int(source[offset + 2]))
                            let place = format.offsets(x: x, y: y, width: width, height: height)
                            if format == .grey {
                                frame[place.y] = UInt8((19595 * r + 38470 * g + 7471 * b + 32768) >> 16)
                            } else {
                                frame[place.y] = UInt8(16 + (16829 * r + 33039 * g + 6416 * b + 32768) >> 16)
                            }
                            u += -9714 * r - 19071 * g + 28784 * b
                            v += 28784 * r - 24103 * g - 4681 * b
                            count += 1
                        }
                    }
                    guard format != .grey else { continue }
                    let place = format.offsets(x: left, y: top, width: width, height: height)
                    frame[place.u] = clamped(128 + (u / count + 32768) >> 16)
                    frame[place.v] = clamped(128 + (v / count + 32768) >> 16)
                }
            }
            // The second luma sample of an odd row's last pair repeats the first.
            guard width % 2 == 1, format == .yuy2 || format == .uyvy else { return }
            for y in 0..<height {
                let place = format.offsets(x: width - 1, y: y, width: width, height: height)
                frame[place.y + 2] = frame[place.y]
            }
        }
        return frame
    }
}

@inline(__always)
private func clamped(_ value: Int) -> UInt8 { UInt8(truncatingIfNeeded: min(max(value, 0), 255)) }
