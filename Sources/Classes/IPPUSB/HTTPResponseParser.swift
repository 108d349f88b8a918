// Reads HTTP/1.1 responses out of a channel's bytes, a piece at a time. A pure state machine.

/// Takes bytes as they come, in pieces of any size, and says what they are. Bounded: it keeps a
/// head's bytes and nothing of a body.
///
/// Over USB no connection ends, so a response ends by its own length or chunks. Where it has
/// neither, one that is a page or a document is over when nothing more comes (`mayBeOver`,
/// `finish`), any other has no body.
///
/// Tolerant where devices are wrong and nothing is at stake: line ends without CR, empty lines and
/// foreign bytes before a response, folded headers, chunk extensions, interim responses (100).
public struct HTTPResponseParser: Hashable, Sendable {
    public enum Event: Hashable, Sendable {
        /// The final response's.
        case head(HTTPHead)
        /// Where in the piece the body's bytes are.
        case body(Range<Int>)
        /// The response is over. What follows belongs to another.
        case end
    }

    public static let longestHead = 64 << 10
    /// Bytes that are passed over before a response.
    public static let mostForeignBytes = 4 << 20
    static let longestBody = UInt64(1) << 40
    private static let longestLine = 256

    enum Phase: UInt8 {
        /// Until a line that begins a response.
        case start
        case head
        /// `left` bytes.
        case counted
        case chunkSize
        /// `left` bytes of a chunk.
        case chunk
        /// The line end behind a chunk.
        case chunkEnd
        case trailer
        /// Until nothing more comes.
        case unframed
        case over
    }

    private(set) var phase = Phase.start
    private var left: UInt64 = 0
    private var line: [UInt8] = []
    /// Of trailers, and of lines without their ends.
    private var lineBytes = 0
    /// What was passed over before the response.
    public private(set) var foreignBytes = 0
    /// Bytes of the body that it has seen.
    public private(set) var bodyLength: UInt64 = 0
    /// Of the final response, once its head is there.
    public private(set) var status: Int?
    /// How long the body will be, where the head says so.
    public private(set) var expectedLength: UInt64?

    public init() {}

    /// It is over if nothing more comes: a body whose end nothing tells, or one in chunks of which
    /// only the last empty line is missing, which some devices leave out.
    public var mayBeOver: Bool { phase == .unframed || phase == .trailer && line.isEmpty && lineBytes == 0 }
    public var isOver: Bool { phase == .over }
    /// Nothing of a response has come.
    public var isUntouched: Bool { phase == .start && line.isEmpty && foreignBytes == 0 }

    /// The next event of the piece, from `position` on, which it moves; `nil` at the piece's end.
    public mutating func next(in bytes: [UInt8], at position: inout Int) throws(HTTPSyntaxError) -> Event? {
        while position < bytes.count || (phase == .counted || phase == .chunk) && left == 0 {
            switch phase {
            case .start: try takeStart(bytes, &position)
            case .head: if let event = try takeHead(bytes, &position) { return event }
            case .counted:
                if left == 0 { return end() }
                return body(in: bytes, at: &position)
            case .chunk:
                if left > 0 { return body(in: bytes, at: &position) }
                phase = .chunkEnd
            case .chunkSize: if try takeLine(bytes, &position, longest: Self.longestLine) { try readChunkSize() }
            case .chunkEnd:
                if try takeLine(bytes, &position, longest: Self.longestLine) {
                    guard line.isEmpty else { throw HTTPSyntaxError.chunk }
                    phase = .chunkSize
                }
            case .trailer:
                if try takeLine(bytes, &position, longest: Self.longestHead) {
                    let isLast = line.isEmpty
                    lineBytes += line.count
                    line = []
                    guard lineBytes <= Self.longestHead else { throw HTTPSyntaxError.headTooLarge }
                    if isLast { return end() }
                }
            case .unframed:
                left = .max
                return body(in: bytes, at: &position)
            case .over: return nil
            }
        }
        return nil
    }

    /// Nothing more comes: a response that may be over is. False for one that is in the middle.
    public mutating func finish() -> Bool {
        guard mayBeOver || phase == .over else { return false }
        phase = .over
        return true
    }

    // MARK: Lines

    /// Up to the end of a line; true when `line` has all of it, without its end.
    private mutating func takeLine(_ bytes: [UInt8], _ position: inout Int, longest: Int) throws(HTTPSyntaxError) -> Bool {
        let end = bytes[position...].firstIndex(of: 0x0a)
        line += bytes[position..<(end ?? bytes.count)].prefix(longest + 1)
        position = end.map { $0 + 1 } ?? bytes.count
        guard line.count <= longest else {
            throw phase == .trailer || phase == .head ? HTTPSyntaxError.headTooLarge : HTTPSyntaxError.chunk
        }
        guard end != nil else { return false }
        if line.last == 0x0d { line.removeLast() }
        return true
    }

    private static let opening = Array("HTTP/1.".utf8)

    /// Passes over what is no beginning of a response: what a process before this one did not read.
    private mutating func takeStart(_ bytes: [UInt8], _ position: inout Int) throws(HTTPSyntaxError) {
        while position < bytes.count, line.count < Self.opening.count {
            line.append(bytes[position])
            position += 1
            while !line.elementsEqual(Self.opening.prefix(line.count)) {
                // An empty line before a response is nothing foreign (RFC 9112 §2.2).
                if line[0] != 0x0d, line[0] != 0x0a { foreignBytes += 1 }
                line.removeFirst()
            }
            guard foreignBytes <= Self.mostForeignBytes else { throw HTTPSyntaxError.noResponse }
        }
        if line.count == Self.opening.count { (phase, left) = (.head, 0) }
    }

