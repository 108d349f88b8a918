// Where frames are written: one after the other as they are, or as a YUV4MPEG2 film.

import Glibc
import Pictures
import UVC
import UserDriverClient

/// A file, or standard output, that takes whole frames; or files, one for each.
final class FrameWriter {
    private let path: String
    private let form: FrameFile
    /// -1 where each frame has a file of its own.
    private let descriptor: Int32
    private var film: FilmForm?
    private var count = 0

    /// What every frame of a film has in common.
    private struct FilmForm: Equatable {
        var format: String
        var width: Int
        var height: Int
    }

    /// `-` is standard output. A file that is there is written anew.
    init(path: String, form: FrameFile = .bare(formats: [])) throws {
        self.path = path
        self.form = form
        if case .pictures = form {
            descriptor = -1
        } else if path == "-" {
            guard !Terminal.isTerminal(STDOUT_FILENO) else {
                throw CommandFailure(
                    "Standard output is a terminal, which can't show this: pipe it into a program, or write a file with -o FILE.",
                    status: ExitStatus.usage)
            }
            descriptor = STDOUT_FILENO
        } else {
            descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
            guard descriptor >= 0 else { throw OutputError(number: errno, what: path) }
        }
    }

    func write(_ bytes: [UInt8], of stream: StreamDescription?) throws {
        switch form {
        case .bare:
            if let stream { try form.check(stream.format, path: path) }
            try put(MotionJPEG.isFormat(stream?.format) ? MotionJPEG.withHuffmanTables(bytes) : bytes)
        case .film: try writeFilm(bytes, of: stream)
        case .pictures(let before, let digits, let after, let kind):
            count += 1
            let number = String(count)
            let name = before + String(repeating: "0", count: max(0, digits - number.count)) + number + after
            try WholeFile.write(try PictureOfFrame.encode(bytes, stream: stream, as: kind), to: name)
        }
    }

    private func writeFilm(_ bytes: [UInt8], of stream: StreamDescription?) throws {
        guard let stream else { throw CommandFailure("The driver does not say what its frames are: they can't become a film.") }
        let form = FilmForm(format: stream.format, width: stream.width, height: stream.height)
        if film == nil {
            try put(Array(Film.header(stream).utf8))
            film = form
        }
        guard film == form else {
            throw CommandFailure("The stream has changed to \(stream), and a film can't change its format: the film ends here.")
        }
        try put(Array("FRAME\n".utf8))
        try put(try Film.planes(bytes, of: stream))
    }

    func put(_ bytes: [UInt8]) throws {
        let failed = bytes.withUnsafeBytes { Terminal.writeAll($0, to: descriptor) }
        guard failed == 0 else { throw OutputError(number: failed, what: path == "-" ? "the output" : path) }
    }

    func close() throws {
        guard descriptor >= 0, descriptor != STDOUT_FILENO else { return }
        guard Glibc.close(descriptor) == 0 else { throw OutputError(number: errno, what: path) }
    }
}

extension MotionJPEG {
    /// Whether a stream's format is JPEG frame by frame.
    static func isFormat(_ format: String?) -> Bool { format == "mjpeg" || format == "mjpg" || format == "jpeg" }
}

/// YUV4MPEG2: the file format of mjpegtools that every video program reads, frames uncompressed and planar, without conversion where it can be.
enum Film {
    static func header(_ stream: StreamDescription) -> String {
        let scaled = Int64((stream.fps > 0 && stream.fps <= 10_000 ? stream.fps : 30) * 1000)
        let rate = scaled % 1000 == 0 ? "\(scaled / 1000):1" : "\(scaled):1000"
        let colour =
            switch stream.format {
            case "yuy2", "uyvy": "C422"
            case "grey": "Cmono"
            default: "C420mpeg2"
            }
        return "YUV4MPEG2 W\(stream.width) H\(stream.height) F\(rate) Ip A1:1 \(colour)\n"
    }

    /// Y, then U, then V.
    static func planes(_ frame: [UInt8], of stream: StreamDescription) throws -> [UInt8] {
        let (width, height) = (stream.width, stream.height)
        if MotionJPEG.isFormat(stream.format) {
            let picture = try Picture(jpeg: MotionJPEG.withHuffmanTables(frame))
            guard picture.width == width, picture.height == height else {
                throw CommandFailure("A frame has \(picture.width)x\(picture.height) pixels, and the stream \(width)x\(height).")
            }
            return picture.bytes(as: .i420)
        }
        guard let format = RawFormat(rawValue: stream.format) else {
            throw CommandFailure("Frames of the format \(stream.format) can't become a film.")
        }
        let count = format.byteCount(width: width, height: height)
        guard frame.count >= count else { throw CommandFailure("A frame has \(frame.count) bytes where \(count) are needed.") }
        let (halfWidth, halfHeight) = ((width + 1) / 2, (height + 1) / 2)
        switch format {
        case .i420, .grey: return Array(frame[..<count])
        case .nv12:
            let luma = width * height
            let chroma = halfWidth * halfHeight
            return Array(frame[..<luma]) + (0..<chroma).map { frame[luma + 2 * $0] } + (0..<chroma).map { frame[luma + 2 * $0 + 1] }
        case .yuy2, .uyvy:
            let (first, u) = format == .yuy2 ? (0, 1) : (1, 0)
            var planes = [UInt8]()
            planes.reserveCapacity(width * height + 2 * halfWidth * height)
            for row in 0..<height {
                for x in 0..<width { planes.append(frame[(row * halfWidth + x / 2) * 4 + first + (x & 1) * 2]) }
            }
            for offset in [u, u + 2] {
                for pair in 0..<(halfWidth * height) { planes.append(frame[pair * 4 + offset]) }
            }
            return planes
        }
    }
}
