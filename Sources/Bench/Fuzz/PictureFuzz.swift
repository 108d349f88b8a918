// Picture files and stamps under fuzzing.

import Pictures

/// JPEG, PNG and PPM decoding, raw frames, and the reading of stamps.
enum PictureFuzz: FuzzTarget {
    static let name = "pictures"

    static let seeds: [[UInt8]] = {
        var pixels: [UInt8] = []
        for place in 0..<24 * 16 { pixels += [UInt8(place % 24 * 10), UInt8(place / 24 * 15), UInt8(place * 7 & 0xff)] }
        do throws(PictureError) {
            let picture = try Picture(width: 24, height: 16, pixels: pixels)
            var seeds: [[UInt8]] = []
            for format in [PictureFileFormat.jpeg(quality: 60), .png, .ppm] { seeds.append(try picture.encoded(as: format)) }
            var stamped = [UInt8](repeating: 0, count: FrameStamp.jpegOverhead) + seeds[0]
            let stamp = FrameStamp(number: 7, captureTime: 1_000_000, intervalNanoseconds: 33_333_300, stream: 1)
            stamped.withUnsafeMutableBytes { stamp.write(format: "mjpeg", into: $0) }
            var raw = picture.bytes(as: .yuy2)
            raw.withUnsafeMutableBytes { stamp.write(format: "yuy2", into: $0) }
            return seeds + [stamped, raw]
        } catch {
            preconditionFailure("the seeds are made from a valid picture: \(error)")
        }
    }()

    static func run(_ bytes: [UInt8]) {
        // A header can ask for 256 MiB; what such a size costs is time, which fuzzing has better uses for.
        if bytes.starts(with: [0x50]), bytes.count > 1 << 16 { return }
        do throws(PictureError) {
            let picture = try Picture(decoding: bytes)
            precondition(picture.pixels.count == picture.width * picture.height * 3, "every pixel is there")
        } catch {
            precondition(!error.description.isEmpty, "an error says what is wrong")
        }
        bytes.withUnsafeBytes { buffer in
            for format in ["mjpeg", "yuy2"] {
                if case .whole(let stamp) = FrameStamp.read(format: format, bytes: buffer) {
                    precondition(stamp.framesMissing(before: stamp) == 0, "nothing is missing before the frame itself")
                }
            }
            for format in RawFormat.allCases {
                do throws(PictureError) { _ = try Picture(format: format, width: 24, height: 16, bytes: buffer) } catch {
                    precondition(buffer.count < format.byteCount(width: 24, height: 16), "enough bytes are a frame")
                }
            }
        }
    }
}
