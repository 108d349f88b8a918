// Requests of HTTP/1.1 as they come out of a pipe, piece by piece (RFC 9112).

import CDigest

/// Of bytes that are not kept.
struct HTTPBodyDigest: Sendable {
    private var state = cdigest_sha256()

    init() { cdigest_sha256_begin(&state) }

    mutating func update(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { if $0.count > 0 { cdigest_sha256_update(&state, $0.baseAddress, $0.count) } }
    }

    /// 64 hexadecimal digits.
    var text: String {
        var result = [UInt8](repeating: 0, count: 32)
        withUnsafePointer(to: state) { cdigest_sha256_end($0, &result) }
        return result.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// A request that has come in whole.
struct HTTPRequest: Hashable, Sendable {
    var method: String
    /// Without the query, and without `http://host` where it was there.
    var path: String
    /// Names in lower case.
    var fields: [(name: String, value: String)] = []
    /// At most ``HTTPLimits/keptBody`` bytes of it.
    var body: [UInt8] = []
    /// How long the body was.
    var bodyLength = 0
    /// SHA-256 of all of the body.
    var digest = HTTPBodyDigest()

    subscript(_ name: String) -> String? { fields.first { $0.name == name }?.value }

    static func == (left: HTTPRequest, right: HTTPRequest) -> Bool {
        left.method == right.method && left.path == right.path && left.body == right.body && left.bodyLength == right.bodyLength
            && left.fields.elementsEqual(right.fields) { $0 == $1 }
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(method)
        hasher.combine(path)
        hasher.combine(body)
    }
}

enum HTTPLimits {
    /// Of the request line.
    static let line = 8 << 10
    /// Of request line and fields together.
    static let head = 16 << 10
    /// Of a body: what is kept; a document that is printed goes on beyond it and is thrown away.
    static let keptBody = 64 << 10
    static let body = 256 << 20
}

/// What a parser has found next.
enum HTTPInput: Hashable, Sendable {
    case request(HTTPRequest)
    /// The client waits for `100 Continue` before it sends its body.
    case expectsContinue
    /// Answered with this status. What had come in behind it is gone, and the next transfer begins a
    /// request.
    case refused(Int)
}

/// Takes bytes as they come; gives requests one after the other.
struct HTTPRequestParser: Sendable {
    private enum Part: Hashable {
        case head
        case length(left: Int)
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailer
    }

    private var bytes: [UInt8] = []
    /// How much of `bytes` has been used.
    private var used = 0
    private var part = Part.head
    private var request = HTTPRequest(method: "", path: "")

    /// Bytes that wait.
    var waiting: Int { bytes.count - used }

    /// Whether a request has begun and not ended.
    var isInRequest: Bool { waiting > 0 || part != .head }

    mutating func take(_ data: UnsafeRawBufferPointer) { bytes.append(contentsOf: data) }

    /// The next thing that has come in whole; `nil` as long as more has to come.
    mutating func next() -> HTTPInput? {
        defer {
            if used > 0, used >= bytes.count || used > 64 << 10 {
                bytes.removeFirst(used)
                used = 0
            }
        }
        while true {
            let wasUsed = used
            let wasPart = part
            if let input = step() {
                if case .refused = input { self = HTTPRequestParser() }
                return input
            }
            if used == wasUsed, part == wasPart { return nil }
        }
    }

    private mutating func step() -> HTTPInput? {
        switch part {
        case .head: return head()
        case .length(let left):
            part = .length(left: left - body(left))
            return part == .length(left: 0) ? finish() : nil
        case .chunkSize:
            guard let line = line(limit: 1024) else { return waiting > 1024 ? .refused(400) : nil }
            guard let size = Self.chunkSize(line), request.bodyLength + size <= HTTPLimits.body else { return .refused(400) }
            part = size == 0 ? .trailer : .chunk(left: size)
            return nil
        case .chunk(let left):
            let count = body(left)
            part = count == left ? .chunkEnd : .chunk(left: left - count)
            return nil
        case .chunkEnd:
            guard let line = line(limit: 2) else { return waiting > 2 ? .refused(400) : nil }
            guard line.isEmpty else { return .refused(400) }
            part = .chunkSize
            return nil
        case .trailer:
            guard let line = line(limit: 1024) else { return waiting > 1024 ? .refused(400) : nil }
            return line.isEmpty ? finish() : nil
        }
    }

    private mutating func finish() -> HTTPInput {
        defer {
            part = .head
            request = HTTPRequest(method: "", path: "")
        }
        return .request(request)
    }

    /// Moves up to `most` bytes to the body; how many.
    private mutating func body(_ most: Int) -> Int {
        let count = min(most, waiting)
        let kept = min(count, HTTPLimits.keptBody - request.body.count)
        request.body += bytes[used..<used + kept]
        request.digest.update(bytes[used..<used + count])
        request.bodyLength += count
        used += count
        return count
    }

    /// Up to the next line feed; `nil` if none has come yet.
    private mutating func line(limit: Int) -> ArraySlice<UInt8>? {
        guard let end = bytes[used...].prefix(limit + 2).firstIndex(of: 0x0a) else { return nil }
        defer { used = end + 1 }
        return bytes[used..<(end > used && bytes[end - 1] == 0x0d ? end - 1 : end)]
    }

    private static func chunkSize(_ line: ArraySlice<UInt8>) -> Int? {
        let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 }
        guard (1...7).contains(digits.count) else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: 16).flatMap { $0 >= 0 ? $0 : nil }
    }

