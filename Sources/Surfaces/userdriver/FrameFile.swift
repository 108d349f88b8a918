// What `stream -o` can write, told by a file's name before anything is opened.

import ArgumentParser
import Pictures

/// The form of a file of frames. A name that promises another form than the one that would be in it is refused: a film.mp4 of bare JPEGs
/// opens nowhere.
enum FrameFile: Hashable {
    /// Frames one after the other as the driver delivers them. With formats, only those fit the name.
    case bare(formats: [String])
    /// YUV4MPEG2.
    case film
    /// A picture's file for each frame: the path's parts before and after the number, and the digits that it has at least.
    case pictures(before: String, digits: Int, after: String, PictureFileFormat)

    private static let motionJPEG = ["mjpeg", "mjpg", "jpeg"]
    private static let containers = [
        "3gp", "asf", "avi", "flv", "gif", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogg", "ogv", "ts", "webm", "wmv",
    ]
    /// Of these, what takes JPEG frames as they are.
    private static let copies = ["avi", "mkv", "mov", "mp4"]
    private static let pictureTypes = ["bmp", "gif", "heic", "jpeg", "jpg", "jpe", "png", "pnm", "ppm", "tif", "tiff", "webp"]

    /// Throws `ValidationError` with what does what the name asks for. `command` is what was typed before `-o`, as a shell reads it.
    init(path: String, format: String?, fps: Double?, command: String = "userdriver stream") throws {
        guard !path.isEmpty else { throw ValidationError("-o needs the name of a file, or - for standard output.") }
        if let pattern = try Self.pattern(path) {
            self = pattern
            return
        }
        let type = Self.type(of: path)
        switch type {
        case "y4m": self = .film
        case "mjpeg", "mjpg": self = .bare(formats: Self.motionJPEG)
        case "yuv": self = .bare(formats: RawFormat.allCases.map(\.rawValue))
        case "", "raw", "bin", "dat": self = .bare(formats: [])
        case "h264", "264": self = .bare(formats: ["h264"])
        case "h265", "265", "hevc": self = .bare(formats: ["h265", "hevc"])
        case let type where RawFormat(rawValue: type) != nil: self = .bare(formats: [type])
        case let type where Self.containers.contains(type): throw ValidationError(Self.remedy(path, type, fps, command))
        case let type where Self.pictureTypes.contains(type):
            let pattern = path.dropLast(type.count + 1) + "-%04d." + (PictureFileFormat(path: path) == nil ? "jpg" : type)
            throw ValidationError(
                "A stream is more than one picture: '\(path)' can't hold it. For one picture: userdriver snap -o photo.jpg. "
                    + "For a file for each frame: \(command) -o \(ShellText.quoted(String(pattern)))")
        default:
            throw ValidationError(
                "'\(path)' does not say what to write. Bare frames go to a .mjpeg, .yuv or .raw file, a film of uncompressed frames to .y4m, "
                    + "a picture for each frame to a name like frame-%04d.jpg, everything else through a pipe: -o -")
        }
        if let problem = format.flatMap({ problem(with: $0.lowercased(), path: path) }) { throw ValidationError(problem) }
    }

    /// Throws `CommandFailure` where frames of this format are not what the name says.
    func check(_ format: String, path: String) throws {
        if let problem = problem(with: format, path: path) { throw CommandFailure(problem, status: ExitStatus.usage) }
    }

    private func problem(with format: String, path: String) -> String? {
        guard case .bare(let formats) = self, !formats.isEmpty, !formats.contains(format) else { return nil }
        let wanted = formats.contains("mjpeg") ? "mjpeg" : formats.joined(separator: ", ")
        let type = Self.motionJPEG.contains(format) ? "mjpeg" : RawFormat(rawValue: format) == nil ? "raw" : "yuv"
        return
            "The frames are \(format.uppercased()), and '\(path)' is a name for \(wanted): ask for that with --format, or end the name in .\(type)."
    }

    /// The letters behind the last point of the name; empty if it has none, and for what lies in `/dev`.
    private static func type(of path: String) -> String {
        guard path != "-", !path.hasPrefix("/dev/") else { return "" }
        let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard let point = name.lastIndex(of: "."), point > name.startIndex else { return "" }
        return name[name.index(after: point)...].lowercased()
    }

    /// A name with one `%d` or `%04d` in it.
    static func pattern(_ path: String) throws -> FrameFile? {
        guard let match = path.firstMatch(of: /%(0?[1-9]?)d/) else { return nil }
        let after = String(path[match.range.upperBound...])
        guard after.firstMatch(of: /%0?[1-9]?d/) == nil else { throw ValidationError("'\(path)' has a place for more than one number.") }
        guard let type = PictureFileFormat(path: path) else {
            throw ValidationError("'\(path)' does not say which pictures to write: end it in .jpg, .png or .ppm.")
        }
        return .pictures(before: String(path[..<match.range.lowerBound]), digits: Int(match.output.1) ?? 1, after: after, type)
    }

    private static func remedy(_ path: String, _ type: String, _ fps: Double?, _ command: String) -> String {
        if FilmContainer(rawValue: type) != nil, command.hasPrefix("userdriver stream") {
            let record = "userdriver record" + command.dropFirst("userdriver stream".count)
            return "'\(path)' would hold bare frames, not a .\(type) file. This records one: \(record) -o \(ShellText.quoted(path))"
        }
        let rate = fps.map { Figure.decimal($0, places: 3) } ?? "30"
        let isCopied = copies.contains(type)
        let out = isCopied ? "-c copy \(ShellText.quoted(path))" : ShellText.quoted(path)
        return "'\(path)' would hold bare frames, not a .\(type) file. ffmpeg makes one: "
            + "\(command) --format mjpeg -o - | ffmpeg -f mjpeg -framerate \(rate) -i - \(out)"
    }
}
