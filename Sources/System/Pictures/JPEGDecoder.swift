// JPEG to RGB or to YUV planes, by libjpeg-turbo.

import CTurboJPEG

/// Owns one decompressor of libjpeg-turbo. Reuse it for a stream of pictures.
public struct JPEGDecoder: ~Copyable {
    // What libjpeg-turbo returns from tjInitDecompress; no other copy of the pointer exists.
    private let handle: tjhandle

    public init() throws(PictureError) {
        guard let handle = tjInitDecompress() else { throw PictureError(.library, "libjpeg-turbo has no memory for a decompressor.") }
        self.handle = handle
    }

    deinit { tjDestroy(handle) }

    /// Size and chroma subsampling, from the headers alone. Throws `tooLarge` for pictures out of bounds.
    public func size(of bytes: UnsafeBufferPointer<UInt8>) throws(PictureError) -> (width: Int, height: Int) {
        let header = try readHeader(bytes)
        return (header.width, header.height)
    }

    /// Decodes to RGB. `acceptingDamage`: what libjpeg-turbo only warns of (missing ends, stray bytes between segments, as cameras send
    /// them) is not an error; missing parts are then grey.
    public func decode(_ bytes: UnsafeBufferPointer<UInt8>, acceptingDamage: Bool = false) throws(PictureError) -> Picture {
        let header = try readHeader(bytes)
        return try Picture(width: header.width, height: header.height) { target throws(PictureError) in
            let status = tjDecompress2(
                handle, bytes.baseAddress, UInt(bytes.count), target.baseAddress, Int32(header.width), Int32(header.width * 3),
                Int32(header.height), TJPF_RGB.index, TJFLAG_LIMITSCANS)
            guard status == 0 || (acceptingDamage && tjGetErrorCode(handle) == TJERR_WARNING.index) else { throw failure() }
        }
    }

    private func readHeader(_ bytes: UnsafeBufferPointer<UInt8>) throws(PictureError) -> (width: Int, height: Int) {
        guard bytes.count >= 4, bytes[0] == 0xff, bytes[1] == 0xd8 else {
            throw PictureError(.malformed, "The bytes are not a JPEG, which begins with FF D8.")
        }
        var (width, height, subsampling, colourSpace): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
        guard
            tjDecompressHeader3(handle, bytes.baseAddress, UInt(bytes.count), &width, &height, &subsampling, &colourSpace) == 0
        else { throw failure() }
        _ = try Picture.checkedCount(width: Int(width), height: Int(height))
        return (Int(width), Int(height))
    }

    private func failure() -> PictureError {
        PictureError(.malformed, "The JPEG can't be decoded: \(String(cString: tjGetErrorStr2(handle))).")
    }
}

extension Picture {
    /// Decodes a JPEG; see ``JPEGDecoder/decode(_:acceptingDamage:)``.
    public init(jpeg bytes: [UInt8], acceptingDamage: Bool = false) throws(PictureError) {
        let decoder = try JPEGDecoder()
        self = try bytes.withUnsafeBufferPointer { buffer throws(PictureError) in
            try decoder.decode(buffer, acceptingDamage: acceptingDamage)
        }
    }
}

// The importer gives C enumerations raw values of their own; the functions take int.
extension TJPF {
    var index: Int32 { rawValue }
}
extension TJSAMP {
    var index: Int32 { Int32(bitPattern: rawValue) }
}
extension TJERR {
    var index: Int32 { Int32(bitPattern: rawValue) }
}
