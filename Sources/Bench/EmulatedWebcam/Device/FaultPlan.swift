// Faults on demand: what is to go wrong, and at which frame.

/// A list of faults, by text such as `error-bit@100,lost-eof@50:every,stall@commit,no-fid`.
public struct FaultPlan: Hashable, Sendable, CustomStringConvertible {
    /// What can go wrong.
    enum Kind: String, CaseIterable, Hashable, Sendable {
        case stall, silence, disconnect, replug, garbage
        case errorBit = "error-bit", lostEnd = "lost-eof", truncate
        case garbagePayload = "garbage-payload"
        case noFrameID = "no-fid", slowControl = "slow-control"
        case strayFrameID = "stray-fid", noEnd = "no-eof", strayEnd = "stray-eof"
        case noEndOfImage = "no-eoi", junkTail = "junk-tail", zeroTail = "zero-tail"
        case shortFrame = "short-frame", longFrame = "long-frame", boundlessPayload = "boundless-payload"
        case silentControl = "silent-control", swappedRange = "swapped-range"
        case probe26 = "probe-26", probe34 = "probe-34", narrowBus = "narrow-bus", fullBus = "full-bus"

        /// Whether it can happen at a frame.
        var hasFrame: Bool {
            switch self {
            case .stall, .silence, .disconnect, .replug, .errorBit, .lostEnd, .truncate, .garbagePayload: true
            case .garbage: false
            case .noFrameID, .slowControl, .strayFrameID, .noEnd, .strayEnd, .noEndOfImage, .junkTail, .zeroTail, .shortFrame, .longFrame,
                .boundlessPayload, .silentControl, .swappedRange, .probe26, .probe34, .narrowBus, .fullBus:
                false
            }
        }

        /// Whether it is the nature of one control.
        var hasControl: Bool { self == .silentControl || self == .swappedRange }

        /// Whether it can happen at a request of this phase. What neither has a frame nor a phase is the camera's nature.
        func happens(at phase: Phase) -> Bool {
            switch self {
            case .stall, .silence, .disconnect, .replug: true
            // Where the camera says something.
            case .garbage: phase == .enumerate || phase == .open || phase == .probe
            case .errorBit, .lostEnd, .truncate, .garbagePayload: false
            case .noFrameID, .slowControl, .strayFrameID, .noEnd, .strayEnd, .noEndOfImage, .junkTail, .zeroTail, .shortFrame, .longFrame,
                .boundlessPayload, .silentControl, .swappedRange, .probe26, .probe34, .narrowBus, .fullBus:
                false
            }
        }

        var hasPhase: Bool { Phase.allCases.contains { happens(at: $0) } }

        var explanation: String {
            switch self {
            case .stall:
                "the request is refused; at a frame: the endpoint halts (isochronous: falls silent) until it is cleared (set up again)"
            case .silence: "all endpoints stop answering, until a reset or the next connection"
            case .disconnect: "the cable is pulled"
            case .replug: "the cable is pulled, and plugged in again a second later"
            case .garbage: "the answer is noise"
            case .errorBit: "a payload says that it is damaged"
            case .lostEnd: "the frame's end is not marked"
            case .truncate: "half of the frame is missing, its end is marked"
            case .garbagePayload: "the frame's payloads, headers included, are noise"
            case .noFrameID: "the frame identifier never toggles"
            case .slowControl: "each control request takes 300 ms"
            case .strayFrameID: "the frame identifier toggles with each payload"
            case .noEnd: "no frame's end is marked"
            case .strayEnd: "each payload is marked as a frame's end"
            case .noEndOfImage: "JPEGs lack their last marker"
            case .junkTail: "600 meaningless bytes follow each JPEG"
            case .zeroTail: "4096 zeros follow each JPEG"
            case .shortFrame: "uncompressed frames come two bytes short"
            case .longFrame: "uncompressed frames come sixteen bytes too long"
            case .boundlessPayload: "bulk: the largest payload is said to have 4294967295 bytes"
            case .silentControl: "the control answers no request"
            case .swappedRange: "the control's minimum is above its maximum"
            case .probe26: "only probe and commit blocks of 26 bytes are accepted"
            case .probe34: "the descriptors say UVC 1.0, but only blocks of 34 bytes are accepted"
            case .narrowBus: "alternate settings of more than 1024 bytes are refused"
            case .fullBus: "alternate settings of more than 1024 bytes are accepted, but their transfers refused, as by Linux's EHCI driver"
            }
        }
    }

    /// What a host does with a camera, in its order.
    enum Phase: String, CaseIterable, Hashable, Sendable {
        /// Reads a descriptor.
        case enumerate
        /// Sets the configuration.
        case configure
        /// A request to the control interface: the first one is the driver's, when it gets the device.
        case open
        case probe, commit
        /// Selects an alternate setting that has bandwidth.
        case start
        /// Selects alternate setting 0; of a bulk camera, clears the endpoint's halt.
        case stop
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
        var phase: Phase?
        var control: WebcamControl?
        var repetition: Repeat = .once
    }

