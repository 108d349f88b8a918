// Full-range planes to grey, and to YUY2 and NV12 in limited range (BT.601), in loops that the
// compiler makes into vector instructions.

import Pictures

enum RawPacking {
    /// 0…255 to 16…235.
    @inline(__always)
    private static func luma(_ value: UInt8) -> UInt8 { UInt8(truncatingIfNeeded: (UInt16(value) &* 220) &>> 8 &+ 16) }

    /// 0…255 to 16…240, 128 staying.
    @inline(__always)
    private static func chroma(_ value: UInt8) -> UInt8 { UInt8(truncatingIfNeeded: (UInt16(value) &* 225 &+ 4096) &>> 8) }

    /// Y0 U Y1 V, row by row; `target` has `width · height · 2` bytes. The width is even.
    static func yuy2(_ planes: borrowing YUV422Planes, into target: UnsafeMutableRawBufferPointer) {
        let pairs = planes.chromaWidth * planes.height
        precondition(planes.width % 2 == 0 && target.count >= pairs * 4, "an even width, and room for the frame")
        guard let y = planes.y.baseAddress, let u = planes.u.baseAddress, let v = planes.v.baseAddress, let out = target.baseAddress
        else { return }
        for index in 0..<pairs {
            let (first, second) = (UInt32(luma(y[2 &* index])), UInt32(luma(y[2 &* index &+ 1])))
            let (blue, red) = (UInt32(chroma(u[index])), UInt32(chroma(v[index])))
            let word = first | blue &<< 8 | second &<< 16 | red &<< 24
            out.storeBytes(of: word.littleEndian, toByteOffset: index &* 4, as: UInt32.self)
        }
    }

    /// Y as it is; `target` has `width · height` bytes.
    static func grey(_ planes: borrowing YUV422Planes, into target: UnsafeMutableRawBufferPointer) {
        precondition(target.count >= planes.width * planes.height, "room for the frame")
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(planes.y)[..<(planes.width * planes.height)]))
    }

    /// Y, then U and V interleaved and averaged over two rows; `target` has `width · height · 3 / 2` bytes. Both sides are even.
    static func nv12(_ planes: borrowing YUV422Planes, into target: UnsafeMutableRawBufferPointer) {
        let (width, height, chromaWidth) = (planes.width, planes.height, planes.chromaWidth)
        precondition(width % 2 == 0 && height % 2 == 0 && target.count >= width * height * 3 / 2, "even sides, and room for the frame")
        guard let y = planes.y.baseAddress, let u = planes.u.baseAddress, let v = planes.v.baseAddress, let out = target.baseAddress
        else { return }
        let bytes = out.assumingMemoryBound(to: UInt8.self)
        for index in 0..<width * height { bytes[index] = luma(y[index]) }
        for row in 0..<height / 2 {
            let (upper, lower) = (row &* 2 &* chromaWidth, (row &* 2 &+ 1) &* chromaWidth)
            let start = width &* height &+ row &* width
            for pair in 0..<chromaWidth {
                let blue = UInt8(truncatingIfNeeded: (UInt16(u[upper &+ pair]) &+ UInt16(u[lower &+ pair]) &+ 1) &>> 1)
                let red = UInt8(truncatingIfNeeded: (UInt16(v[upper &+ pair]) &+ UInt16(v[lower &+ pair]) &+ 1) &>> 1)
                let word = UInt16(chroma(blue)) | UInt16(chroma(red)) &<< 8
                out.storeBytes(of: word.littleEndian, toByteOffset: start &+ pair &* 2, as: UInt16.self)
            }
        }
    }
}
