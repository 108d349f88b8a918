// Bodies that are compressed though nobody said that they may be.

import CZlib

/// Some scanners send gzip whatever the request accepts.
public enum ContentDecoding {
    /// The body itself where it is not compressed: told by its first bytes, whatever the head says.
    /// `nil` for one that can't be unpacked, or has more than `most` bytes then.
    public static func decoded(_ body: [UInt8], most: Int) -> [UInt8]? {
        guard body.starts(with: [0x1f, 0x8b]) else { return body }
        var stream = z_stream()
        // 32: gzip or zlib, as the header says.
        guard inflateInit2_(&stream, 15 + 32, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var input = body
        var output = [UInt8](repeating: 0, count: most + 1)
        let count: Int? = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(clamping: input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(clamping: output.count)
                guard inflate(&stream, Z_FINISH) == Z_STREAM_END else { return nil }
                return output.count - Int(stream.avail_out)
            }
        }
        guard let count, count <= most else { return nil }
        return Array(output[..<count])
    }
}
