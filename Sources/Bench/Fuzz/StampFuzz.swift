// Fuzzes the stamps by which frames prove that they are whole: a camera writes them, and may write any.

import Pictures

/// Two frames, one after the other: the first byte says in which format, the second where one ends.
enum StampFuzz: FuzzTarget {
    static let name = "stamps"
    private static let formats = ["mjpeg", "yuy2"]

    static let seeds: [[UInt8]] = {
        func frame(_ format: String, _ stamp: FrameStamp) -> [UInt8] {
            var bytes = [UInt8](repeating: 7, count: 160)
            if format == "mjpeg" {
                bytes.replaceSubrange(FrameStamp.jpegOverhead..<(FrameStamp.jpegOverhead + 2), with: [0xff, 0xd8])
            }
            bytes.withUnsafeMutableBytes { stamp.write(format: format, into: $0) }
            return bytes
        }
        // Times at both ends of what 64 bits hold.
        let times: [(UInt64, UInt64)] = [(1, 2), (0, .max), (.max - 1, .max), (1 << 63, .max)]
        return formats.indices.flatMap { format in
            times.map { first, second in
                let one = FrameStamp(number: first, captureTime: first, intervalNanoseconds: 33_333_333, stream: 1)
                let two = FrameStamp(number: second, captureTime: second, intervalNanoseconds: 1, stream: 2)
                return [UInt8(format), 160] + frame(formats[format], one) + frame(formats[format], two)
            }
        }
    }()

    static func run(_ bytes: [UInt8]) {
        guard bytes.count >= 2 else { return }
        let format = formats[Int(bytes[0]) % formats.count]
        let (rest, split) = (bytes.dropFirst(2), min(Int(bytes[1]), bytes.count - 2))
        let stamps = [Array(rest.prefix(split)), Array(rest.dropFirst(split))].compactMap { frame in
            switch frame.withUnsafeBytes({ FrameStamp.read(format: format, bytes: $0) }) {
            case .none: FrameStamp?.none
            case .whole(let stamp): stamp
            case .torn(let stamp): stamp
            }
        }
        for first in stamps { for second in stamps { _ = first.framesMissing(before: second) } }
        // Numbers straight from the input, which no checksum would let through.
        let words = stride(from: 0, to: min(bytes.count, 64) / 8 * 8, by: 8).map { start in
            bytes[start..<(start + 8)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        for a in words {
            for b in words {
                let first = FrameStamp(number: a, captureTime: b, intervalNanoseconds: UInt32(truncatingIfNeeded: a), stream: 1)
                let second = FrameStamp(number: b, captureTime: a, intervalNanoseconds: UInt32(truncatingIfNeeded: b), stream: 2)
                _ = first.framesMissing(before: second)
            }
        }
    }
}
