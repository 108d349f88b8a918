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

/// A memfd of two pages, written by the driver and read by the supervisor, which trusts none of it. Page 0 holds counters (u64 each, below),
/// in a slot for each activity that gets on by itself: a stream, a download. Page 1 has the last words of a crash (`clinux_last_words`).
public enum ProgressPage {
    public static let byteCount = 8192
    public static let crashPageOffset = 4096
    /// A driver that knows one activity only uses the first slot, which lies where the page begins.
    public static let slotCount = 32
    public static let slotSize = 64

    /// Where a slot begins; counters lie at their offsets from there.
    public static func slot(_ index: Int) -> Int { min(max(index, 0), slotCount - 1) * slotSize }

    /// Grows whenever the stream's thread goes round: at least every 100 ms while streaming.
    public static let streamTurns = 0
    /// Transfers that completed.
    public static let transfers = 8
    /// Frames that came to their end, whether they were published or not.
    public static let frames = 16
    /// 1 while a stream is on: the supervisor watches `streamTurns` and `frames` then.
    public static let streaming = 24
    /// Transfers that brought payload bytes (the device delivers): if these grow and `frames` does not, the driver is broken.
    public static let deliveries = 32
    /// Nanoseconds that the device may take for one frame by its own word, 0 where it gave none.
    public static let frameTime = 40
}
