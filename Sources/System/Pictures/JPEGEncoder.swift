// RGB or YUV planes to JPEG, by libjpeg-turbo.

import CTurboJPEG

/// Owns one compressor of libjpeg-turbo. Reuse it for a stream of pictures.
public struct JPEGEncoder: ~Copyable {
    // What libjpeg-turbo returns from tjInitCompress; no other copy of the pointer exists.
    private let handle: tjhandle

    public init() throws(PictureError) {
        guard let handle = tjInitCompress() else { throw PictureError(.library, "libjpeg-turbo has no memory for a compressor.") }
        self.handle = handle
    }

    deinit { tjDestroy(handle) }

    /// The most bytes that a 4:2:2 JPEG of this size can take: what `encode` needs to be lent.
    public static func capacity(width: Int, height: Int) -> Int {
        precondition(width > 0 && height > 0 && width <= Picture.maximumSide && height <= Picture.maximumSide)
        return Int(tjBufSize(Int32(width), Int32(height), TJSAMP_422.index))
    }

    /// Encodes 4:2:2 planes in full range (as JFIF has it) into `target`, and returns the bytes written. `target` has room for
    /// ``capacity(width:height:)``; `quality` is from 1 to 100.
    public func encode(
        _ planes: borrowing YUV422Planes, quality: Int, into target: UnsafeMutableBufferPointer<UInt8>
    ) throws(PictureError) -> Int {
        precondition(target.count >= Self.capacity(width: planes.width, height: planes.height), "room for any JPEG of this size")
        var sources: (UnsafePointer<UInt8>?, UnsafePointer<UInt8>?, UnsafePointer<UInt8>?) = (
            UnsafePointer(planes.y.baseAddress), UnsafePointer(planes.u.baseAddress), UnsafePointer(planes.v.baseAddress)
        )
        var strides: (Int32, Int32, Int32) = (Int32(planes.width), Int32(planes.chromaWidth), Int32(planes.chromaWidth))
        var output = target.baseAddress
        var size = UInt(target.count)
        let (width, height) = (Int32(planes.width), Int32(planes.height))
        let status = withUnsafeMutablePointer(to: &sources) { sources in
            sources.withMemoryRebound(to: UnsafePointer<UInt8>?.self, capacity: 3) { sources in
                withUnsafeMutablePointer(to: &strides) { strides in
                    strides.withMemoryRebound(to: Int32.self, capacity: 3) { strides in
                        tjCompressFromYUVPlanes(
                            handle, sources, width, strides, height, TJSAMP_422.index, &output, &size,
                            Int32(min(max(quality, 1), 100)), TJFLAG_NOREALLOC | TJFLAG_FASTDCT)
                    }
                }
            }
        }
        guard status == 0 else { throw failure() }
        return Int(size)
    }

    func encode(_ picture: Picture, quality: Int, subsampling: TJSAMP = TJSAMP_422) throws(PictureError) -> [UInt8] {
        var output: UnsafeMutablePointer<UInt8>?
        var size: UInt = 0
        let status = picture.pixels.withUnsafeBufferPointer { source in
            tjCompress2(
                handle, source.baseAddress, Int32(picture.width), Int32(picture.width * 3), Int32(picture.height), TJPF_RGB.index,
                &output, &size, subsampling.index, Int32(min(max(quality, 1), 100)), 0)
        }
        defer { tjFree(output) }
        guard status == 0, let output else { throw failure() }
        return Array(UnsafeBufferPointer(start: output, count: Int(size)))
    }

    private func failure() -> PictureError {
        PictureError(.library, "The JPEG can't be encoded: \(String(cString: tjGetErrorStr2(handle))).")
    }
}

extension Picture {
    func encodedJPEG(quality: Int) throws(PictureError) -> [UInt8] {
        let encoder = try JPEGEncoder()
        return try encoder.encode(self, quality: quality)
    }
}
