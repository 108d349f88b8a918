// Pictures as files: which kind the bytes are, and reading them from disk without trusting their size.

import FileDescriptors
import Glibc

/// The kinds of file that pictures are read from and written to.
public enum PictureFileFormat: Hashable, Sendable {
    /// JPEG, 4:2:2, quality from 1 to 100 (90 is a good one).
    case jpeg(quality: Int)
    case png
    /// Portable pixmap, binary (P6).
    case ppm

    /// By the end of a file's name: `jpg`, `jpeg`, `png`, `ppm`, in any case. `nil` for another one.
    public init?(path: String) {
        guard let dot = path.lastIndex(of: ".") else { return nil }
        switch path[path.index(after: dot)...].lowercased() {
        case "jpg", "jpeg": self = .jpeg(quality: 90)
        case "png": self = .png
        case "ppm": self = .ppm
        default: return nil
        }
    }
}

extension Picture {
    /// Decodes JPEG, PNG or PPM, told apart by their first bytes.
    public init(decoding bytes: [UInt8]) throws(PictureError) {
        if bytes.starts(with: [0xff, 0xd8]) {
            self = try Picture(jpeg: bytes)
        } else if bytes.starts(with: [0x89, 0x50, 0x4e, 0x47]) {
            self = try Picture(png: bytes)
        } else if bytes.starts(with: [0x50]), bytes.count > 2, bytes[1] == 0x36 || bytes[1] == 0x35 {
            self = try Picture(ppm: bytes)
        } else {
            throw PictureError(.unsupported, "The bytes are not a JPEG, PNG or binary PPM picture.")
        }
    }

    /// Reads a JPEG, PNG or PPM file.
    public init(contentsOf path: String) throws(PictureError) {
        let bytes = try PictureFile.read(path)
        do throws(PictureError) {
            try self.init(decoding: bytes)
        } catch {
            throw PictureError(error.code, "\(path): \(error.description)")
        }
    }

    /// The bytes of a file with this picture.
    public func encoded(as format: PictureFileFormat) throws(PictureError) -> [UInt8] {
        switch format {
        case .jpeg(let quality): try encodedJPEG(quality: quality)
        case .png: try encodedPNG()
        case .ppm: encodedPPM()
        }
    }
}

/// Whole files in memory, within bounds.
public enum PictureFile {
    /// Reads a regular file or a pipe, at most `limit` bytes: more is an error, not a cut.
    public static func read(_ path: String, limit: Int = Picture.maximumByteCount) throws(PictureError) -> [UInt8] {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else { throw failure("opened", path) }
        var information = stat()
        guard fstat(file.number, &information) == 0 else { throw failure("examined", path) }
        guard information.st_mode & S_IFMT != S_IFDIR else { throw PictureError(.file, "\(path) is a folder.") }
        guard information.st_size <= limit else { throw tooLarge(path, limit) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(information.st_size) + 1)
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { chunk.deallocate() }
        while true {
            let count = Glibc.read(file.number, chunk.baseAddress, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return bytes }
            guard bytes.count + count <= limit else { throw tooLarge(path, limit) }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    private static func tooLarge(_ path: String, _ limit: Int) -> PictureError {
        PictureError(.tooLarge, "\(path) is larger than \(limit >> 20) MiB, the most that is read.")
    }

    private static func failure(_ what: String, _ path: String) -> PictureError {
        let reason = String(cString: strerror(errno))
        return PictureError(.file, "\(path) could not be \(what): \(reason).")
    }
}
