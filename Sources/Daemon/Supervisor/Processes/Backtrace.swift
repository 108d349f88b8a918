// Which addresses of a dead driver are looked up where, and the lines of a report that come of it.

/// A dead driver's backtrace before it has names. Pure: no file is opened and nothing of the driver's is interpreted here.
struct Backtrace: Sendable {
    /// An address that is looked up in a file.
    struct Place: Hashable, Sendable {
        var frame: Int
        /// In `files`.
        var file: Int
        /// The file's, not the process's.
        var address: UInt64
    }
    /// A file that a frame lies in.
    enum File: Hashable, Sendable {
        case executable
        /// The driver's word.
        case library(String)
    }

    static let maximumLine = 400
    private(set) var frames: [UInt64]
    private(set) var places: [Place] = []
    private(set) var files: [File] = []
    private let executableName: String

    init(_ words: CrashPage, executableName: String) {
        self.executableName = executableName
        frames = words.frames
        for (index, frame) in words.frames.enumerated() {
            guard let object = words.objects.first(where: { $0.range.contains(frame) }) else { continue }
            let file = object.path.map(File.library) ?? .executable
            let number = files.firstIndex(of: file) ?? files.count
            if number == files.count { files.append(file) }
            // A return address is the instruction after the call: one byte less lies in the caller.
            places.append(Place(frame: index, file: number, address: frame &- object.base &- (index == 0 ? 0 : 1)))
        }
    }

    /// A line a frame: `"WebcamDriver.handle(_:) + 124 (webcam-driver)"`, the address where no name is known. `names` are by the index of a place.
    func lines(_ names: [Int: String] = [:]) -> [String] {
        var lines = frames.map(Self.hex)
        for (index, place) in places.enumerated() {
            let text = names[index].map(Self.printable) ?? Self.hex(place.address)
            lines[place.frame] = "\(text) (\(Self.printable(name(of: files[place.file]))))"
        }
        return lines.map { String($0.prefix(Self.maximumLine)) }
    }

    private func name(of file: File) -> String {
        switch file {
        case .executable: executableName
        case .library(let path): String(path.split(separator: "/").last ?? "")
        }
    }

    /// Names are a stranger's bytes: nothing in them moves a cursor or turns text round.
    private static func printable(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars.prefix(maximumLine) {
            switch scalar.properties.generalCategory {
            case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: result += "?"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