    // MARK: Heads

    /// Collects the head in `line`, to the empty line behind it.
    private mutating func takeHead(_ bytes: [UInt8], _ position: inout Int) throws(HTTPSyntaxError) -> Event? {
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            line.append(byte)
            guard line.count <= Self.longestHead else { throw HTTPSyntaxError.headTooLarge }
            guard byte == 0x0a, line.hasSuffix([0x0a, 0x0a]) || line.hasSuffix([0x0a, 0x0d, 0x0a]) else { continue }
            let head = try Self.head(line)
            line = []
            if 100..<200 ~= head.status, head.status != 101 {
                phase = .start
                return nil
            }
            try frame(head)
            return .head(head)
        }
        return nil
    }

    private static func head(_ bytes: [UInt8]) throws(HTTPSyntaxError) -> HTTPHead {
        var lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false).map { line in
            line.last == 0x0d ? line.dropLast() : line
        }
        let parts = lines.removeFirst().split(separator: 0x20, maxSplits: 2)
        guard parts.count > 1, parts[0].count == opening.count + 1, parts[1].count == 3,
            let status = Int(String(decoding: parts[1], as: UTF8.self)), status >= 100
        else {
            throw HTTPSyntaxError.header
        }
        var head = HTTPHead(status: status)
        for line in lines where !line.isEmpty {
            if line[line.startIndex] == 0x20 || line[line.startIndex] == 0x09 {
                // Folded (RFC 9112 §5.2).
                guard !head.headers.isEmpty else { throw HTTPSyntaxError.header }
                head.headers[head.headers.count - 1].value += " " + text(line)
                continue
            }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex, head.headers.count < 256 else {
                throw HTTPSyntaxError.header
            }
            head.headers.append(.init(name: text(line[..<colon]).lowercased(), value: text(line[(colon + 1)...])))
        }
        return head
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        var bytes = bytes
        while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
        while let first = bytes.first, first <= 0x20 { bytes.removeFirst() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What ends the body.
    private mutating func frame(_ head: HTTPHead) throws(HTTPSyntaxError) {
        status = head.status
        (bodyLength, expectedLength, left) = (0, nil, 0)
        if head.status == 204 || head.status == 304 {
            phase = .counted
        } else if head.isChunked {
            phase = .chunkSize
        } else if let length = try head.contentLength() {
            (phase, left, expectedLength) = (.counted, length, length)
        } else {
            phase = head.status == 200 ? .unframed : .counted
        }
    }

    // MARK: Bodies

    private mutating func body(in bytes: [UInt8], at position: inout Int) -> Event {
        let count = Int(min(UInt64(bytes.count - position), left))
        let range = position..<(position + count)
        position += count
        left -= UInt64(count)
        bodyLength += UInt64(count)
        return .body(range)
    }

    private mutating func end() -> Event {
        phase = .over
        line = []
        return .end
    }

    private mutating func readChunkSize() throws(HTTPSyntaxError) {
        let digits = line.prefix { $0 != UInt8(ascii: ";") }.filter { $0 > 0x20 }
        guard 1...16 ~= digits.count, let size = UInt64(String(decoding: digits, as: UTF8.self), radix: 16), digits[0] != UInt8(ascii: "+"),
            size <= Self.longestBody
        else { throw HTTPSyntaxError.chunk }
        line = []
        (phase, left, lineBytes) = size == 0 ? (.trailer, 0, 0) : (.chunk, size, 0)
    }

    // MARK: Going on in the middle

    public static let checkpointLength = 48

    /// Everything it must remember between two pieces while in a body; `nil` in a header, whose
    /// bytes are few enough to be kept and parsed again.
    public var checkpoint: [UInt8]? {
        switch phase {
        case .start, .head: return nil
        case .counted, .chunk, .unframed, .over: break
        case .chunkSize, .chunkEnd, .trailer: guard line.count <= 16 else { return nil }
        }
        var result: [UInt8] = [phase.rawValue, UInt8(line.count), UInt8(expectedLength == nil ? 0 : 1), 0]
        result += Self.bytes(UInt64(status ?? 0), 4) + Self.bytes(left, 8) + Self.bytes(bodyLength, 8) + Self.bytes(expectedLength ?? 0, 8)
        return result + line + [UInt8](repeating: 0, count: 16 - line.count)
    }

    /// Goes on where another one made that checkpoint. It lay in memory that others can write:
    /// whatever it says, nothing traps.
    public init(checkpoint: [UInt8]) throws(HTTPSyntaxError) {
        guard checkpoint.count == Self.checkpointLength, let phase = Phase(rawValue: checkpoint[0]), phase != .start, phase != .head,
            checkpoint[1] <= 16
        else { throw HTTPSyntaxError.checkpoint }
        self.phase = phase
        status = Int(Self.number(checkpoint[4..<8]))
        left = Self.number(checkpoint[8..<16])
        bodyLength = Self.number(checkpoint[16..<24])
        expectedLength = checkpoint[2] == 1 ? Self.number(checkpoint[24..<32]) : nil
        line = Array(checkpoint[32..<(32 + Int(checkpoint[1]))])
        guard left <= Self.longestBody || phase == .unframed, bodyLength <= Self.longestBody else { throw HTTPSyntaxError.checkpoint }
    }

    private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
    }
    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
}

extension [UInt8] {
    fileprivate func hasSuffix(_ bytes: [UInt8]) -> Bool { suffix(bytes.count).elementsEqual(bytes) }
}
