// Faults on demand: what is to go wrong with a scanner, and where.

/// A list of faults, by text such as `jam@3,stall@20000,location-https`.
public struct ScannerFaults: Hashable, Sendable, CustomStringConvertible {
    /// What can go wrong.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        case jam
        case coverOpen = "cover-open"
        case cut
        case stall, silence, unplug, replug
        case stale
        case busy
        case notReady = "not-ready"
        case gone = "gone"
        case earlyNotFound = "early-404"
        case emptyAsJam = "empty-as-jam"
        case otherHost = "location-host"
        case secureLocation = "location-https"
        case relativeLocation = "location-relative"
        case missingLocation = "location-missing"
        case gzip
        case otherPrefixes = "prefixes"
        case resolutionRange = "resolution-range"
        case continueFirst = "continue-first"
        case createdWithoutLength = "created-without-length"
        case noLastLine = "no-last-line"
        case documentType = "doctype"
        case jpegForPNG = "jpeg-for-png"

        /// What its number means.
        enum Number: Hashable, Sendable {
            /// None: the scanner is made so.
            case none
            case sheet
            /// A byte of a page's body, as it is sent.
            case byte
            /// How often; without a number, always.
            case times
            case bytes
        }

        var number: Number {
            switch self {
            case .jam, .coverOpen, .cut: .sheet
            case .stall, .silence, .unplug, .replug: .byte
            case .stale: .bytes
            case .busy, .notReady, .gone, .earlyNotFound: .times
            default: .none
            }
        }

        /// Whether it may stand without its number.
        var isNumberOptional: Bool { number == .none || number == .times || self == .coverOpen }

        var explanation: String {
            switch self {
            case .jam: "sheet K gets stuck; it is back on the stack when the job has ended"
            case .coverOpen: "the cover is open: always, or from sheet K to the job's end"
            case .cut: "half of sheet K's picture, in answers that end properly"
            case .stall: "at byte N of a page the endpoint halts, until it is cleared"
            case .silence: "at byte N of a page the scanner stops answering, until a reset"
            case .unplug: "at byte N of a page the cable is pulled"
            case .replug: "the same, and it is plugged in again a second later"
            case .stale: "each pipe starts with N bytes of an old answer"
            case .busy: "ScanJobs is answered with 503, N times or always"
            case .notReady: "NextDocument is answered with 503, N times a job"
            case .gone: "NextDocument is answered with 410 before a page is ready, N times a job"
            case .earlyNotFound: "NextDocument is answered with 404 before a page is ready, N times a job"
            case .emptyAsJam: "the feeder's end is reported as a jam"
            case .otherHost: "Location names a host that nobody knows"
            case .secureLocation: "Location says https"
            case .relativeLocation: "Location is relative to /eSCL"
            case .missingLocation: "no Location; ScannerStatus lists the job"
            case .gzip: "capabilities come compressed, whether or not that was accepted"
            case .otherPrefixes: "other XML prefixes than the usual ones, and a default namespace"
            case .resolutionRange: "a range of resolutions instead of a list"
            case .continueFirst: "100 Continue before 201, which nobody asked for"
            case .createdWithoutLength: "201 does not say how long its body is"
            case .noLastLine: "chunked bodies end without the last empty line"
            case .documentType: "each XML text has a DOCTYPE"
            case .jpegForPNG: "PNG is announced but JPEG sent"
            }
        }
    }

    public struct Fault: Hashable, Sendable {
        public var kind: Kind
        public var number: Int?
        public init(_ kind: Kind, _ number: Int? = nil) {
            self.kind = kind
            self.number = number
        }
    }

    public var faults: [Fault] = []

    /// No faults.
    public init(_ faults: [Fault] = []) { self.faults = faults }

    /// A text that is not a list of faults.
    public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Faults separated by commas, `NAME` or `NAME@NUMBER`.
    public init(parsing text: String) throws(ParseError) {
        guard !text.allSatisfy({ $0 == " " }) else { return }
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = item.filter { $0 != " " }
            let halves = word.split(separator: "@", omittingEmptySubsequences: false)
            guard let name = halves.first, halves.count <= 2, let kind = Kind(rawValue: String(name)) else {
                throw Self.refusal("There is no fault \"\(word)\".")
            }
            guard halves.count == 2 else {
                guard kind.isNumberOptional else { throw Self.refusal("\"\(word)\" needs a number, as in \(word)@2.") }
                faults.append(Fault(kind))
                continue
            }
            guard kind.number != .none else { throw Self.refusal("\"\(name)\" is permanent: it takes no number.") }
            guard let number = Int(halves[1]), (kind.number == .byte ? 0 : 1)...(1 << 30) ~= number else {
                throw Self.refusal("\"\(word)\" needs a number from 1 up, as in \(name)@2.")
            }
            faults.append(Fault(kind, number))
        }
    }

    private static func refusal(_ reason: String) -> ParseError {
        ParseError(description: "\(reason) Faults are:\n\(documentation)")
    }

    /// What exists, one fault a line.
    public static var documentation: String {
        let lines = Kind.allCases.map { kind in
            let letter =
                switch kind.number {
                case .none: ""
                case .sheet: "@K"
                default: "@N"
                }
            let name = kind.rawValue + (letter.isEmpty || !kind.isNumberOptional ? letter : "[\(letter)]")
            return "  " + name + String(repeating: " ", count: max(1, 24 - name.count)) + kind.explanation
        }
        return lines.joined(separator: "\n")
            + "\nK is a sheet's number, counted from 1 in the order in which sheets leave the feeder; 0 is the platen's."
    }

    /// The text that makes this list.
    public var description: String {
        faults.map { $0.kind.rawValue + ($0.number.map { "@\($0)" } ?? "") }.joined(separator: ",")
    }

    /// Whether the scanner is made so.
    func has(_ kind: Kind) -> Bool { faults.contains { $0.kind == kind } }

    func has(_ kind: Kind, _ number: Int) -> Bool { faults.contains { $0.kind == kind && $0.number == number } }

    /// The number of the first such fault; `always` where it has none.
    func number(_ kind: Kind, always: Int = .max) -> Int? {
        faults.first { $0.kind == kind }.map { $0.number ?? always }
    }

    /// A fault that has happened.
    mutating func remove(_ kind: Kind, _ number: Int?) {
        guard let index = faults.firstIndex(of: Fault(kind, number)) else { return }
        faults.remove(at: index)
    }
}
