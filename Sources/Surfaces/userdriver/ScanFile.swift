// What `scan -o` writes: a file for each page, or one document of all.

public import ArgumentParser
import Glibc
import Pictures
public import ScannerClient
import Wire

extension PageFileFormat: ExpressibleByArgument {
    public init?(argument: String) { self.init(word: argument) }
}

extension PaperSize: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

/// Where pages go.
enum ScanDestination: Hashable {
    /// A file for each page: the name before and after the number, and the digits that it has.
    case numbered(before: String, digits: Int, after: String, PageFileFormat)
    /// One page, into this file.
    case single(String, PageFileFormat)
    /// All pages in one PDF.
    case book(String)
    /// One page, to standard output.
    case standardOutput(PageFileFormat)

    /// Throws `ValidationError`.
    init(path: String, format: PageFileFormat?) throws {
        guard !path.isEmpty else {
            throw ValidationError("-o needs the name of a file, as in page-%d.jpg or book.pdf, or - for standard output.")
        }
        if path == "-" {
            self = .standardOutput(format ?? .jpeg)
            return
        }
        let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        let type = name.lastIndex(of: ".").map { String(name[name.index(after: $0)...]) } ?? ""
        let named = PageFileFormat(word: type)
        guard let form = format ?? named else {
            throw ValidationError("'\(path)' does not say which kind of file to write: end it in .jpg, .png or .pdf, or add --format.")
        }
        if let named, named != form {
            throw ValidationError("'\(path)' would hold a different kind of file than its name says: leave --format out, or rename it.")
        }
        let places = path.matches(of: /%(0?[1-9]?)d/)
        guard places.count < 2 else { throw ValidationError("'\(path)' has a place for more than one number.") }
        if let place = places.first {
            self = .numbered(
                before: String(path[..<place.range.lowerBound]), digits: Int(place.output.1) ?? 1,
                after: String(path[place.range.upperBound...]), form)
        } else {
            self = form == .pdf ? .book(path) : .single(path, form)
        }
    }

    var format: PageFileFormat {
        switch self {
        case .numbered(_, _, _, let format), .single(_, let format), .standardOutput(let format): format
        case .book: .pdf
        }
    }

    /// Whether there is room for one page and no more.
    var isForOnePage: Bool {
        switch self {
        case .single, .standardOutput: true
        case .numbered, .book: false
        }
    }

    /// The media type that the scanner is asked for: pages of a PDF are pictures that we put there.
    var wantedType: String { format == .pdf ? PageFileFormat.jpeg.mediaType : format.mediaType }

    /// The file of that page, from 1; `nil` if it has none of its own.
    func path(of page: Int) -> String? {
        switch self {
        case .numbered(let before, let digits, let after, _):
            let number = String(page)
            return before + String(repeating: "0", count: max(0, digits - number.count)) + number + after
        case .single(let path, _): return path
        case .book, .standardOutput: return nil
        }
    }
}

/// A page's bytes in the form that is wanted.
enum PageContent {
    static func converted(_ bytes: [UInt8], of type: String, to format: PageFileFormat, resolution: Int?) throws -> [UInt8] {
        if type == format.mediaType { return bytes }
        switch format {
        case .pdf:
            var book = PDFBook()
            return try book.page(jpeg: try jpeg(bytes, of: type), resolution: resolution ?? 300) + book.end()
        case .jpeg: return try jpeg(bytes, of: type)
        case .png: return try picture(bytes, of: type).encoded(as: .png)
        }
    }

    static func jpeg(_ bytes: [UInt8], of type: String) throws -> [UInt8] {
        type == PageFileFormat.jpeg.mediaType ? bytes : try picture(bytes, of: type).encoded(as: .jpeg(quality: 90))
    }

    private static func picture(_ bytes: [UInt8], of type: String) throws -> Picture {
        guard type == PageFileFormat.jpeg.mediaType || type == PageFileFormat.png.mediaType else {
            throw CommandFailure("The scanner sends \(type.printable), which can't be converted here: try --format pdf.")
        }
        return try Picture(decoding: bytes)
    }
}
