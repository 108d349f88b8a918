// The user's own pictures in place of the scene: a still, JPEGs one after another, or a Y4M film.

import Pictures
import UVC

enum FileSources {
    /// Opens a picture, MJPEG or Y4M file, told apart by its first bytes, for frames of a size.
    static func open(_ path: String) throws(PictureError) -> FileContents {
        let bytes = try PictureFile.read(path)
        if bytes.starts(with: Array("YUV4MPEG2".utf8)) { return .film(try Y4MFile(bytes, name: path)) }
        if bytes.starts(with: [0xff, 0xd8]) {
            let parts = try MotionJPEGFile.split(bytes, name: path)
            if parts.count > 1 {
                // The first frame is decoded here, so that a file of nonsense is refused before there is a camera.
                _ = try Picture(jpeg: MotionJPEG.withHuffmanTables(Array(bytes[parts[0]])), acceptingDamage: true)
                return .jpegs(bytes, parts)
            }
        }
        return .still(try Picture(contentsOf: path))
    }
}

/// A file that was checked.
enum FileContents: Sendable {
    case still(Picture)
    case jpegs([UInt8], [Range<Int>])
    case film(Y4MFile)

    func source(width: Int, height: Int) throws(PictureError) -> any PictureSource {
        switch self {
        case .still(let picture): try StillSource(picture, width: width, height: height)
        case .jpegs(let bytes, let parts): try MotionJPEGSource(bytes: bytes, parts: parts, width: width, height: height)
        case .film(let file): Y4MSource(file: file)
        }
    }
}

/// One picture, scaled once.
private final class StillSource: PictureSource, @unchecked Sendable {
    // Sendable: the planes are written by the initialiser and only read afterwards.
    private let planes: YUV422Planes

    init(_ picture: Picture, width: Int, height: Int) throws(PictureError) {
        planes = try YUV422Planes(width: width, height: height)
        planes.draw(try picture.scaled(toWidth: width, height: height))
    }

    func draw(number: UInt64, seconds: Double, on planes: borrowing YUV422Planes) { planes.copy(from: self.planes) }
}

/// JPEGs in one file, one a frame, looped.
private final class MotionJPEGSource: PictureSource, @unchecked Sendable {
    // Sendable: used by the one thread that makes a stream's frames.
    private let bytes: [UInt8]
    private let parts: [Range<Int>]
    private let width: Int
    private let height: Int
    private let decoder: JPEGDecoder

    init(bytes: [UInt8], parts: [Range<Int>], width: Int, height: Int) throws(PictureError) {
        self.bytes = bytes
        self.parts = parts
        self.width = width
        self.height = height
        decoder = try JPEGDecoder()
    }

    func draw(number: UInt64, seconds: Double, on planes: borrowing YUV422Planes) throws(PictureError) {
        let part = MotionJPEG.withHuffmanTables(Array(bytes[parts[Int(number % UInt64(parts.count))]]))
        let picture = try part.withUnsafeBufferPointer { buffer throws(PictureError) in
            try decoder.decode(buffer, acceptingDamage: true)
        }
        planes.draw(try picture.scaled(toWidth: width, height: height))
    }
}

enum MotionJPEGFile {
    /// Where each JPEG lies. A cut one at the end is left out; anything else that is not a JPEG is
    /// an error with its place.
    static func split(_ bytes: [UInt8], name: String) throws(PictureError) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var position = 0
        while position < bytes.count {
            // Padding between pictures.
            if bytes[position] == 0 {
                position += 1
                continue
            }
            guard position + 1 < bytes.count, bytes[position] == 0xff, bytes[position + 1] == 0xd8 else {
                if parts.isEmpty { break }
                throw PictureError.file("\(name) has something else than a JPEG at byte \(position).")
            }
            guard let end = end(bytes, from: position + 2) else {
                if parts.isEmpty { throw PictureError.file("\(name) holds no complete JPEG.") }
                break
            }
            parts.append(position..<end)
            position = end
        }
        return parts
    }

    /// The place after EOI, following segments and entropy-coded data.
    private static func end(_ bytes: [UInt8], from start: Int) -> Int? {
        var position = start
        while position + 1 < bytes.count {
            guard bytes[position] == 0xff else {
                position += 1
                continue
            }
            switch bytes[position + 1] {
            case 0xd9: return position + 2
            case 0x00, 0x01, 0xd0...0xd8: position += 2
            case 0xff: position += 1
            default:
                guard position + 3 < bytes.count else { return nil }
                position += 2 + max(2, Int(bytes[position + 2]) << 8 | Int(bytes[position + 3]))
            }
        }
        return nil
    }
}