    // MARK: The head

    private mutating func head() -> HTTPInput? {
        // Empty lines before a request are passed over (RFC 9112 §2.2).
        while waiting > 0, bytes[used] == 0x0d || bytes[used] == 0x0a { used += 1 }
        guard waiting > 0 else { return nil }
        guard let end = headEnd() else {
            let first = bytes[used...].firstIndex(of: 0x0a)
            if (first ?? bytes.count) - used > HTTPLimits.line { return .refused(414) }
            return waiting > HTTPLimits.head ? .refused(431) : nil
        }
        guard end - used <= HTTPLimits.head else { return .refused(431) }
        let lines = bytes[used..<end].split(separator: 0x0a, omittingEmptySubsequences: true).map { line in
            line.last == 0x0d ? line.dropLast() : line
        }.filter { !$0.isEmpty }
        used = end
        if let status = readHead(lines) { return .refused(status) }
        return bodyFollows()
    }

    /// Behind the empty line that ends the head.
    private func headEnd() -> Int? {
        var position = used
        while let feed = bytes[position...].firstIndex(of: 0x0a) {
            let next = feed + 1
            if next < bytes.count, bytes[next] == 0x0a { return next + 1 }
            if next + 1 < bytes.count, bytes[next] == 0x0d, bytes[next + 1] == 0x0a { return next + 2 }
            position = next
        }
        return nil
    }

    /// A status where the head is refused.
    private mutating func readHead(_ lines: [ArraySlice<UInt8>]) -> Int? {
        guard let first = lines.first else { return 400 }
        guard first.count <= HTTPLimits.line else { return 414 }
        let words = first.split(separator: 0x20, omittingEmptySubsequences: false)
        guard words.count == 3, !words[0].isEmpty, words[0].allSatisfy(Self.isToken), !words[1].isEmpty,
            words[1].allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { return 400 }
        let version = String(decoding: words[2], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else { return version.hasPrefix("HTTP/") ? 505 : 400 }
        request = HTTPRequest(method: String(decoding: words[0], as: UTF8.self), path: Self.path(words[1]))
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy(Self.isToken)
            else { return 400 }
            let value = line[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
            let end = value.lastIndex { $0 != 0x20 && $0 != 0x09 }.map { $0 + 1 } ?? value.startIndex
            guard value[..<end].allSatisfy({ $0 >= 0x20 || $0 == 0x09 }) else { return 400 }
            request.fields.append(
                (String(decoding: line[..<colon], as: UTF8.self).lowercased(), String(decoding: value[..<end], as: UTF8.self)))
        }
        guard version == "HTTP/1.0" || request["host"] != nil else { return 400 }
        return nil
    }

    private mutating func bodyFollows() -> HTTPInput? {
        let expects = request["expect"]?.lowercased() == "100-continue"
        if let encoding = request["transfer-encoding"] {
            guard encoding.lowercased() == "chunked" else { return .refused(501) }
            guard request["content-length"] == nil else { return .refused(400) }
            part = .chunkSize
        } else if let text = request["content-length"] {
            guard let length = Int(text), length >= 0, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                request.fields.allSatisfy({ $0.name != "content-length" || $0.value == text })
            else { return .refused(400) }
            guard length <= HTTPLimits.body else { return .refused(413) }
            if length == 0 { return finish() }
            part = .length(left: length)
        } else if request.method == "POST" || request.method == "PUT" {
            return .refused(411)
        } else {
            return finish()
        }
        return expects ? .expectsContinue : nil
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "!"), 0x23...0x27, UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), 0x5e...0x60,
            UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    private static func path(_ target: ArraySlice<UInt8>) -> String {
        var rest = target
        let scheme = Array("http://".utf8)
        if rest.starts(with: scheme) {
            rest = rest.dropFirst(scheme.count).drop { $0 != UInt8(ascii: "/") }
            if rest.isEmpty { return "/" }
        }
        return String(decoding: rest.prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
    }
}
