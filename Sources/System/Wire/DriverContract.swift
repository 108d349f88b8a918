// What a driver process is born with: descriptors by number, variables by name, and the page of progress it shares with its supervisor.

/// Descriptors and variables of a driver process. Nothing else is open, nothing else is set.
public enum DriverContract {
    /// 0: /dev/null. 1 and 2: a pipe to the supervisor, whose last lines go into a crash report.
    /// 3: the channel. 4: the memfd of the `ProgressPage`.
    public static let channelDescriptor: Int32 = 3
    public static let progressDescriptor: Int32 = 4
    public static let descriptorCount = 5
    /// The driver's name, for `prctl` and logs.
    public static let nameVariable = "USERDRIVER_DRIVER"
}

/// A memfd of three pages, written by the driver and read by the supervisor, which trusts none of it.
/// Pages 0 and 1 have a slot for each activity that gets on by itself: a stream, a page, a download.
/// Page 2 has the last words of a crash (`clinux_last_words`).
///
/// A slot begins with counters (u64 each), behind which lie three texts. A driver that dies or hangs
/// leaves it as it is, so it says what the driver was at.
public enum ProgressPage {
    public static let byteCount = 12288
    public static let crashPageOffset = 8192
    /// So many activities a driver has at once. One that knows a single one uses the first slot,
    /// which lies where the page begins.
    public static let slotCount = 32
    public static let slotSize = 256

    /// Where a slot begins; counters lie at their offsets from there.
    public static func slot(_ index: Int) -> Int { min(max(index, 0), slotCount - 1) * slotSize }

    /// Grows whenever the activity's thread goes round: at least every 100 ms while it is watched by
    /// its turns.
    public static let turns = 0
    /// Transfers that completed.
    public static let transfers = 8
    /// Units that came to their end: frames (published or not), bytes, lines, whatever `unit` says.
    /// Never goes back while the process lives, whichever activity has the slot.
    public static let units = 16
    /// What is expected of the activity: a `Watch`.
    public static let watch = 24
    /// Transfers that brought payload bytes (the device delivers): if these grow and `units` does
    /// not, the driver is broken.
    public static let deliveries = 32
    /// Nanoseconds. Watched by turns: what the device may take for one unit by its own word, 0 where
    /// it gave none. Watched by units: how long one may take.
    public static let unitTime = 40
    /// Which activity has the slot: another number for each; 0 for none, or for one that is not
    /// shown.
    public static let number = 48
    /// `units` as of the activity's begin.
    public static let unitsBefore = 56
    /// Nanoseconds of a quiet wait that the driver has declared, 0 while there is none.
    public static let waitLimit = 64
    /// Grows with each wait.
    public static let waitNumber = 72

    /// A text of a slot: UTF-8, ended by a zero byte where it is shorter than its room.
    public struct Text: Hashable, Sendable {
        public var offset: Int
        /// A multiple of eight: it is read and written in words.
        public var byteCount: Int
    }
    /// What a person calls the activity: `"page 3"`.
    public static let name = Text(offset: 80, byteCount: 40)
    /// What is counted: `"lines"`.
    public static let unit = Text(offset: 120, byteCount: 16)
    /// Why it is quiet: `"the lamp warms up"`.
    public static let reason = Text(offset: 136, byteCount: 120)

    /// What a supervisor expects of an activity.
    public enum Watch: UInt64, Sendable {
        /// Nothing: it may take as long as it likes.
        case nothing
        /// A stream is on: `turns` grow, and `units` do where `deliveries` do.
        case turns
        /// A unit at least every `unitTime`.
        case units
    }
}
