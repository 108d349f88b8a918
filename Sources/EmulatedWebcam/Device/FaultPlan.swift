// Faults on demand: what is to go wrong, and at which frame.

/// A list of faults, by text such as `error-bit@100,lost-eof@50:every,no-fid`.
public struct FaultPlan: Hashable, Sendable, CustomStringConvertible {
    /// What can go wrong.
    enum Kind: String, CaseIterable, Hashable, Sendable {
        case stall, errorBit = "error-bit", lostEnd = "lost-eof", truncate, disconnect, replug, silence
        case garbagePayload = "garbage-payload"
        case stallProbe = "stall@probe", stallCommit = "stall@commit", garbageProbe = "garbage-probe", noFrameID = "no-fid"
        case slowControl = "slow-control"

        /// Whether it happens at a frame; the others are the camera's nature, or happen at a request.
        var needsFrame: Bool {
            switch self {
            case .stall, .errorBit, .lostEnd, .truncate, .disconnect, .replug, .silence, .garbagePayload: true
            case .stallProbe, .stallCommit, .garbageProbe, .noFrameID, .slowControl: false
            }
        }

        var explanation: String {
            switch self {
            case .stall: "the streaming endpoint halts (isochronous: falls silent) until it is cleared (set up anew)"
            case .errorBit: "a payload says that it is damaged"
            case .lostEnd: "the frame's end is not marked"
            case .truncate: "half of the frame is missing, its end is marked"
            case .disconnect: "the cable is pulled"
            case .replug: "the cable is pulled, and plugged in again a second later"
            case .silence: "no endpoint answers any more, until a reset or the next connection"
            case .garbagePayload: "the frame's payloads, headers included, are noise"
            case .stallProbe: "setting the probe control is refused, once"
            case .stallCommit: "setting the commit control is refused, once"
            case .garbageProbe: "the answers to a probe are noise"
            case .noFrameID: "the frame identifier never toggles"
            case .slowControl: "each control request takes 300 ms"
            }
        }
    }

    enum Repeat: String, Hashable, Sendable {
        /// Once in the camera's life.
        case once
        /// At the frame's number and all its multiples; a request: each time.
        case every
        /// At this frame of each stream.
        case again
    }

    struct Fault: Hashable, Sendable {
        var kind: Kind
        var frame: UInt64?
        var repetition: Repeat = .once
    }

    private(set) var faults: [Fault] = []

    /// No faults.
    public init() {}

    /// A text that is no fault plan.
    public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Faults separated by commas: `NAME@FRAME[:every|:again]`, or `NAME[:every]` for those that no frame belongs to.
    public init(parsing text: String) throws(ParseError) {
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = item.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed().map(String.init).joined()
            guard !word.isEmpty else {
                if text.allSatisfy({ $0 == " " }) { return }
                throw Self.refusal("There is an empty fault in \"\(text)\".")
            }
            faults.append(try Self.fault(word))
        }
    }

    private static func fault(_ word: String) throws(ParseError) -> Fault {
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        var repetition = Repeat.once
        if parts.count > 1 {
            guard parts.count == 2, let known = Repeat(rawValue: String(parts[1])), known != .once else {
                throw refusal("\"\(word)\" repeats in no known way: it is :every or :again.")
            }
            repetition = known
        }
        let name = String(parts[0])
        if let kind = Kind(rawValue: name), !kind.needsFrame {
            guard repetition != .again else { throw refusal("\"\(name)\" belongs to no frame, so it can't happen :again.") }
            return Fault(kind: kind, frame: nil, repetition: repetition)
        }
        let halves = name.split(separator: "@", omittingEmptySubsequences: false)
        guard let kind = Kind(rawValue: String(halves[0])) else { throw refusal("There is no fault \"\(name)\".") }
        guard kind.needsFrame else { throw refusal("\"\(kind.rawValue)\" belongs to no frame.") }
        guard halves.count == 2, let frame = UInt64(halves[1]), frame < 1 << 48 else {
            throw refusal("\"\(word)\" needs a frame number, as in \(kind.rawValue)@100.")
        }
        guard repetition != .every || frame > 0 else { throw refusal("\"\(word)\" would happen at every multiple of 0.") }
        return Fault(kind: kind, frame: frame, repetition: repetition)
    }

    private static func refusal(_ reason: String) -> ParseError {
        ParseError(description: "\(reason) Faults are:\n\(documentation)")
    }

    /// What exists, one fault a line.
    public static var documentation: String {
        let lines = Kind.allCases.map { kind in
            let name = kind.needsFrame ? kind.rawValue + "@N" : kind.rawValue
            return "  " + name + String(repeating: " ", count: max(1, 20 - name.count)) + kind.explanation
        }
        return lines.joined(separator: "\n")
            + "\nN is a frame's number. It happens once; with :every at all multiples of N, with :again at frame N of each stream."
    }

    /// The text that makes this plan.
    public var description: String {
        faults.map { fault in
            fault.kind.rawValue + (fault.frame.map { "@\($0)" } ?? "") + (fault.repetition == .once ? "" : ":\(fault.repetition.rawValue)")
        }.joined(separator: ",")
    }
}

/// A plan at work: which of its single faults have happened.
struct FaultRun {
    private let plan: FaultPlan
    private var spent: Set<Int> = []

    init(_ plan: FaultPlan) { self.plan = plan }

    /// Whether a lasting fault is in the plan.
    func has(_ kind: FaultPlan.Kind) -> Bool { plan.faults.contains { $0.kind == kind } }

    /// Whether a fault that belongs to a request happens now; uses it up.
    mutating func strikes(_ kind: FaultPlan.Kind) -> Bool {
        for (index, fault) in plan.faults.enumerated() where fault.kind == kind && !spent.contains(index) {
            if fault.repetition == .once { spent.insert(index) }
            return true
        }
        return false
    }

    /// The faults of the frames from `first` to `last`: of those that nobody fetched, only what would still matter (an unplugging, a silence).
    mutating func take(from first: UInt64, through last: UInt64) -> Set<FaultPlan.Kind> {
        var struck: Set<FaultPlan.Kind> = []
        for (index, fault) in plan.faults.enumerated() where !spent.contains(index) {
            guard let frame = fault.frame else { continue }
            let due =
                switch fault.repetition {
                case .once, .again: frame >= first && frame <= last
                case .every: last / frame * frame >= max(first, frame)
                }
            guard due else { continue }
            let exact = fault.repetition == .every ? last % frame == 0 : frame == last
            let lasting = [.disconnect, .replug, .silence, .stall].contains(fault.kind)
            guard exact || lasting || fault.repetition == .once else { continue }
            if fault.repetition == .once { spent.insert(index) }
            // A fault of a frame that was lost strikes the next one that is sent, when it was to happen only once.
            struck.insert(fault.kind)
        }
        return struck
    }
}