    private(set) var faults: [Fault] = []

    /// Whether a fault that is the camera's nature is in it.
    func has(_ kind: Kind) -> Bool { faults.contains { $0.kind == kind } }

    /// No faults.
    public init() {}

    /// A text that is not a fault plan.
    public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Faults separated by commas: `NAME@FRAME[:every|:again]`, `NAME@PHASE[:every]`, or `NAME` for those that are the camera's nature.
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
                throw refusal("\"\(word)\" has an unknown repetition: it must be :every or :again.")
            }
            repetition = known
        }
        let halves = parts[0].split(separator: "@", omittingEmptySubsequences: false)
        guard halves.count <= 2, let kind = Kind(rawValue: String(halves[0])) else { throw refusal("There is no fault \"\(parts[0])\".") }
        guard halves.count == 2 else {
            guard !kind.hasControl else {
                throw refusal("\"\(word)\" needs a control, as in \(kind.rawValue)@focus_absolute.")
            }
            guard !kind.hasFrame, !kind.hasPhase else {
                throw refusal(
                    "\"\(word)\" needs a \(kind.hasFrame ? "frame number, as in \(kind.rawValue)@100" : "phase, as in \(kind.rawValue)@probe")."
                )
            }
            guard repetition == .once else { throw refusal("\"\(kind.rawValue)\" is permanent: it does not repeat.") }
            return Fault(kind: kind, frame: nil, repetition: .once)
        }
        if kind.hasControl {
            guard let control = WebcamControl.allCases.first(where: { $0.name == halves[1] }) else {
                throw refusal("The camera has no control \"\(halves[1])\".")
            }
            guard repetition == .once else { throw refusal("\"\(parts[0])\" is permanent: it does not repeat.") }
            return Fault(kind: kind, control: control)
        }
        if let phase = Phase(rawValue: String(halves[1])) {
            guard kind.happens(at: phase) else { throw refusal("\"\(kind.rawValue)\" does not happen at \(phase.rawValue).") }
            guard repetition != .again else { throw refusal("\"\(parts[0])\" belongs to no frame, so it can't happen :again.") }
            return Fault(kind: kind, phase: phase, repetition: repetition)
        }
        guard kind.hasFrame else { throw refusal("\"\(kind.rawValue)\" belongs to no frame.") }
        guard let frame = UInt64(halves[1]), frame < 1 << 48 else {
            throw refusal("\"\(word)\" needs a frame number\(kind.hasPhase ? " or a phase" : ""), as in \(kind.rawValue)@100.")
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
            let place =
                kind.hasControl
                ? "@CONTROL" : kind.hasFrame && kind.hasPhase ? "@N|PHASE" : kind.hasFrame ? "@N" : kind.hasPhase ? "@PHASE" : ""
            let name = kind.rawValue + place
            return "  " + name + String(repeating: " ", count: max(1, 24 - name.count)) + kind.explanation
        }
        return lines.joined(separator: "\n")
            + "\nN is a frame's number. It happens once; with :every at all multiples of N, with :again at frame N of each stream."
            + "\nPHASE is \(Phase.allCases.map(\.rawValue).joined(separator: ", ")). It happens once; with :every each time."
            + "\nCONTROL is a control's name, as in silent-control@focus_absolute."
    }

    /// The text that makes this plan.
    public var description: String {
        faults.map { fault in
            fault.kind.rawValue
                + (fault.frame.map { "@\($0)" } ?? fault.phase.map { "@\($0.rawValue)" } ?? fault.control.map { "@\($0.name)" } ?? "")
                + (fault.repetition == .once ? "" : ":\(fault.repetition.rawValue)")
        }.joined(separator: ",")
    }
}

/// A plan at work: which of its single faults have happened.
struct FaultRun {
    private let plan: FaultPlan
    private var spent: Set<Int> = []

    init(_ plan: FaultPlan) { self.plan = plan }

    /// Whether a lasting fault is in the plan.
    func has(_ kind: FaultPlan.Kind) -> Bool { plan.has(kind) }

    /// Whether it is in the plan for this control.
    func has(_ kind: FaultPlan.Kind, of control: WebcamControl) -> Bool {
        plan.faults.contains { $0.kind == kind && $0.control == control }
    }

    /// The fault that happens at a request of this phase, if one does; uses it up. Noise is what only an answer can be; a negotiation's other
    /// faults happen when it is set.
    mutating func strikes(_ phase: FaultPlan.Phase, isRead: Bool) -> FaultPlan.Kind? {
        for (index, fault) in plan.faults.enumerated() where fault.phase == phase && !spent.contains(index) {
            guard fault.kind == .garbage ? isRead : !(isRead && (phase == .probe || phase == .commit)) else { continue }
            if fault.repetition == .once { spent.insert(index) }
            return fault.kind
        }
        return nil
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
