// YAML into nodes, by libyaml: one document without anchors, aliases and tags, of bounded size, depth and number of parts.

import CYAML

/// Why a text is not taken, and where.
struct YAMLError: Error, CustomStringConvertible {
    var problem: String
    /// Counted from 1.
    var line: Int

    var description: String { "line \(line): \(problem)" }
}

/// Reads libyaml's events. Its parser is a state machine that does not recurse; building nodes recurses `maximumDepth` deep.
struct YAMLReader: ~Copyable {
    static let maximumBytes = 64 << 10
    /// libyaml looks back over a line for what may be a key, and over the brackets that are open.
    static let maximumLineBytes = 400
    static let maximumFlowOpeners = 1000
    static let maximumNodes = 10_000
    static let maximumDepth = 24

    /// On the heap, since it points at itself.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private var nodes = 0

    /// The document's root, `nil` if there is none.
    static func read(_ bytes: [UInt8]) throws(YAMLError) -> YAMLNode? {
        try check(bytes)
        let result = bytes.withUnsafeBufferPointer { buffer -> Result<YAMLNode?, YAMLError> in
            do throws(YAMLError) {
                var reader = try YAMLReader(borrowing: buffer)
                return .success(try reader.document())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Bounds on what libyaml is shown.
    private static func check(_ bytes: [UInt8]) throws(YAMLError) {
        guard bytes.count <= maximumBytes else { throw YAMLError(problem: "the file is larger than \(maximumBytes) bytes", line: 1) }
        var openers = 0
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            guard line.count <= maximumLineBytes else {
                throw YAMLError(problem: "the line is longer than \(maximumLineBytes) bytes", line: index + 1)
            }
            openers += line.count { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }
            guard openers <= maximumFlowOpeners else { throw YAMLError(problem: "too many brackets", line: index + 1) }
            guard String(validating: line, as: UTF8.self) != nil, !line.contains(0) else {
                throw YAMLError(problem: "the line is not UTF-8 text", line: index + 1)
            }
        }
    }

    /// `bytes` must stay where they are for the reader's life.
    private init(borrowing bytes: UnsafeBufferPointer<UInt8>) throws(YAMLError) {
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        guard yaml_parser_initialize(parser) == 1 else { throw YAMLError(problem: "libyaml has no memory", line: 1) }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    private mutating func document() throws(YAMLError) -> YAMLNode? {
        _ = try next()
        guard case .documentStart = try next().kind else { return nil }
        let root = try node(try next(), depth: 0)
        _ = try next()
        let last = try next()
        guard case .streamEnd = last.kind else { throw YAMLError(problem: "a second document begins", line: last.line) }
        return root
    }

    private mutating func node(_ event: Event, depth: Int) throws(YAMLError) -> YAMLNode {
        nodes += 1
        guard nodes <= Self.maximumNodes else {
            throw YAMLError(problem: "the file has more than \(Self.maximumNodes) parts", line: event.line)
        }
        guard depth <= Self.maximumDepth else {
            throw YAMLError(problem: "parts nest deeper than \(Self.maximumDepth) levels", line: event.line)
        }
        switch event.kind {
        case .scalar(let text, let isPlain): return YAMLNode(content: .scalar(text, isPlain: isPlain), line: event.line)
        case .listStart:
            var entries: [YAMLNode] = []
            while true {
                let next = try next()
                if case .end = next.kind { return YAMLNode(content: .list(entries), line: event.line) }
                entries.append(try node(next, depth: depth + 1))
            }
        case .mappingStart:
            var members: [(key: String, value: YAMLNode)] = []
            var keys: Set<String> = []
            while true {
                let next = try next()
                if case .end = next.kind { return YAMLNode(content: .mapping(members), line: event.line) }
                guard let key = try node(next, depth: depth + 1).text else {
                    throw YAMLError(problem: "a name is not plain text", line: next.line)
                }
                guard keys.insert(key).inserted else {
                    throw YAMLError(problem: "a name occurs a second time", line: next.line)
                }
                members.append((key, try node(try self.next(), depth: depth + 1)))
            }
        case .alias: throw YAMLError(problem: "anchors and aliases are not allowed", line: event.line)
        case .tagged: throw YAMLError(problem: "tags are not allowed", line: event.line)
        case .documentStart, .streamEnd, .end, .other: throw YAMLError(problem: "a value is missing", line: event.line)
        }
    }

    // MARK: Events

    private struct Event {
        enum Kind {
            case documentStart, streamEnd
            case scalar(String, isPlain: Bool)
            case listStart, mappingStart
            /// Of a list or a mapping.
            case end
            /// Or something with an anchor.
            case alias
            case tagged
            case other
        }
        var kind: Kind
        var line: Int
    }

    private mutating func next() throws(YAMLError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else {
            // Both are sentences of libyaml's own; nothing of the text stands in them.
            let problem = parser.pointee.problem.map { String(cString: $0) } ?? "it can't be read"
            let context = parser.pointee.context.map { String(cString: $0) + ", " } ?? ""
            throw YAMLError(problem: context + problem, line: Self.line(parser.pointee.problem_mark))
        }
        defer { yaml_event_delete(&event) }
        return Event(kind: Self.kind(event), line: Self.line(event.start_mark))
    }

    private static func kind(_ event: yaml_event_t) -> Event.Kind {
        switch event.type {
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_STREAM_END_EVENT: return .streamEnd
        case YAML_ALIAS_EVENT: return .alias
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .end
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            return start.anchor != nil ? .alias : start.tag != nil ? .tagged : .listStart
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            return start.anchor != nil ? .alias : start.tag != nil ? .tagged : .mappingStart
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            if scalar.anchor != nil { return .alias }
            if scalar.tag != nil { return .tagged }
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return .scalar(String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
        default: return .other
        }
    }

    private static func line(_ mark: yaml_mark_t) -> Int { Int(clamping: mark.line) &+ 1 }
}
