// What is done to a driver.

/// A fault. Raw values are what people type.
enum FaultKind: String, CaseIterable, Sendable {
    /// Ends at once.
    case kill
    /// Crashes, with last words.
    case segv
    case abort
    /// An end that looks wanted.
    case term
    /// The same without a signal: exit status 0.
    case exit
    /// Stands still: a hang.
    case stop
    /// A thread goes round in a loop for ever, as soon as it comes out of what it waits for.
    case loop
    /// A bit of its writable memory flips; what that does is anybody's guess.
    case flip
    /// The same in the memory that it shares with its successor: frames, transfers, checkpoints.
    case ring
    /// The same in its code.
    case code
    /// The same in a register of one of its threads.
    case registers
    /// The process that waits to take its place is killed, and then it is.
    case standby

    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

    /// What is awaited after it.
    enum Sequel: Sendable {
        /// The driver certainly ends by it: frames of the next.
        case death
        /// Another incarnation, or that many frames from it or the same one.
        case frames(UInt64)
    }

    var sequel: Sequel {
        switch self {
        case .kill, .segv, .abort, .exit, .stop, .standby: .death
        case .term, .flip, .ring, .code, .registers: .frames(5)
        // What hangs is noticed after half a second in a stream's thread and after two seconds in the channel's.
        case .loop: .frames(90)
        }
    }

    /// Whether it may change frames' bytes without anything going wrong.
    var alters: Bool {
        switch self {
        case .flip, .ring, .code, .registers: true
        case .kill, .segv, .abort, .term, .exit, .stop, .loop, .standby: false
        }
    }

    /// Whether the driver lives and does nothing: noticed by its silence.
    var hangs: Bool { self == .stop || self == .loop }

    /// Whether a driver that lives on is not fit for the next fault: a processor goes round in it.
    var leavesDriverSpoilt: Bool { self == .loop }

    /// Whether it is done by tracing the driver.
    var traces: Bool {
        switch self {
        case .exit, .loop, .code, .registers: true
        case .kill, .segv, .abort, .term, .stop, .flip, .ring, .standby: false
        }
    }
}
