// What is kept beside a conversation's bytes for a successor: which request was sent last, and how
// far its answer has been dealt with.

import ESCL
import IPPUSB
import ScannerInterface

/// Kept with a request, from the instant in which it counts as sent.
struct RequestMark: Hashable, Sendable {
    enum Kind: UInt8, Sendable {
        case document
        case createJob
        case nextPage
        case endJob
        case print
    }
    /// Counts the channel's requests from 1.
    var serial: UInt32
    var kind: Kind
    /// The page that is asked for, from 1.
    var page: UInt16 = 0
    /// The scanner's job; of what is printed the caller's name for the request.
    var path: String = ""
    /// Of what is printed: so much of the body has been handed over.
    var offset: UInt64 = 0
    /// All of the request has been.
    var isWhole = true

    private static let header = 17

    var note: [UInt8] {
        [2, kind.rawValue, UInt8(page & 0xff), UInt8(page >> 8)] + (0..<4).map { UInt8(truncatingIfNeeded: serial >> ($0 * 8)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: offset >> ($0 * 8)) } + [isWhole ? 1 : 0] + Array(path.utf8.prefix(239))
    }

    init(serial: UInt32, kind: Kind, page: Int = 0, path: String = "") {
        self.serial = serial
        self.kind = kind
        self.page = UInt16(clamping: page)
        self.path = path
    }

    /// Of a piece of what is printed.
    init(serial: UInt32, printing request: String, upTo offset: UInt64, isWhole: Bool) {
        self.init(serial: serial, kind: .print, path: request)
        self.offset = offset
        self.isWhole = isWhole
    }

    /// `nil` for what is no such note.
    init?(note: [UInt8]) {
        guard note.count >= Self.header, note[0] == 2, let kind = Kind(rawValue: note[1]) else { return nil }
        self.kind = kind
        page = UInt16(note[2]) | UInt16(note[3]) << 8
        serial = note[4..<8].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        offset = note[8..<16].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        isWhole = note[16] == 1
        path = String(decoding: note[Self.header...], as: UTF8.self)
        guard kind == .print ? PrintPiece.isName(path) : path.isEmpty || HTTPRequest.isPath(path) else { return nil }
    }
}

/// Kept with what was discarded of an answer.
struct AnswerMark: Hashable, Sendable {
    var serial: UInt32
    /// All of the answer has been dealt with.
    var isDone: Bool
    /// Where in the answer's body it stands, unless it is done.
    var parser: HTTPResponseParser?
    var contents: PageContents?

    private static let header = 8

    init(done serial: UInt32) {
        self.serial = serial
        isDone = true
    }

    init(serial: UInt32, parser: HTTPResponseParser, contents: PageContents) {
        self.serial = serial
        isDone = false
        self.parser = parser
        self.contents = contents
    }

    /// `nil` if the parser is at a place that nobody can go on from.
    var note: [UInt8]? {
        let head: [UInt8] = [1, isDone ? 1 : 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: serial >> ($0 * 8)) }
        guard !isDone else { return head }
        guard let parser = parser?.checkpoint, let contents else { return nil }
        return head + parser + contents.checkpoint
    }

    init?(note: [UInt8]) {
        guard note.count >= Self.header, note[0] == 1 else { return nil }
        serial = note[4..<8].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        isDone = note[1] == 1
        guard !isDone else { return }
        let split = Self.header + HTTPResponseParser.checkpointLength
        guard note.count == split + PageContents.checkpointLength, let contents = PageContents(checkpoint: Array(note[split...])) else {
            return nil
        }
        do throws(HTTPSyntaxError) {
            parser = try HTTPResponseParser(checkpoint: Array(note[Self.header..<split]))
        } catch {
            return nil
        }
        self.contents = contents
    }
}
