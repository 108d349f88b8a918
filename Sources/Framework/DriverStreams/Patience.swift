// How long a stream waits for a device that sends nothing: a pure value, told what has been tried.

/// Before the first picture there is no limit: a camera takes as long as it takes, and each start
/// makes it begin again. One that falls silent later is told to stream again after a few seconds,
/// and then waited for longer each time, and longer where it is known to start slowly.
///
/// Plain numbers, so that a successor goes on with the same patience.
package struct Patience: Equatable, BitwiseCopyable {
    /// Nanoseconds from being told to stream to the first pixels, the last time; 0 if that is
    /// not known.
    var startup: UInt64 = 0
    /// How often it was told to stream again since its last picture.
    var remedies: UInt32 = 0
    private var unused: UInt32 = 0

    /// Nanoseconds: a silence that is none yet.
    static let least: UInt64 = 3_000_000_000
    private static let leastOfBus: UInt64 = 1_000_000_000
    private static let longest: UInt64 = 3_600_000_000_000

    package init(startup: UInt64 = 0, remedies: UInt32 = 0) {
        self.startup = min(startup, Self.longest)
        self.remedies = remedies
    }

    /// Nanoseconds from being told to stream to the first pixels; `nil` for no limit.
    func beforeFirstPicture(frameInterval: UInt64) -> UInt64? {
        guard remedies > 0 else { return nil }
        return grown(max(Self.least, min(startup, Self.longest) * 4, Self.betweenPictures(frameInterval: frameInterval)), remedies - 1)
    }

    /// Nanoseconds from pixels to pixels.
    static func betweenPictures(frameInterval: UInt64) -> UInt64 { max(least, min(frameInterval, longest) * 4) }

    /// Nanoseconds without any transfer, which come back by the bus's clock where they are
    /// isochronous.
    var ofBus: UInt64 { grown(Self.leastOfBus, min(remedies, 5)) }

    private func grown(_ limit: UInt64, _ times: UInt32) -> UInt64 { min(limit << UInt64(min(times, 10)), Self.longest) }

    /// The device was told to stream again.
    mutating func tried() { remedies = min(remedies, .max - 1) + 1 }

    /// Pixels came, so long after it was told to stream.
    mutating func delivered(after startup: UInt64) { self = Patience(startup: startup) }
}
