// The containers of `userdriver record`: which frames each can hold, told by the file's name.

import ArgumentParser
import Pictures
import UserDriverClient

/// The kind of file that a recording becomes. Frames go into it as the camera sent them, so not
/// every kind can hold every format.
enum FilmContainer: String, CaseIterable, Hashable {
    /// Matroska: everything, with true times.
    case mkv
    /// MP4 in fragments: what is compressed, with true times.
    case mp4
    /// AVI: JPEG and uncompressed frames, at one rate.
    case avi

    private static let raw = RawFormat.allCases.map(\.rawValue)

    /// Formats by the names that `stream` uses.
    var formats: [String] {
        switch self {
        case .mkv: ["mjpeg"] + Self.raw + ["h264", "h265"]
        case .mp4: ["mjpeg", "h264", "h265"]
        case .avi: ["mjpeg"] + Self.raw
        }
    }

    /// Throws `ValidationError` if the name promises none of them.
    init(path: String) throws {
        let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard let point = name.lastIndex(of: "."), point > name.startIndex,
            let container = FilmContainer(rawValue: name[name.index(after: point)...].lowercased())
        else {
            throw ValidationError("'\(path)' does not say what to record into: end it in .mkv, .mp4 or .avi.")
        }
        self = container
    }

    /// One name for what cameras and people call differently.
    static func canonical(_ format: String) -> String {
        switch format.lowercased() {
        case "mjpg", "jpeg": "mjpeg"
        case "hevc": "h265"
        case "y800", "gray": "grey"
        case let format: format
        }
    }

    /// Throws `CommandFailure` with what can hold frames of this format.
    func check(_ format: String, path: String) throws(CommandFailure) {
        if let problem = problem(with: format, path: path) { throw CommandFailure(problem, status: ExitStatus.usage) }
    }

    /// Why frames of this format can't be put into the file, and what helps.
    func problem(with format: String, path: String) -> String? {
        let format = Self.canonical(format)
        guard !formats.contains(format) else { return nil }
        let remedy =
            if let other = Self.allCases.first(where: { $0.formats.contains(format) }) {
                "record to \(ShellText.quoted(path.dropLast(rawValue.count) + other.rawValue)), or ask for another format with --format"
            } else {
                "neither can the others; ask for another format with --format (userdriver inspect lists them)"
            }
        return "The frames are \(format.uppercased()), which a .\(rawValue) file can't hold as they are: \(remedy)."
    }
}

/// The files of one recording: the first has the name that was typed, those after it a number.
struct FilmNames: Hashable {
    let path: String
    private let stem: String
    private let type: String

    init(path: String) {
        self.path = path
        let point = path.lastIndex(of: ".") ?? path.endIndex
        stem = String(path[..<point])
        type = String(path[point...])
    }

    /// `film.mkv`, `film-0001.mkv`, `film-0002.mkv`…
    subscript(_ number: Int) -> String {
        guard number > 0 else { return path }
        let digits = String(number)
        return stem + "-" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits + type
    }
}
