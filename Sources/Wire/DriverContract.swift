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

/// A memfd of two pages, written by the driver and read by the supervisor, which trusts none of it. Page 0 holds counters (u64 each, below);
/// page 1 the last words of a crash (`clinux_last_words`).
public enum ProgressPage {
    public static let byteCount = 8192
    public static let lastWordsOffset = 4096
    /// Grows whenever the stream's thread goes round: at least every 100 ms while streaming.
    public static let streamTurns = 0
    /// Transfers that completed.
    public static let transfers = 8
    /// Frames that were published.
    public static let frames = 16
    /// 1 while a stream is on: the supervisor watches `streamTurns` and `frames` then.
    public static let streaming = 24
    /// Transfers that brought payload bytes (the device delivers): if these grow and `frames` does not, the driver is broken.
    public static let deliveries = 32
}
