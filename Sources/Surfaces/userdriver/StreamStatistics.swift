// What a stream was like, reckoned frame by frame: the figures of `userdriver stream --stats json`.

import Pictures

/// Figures of a stream over the frames that were delivered whole.
///
/// Frames are numbered by their stamps where the source stamps them (the emulated webcam), else by the ring. A number that was never delivered
/// is a lost frame, unless it was delivered torn. The ring's numbers that begin anew are no loss; where stamps do, their times tell what is missing.
/// What no later frame's number tells, the ring does: frames that came damaged, and gaps.
struct StreamStatistics: Sendable {
    /// The number a frame bears, and who gave it.
    enum Number: Hashable, Sendable {
        /// By the camera, in the picture itself.
        case stamp(FrameStamp)
        /// By the ring; `epoch` grows when another ring takes its place.
        case ring(UInt64, epoch: Int)
    }

    /// Frames delivered whole.
    private(set) var frames: UInt64 = 0
    var lost: UInt64 { counted &+ untold }
    /// Frames that are lost by the numbers of those around them.
    private var counted: UInt64 = 0
    /// Since the newest whole frame, as the ring has it.
    private var untold: UInt64 = 0
    /// Frames whose bytes do not belong together, and nobody had said so.
    private(set) var torn: UInt64 = 0
    private(set) var restarts: Int = 0
    private(set) var bytes: UInt64 = 0
    private(set) var longestGap: UInt64 = 0
    private var first: UInt64?
    private var last: UInt64?
    private var previous: Number?
    private var tornSincePrevious: UInt64 = 0
    private var generation: UInt32?

    /// A frame that is whole, with the time at which it was delivered (CLOCK_MONOTONIC ns).
    mutating func delivered(_ number: Number, byteCount: Int, at time: UInt64) {
        frames += 1
        bytes &+= UInt64(byteCount)
        if first == nil { first = time }
        if let last, time > last { longestGap = max(longestGap, time - last) }
        last = time
        if let missing = Self.missing(from: previous, to: number) {
            counted &+= missing - min(missing, tornSincePrevious)
        } else {
            counted &+= untold
        }
        untold = 0
        tornSincePrevious = 0
        previous = number
    }

    /// A frame whose check failed.
    mutating func deliveredTorn() {
        torn += 1
        tornSincePrevious += 1
    }

    /// A frame that was said to be damaged, or could not be read in time; frames that never came.
    mutating func missed(_ count: UInt64 = 1) { untold &+= count }

    /// The driver that writes now is another one: `generation` counts them. From a frame or from an event, whichever comes first.
    mutating func wrote(generation: UInt32) {
        if let known = self.generation, generation > known { restarts += Int(generation - known) }
        self.generation = max(generation, self.generation ?? 0)
    }

    /// The device was away, or the supervisor: drivers are counted anew from the next one on, which no driver's death brought.
    mutating func countsDriversAnew() { generation = nil }

    private static func missing(from previous: Number?, to number: Number) -> UInt64? {
        switch (previous, number) {
        case (.stamp(var from), .stamp(let to)):
            // Numbers that went back are another camera's, or this one's after it lost its power: time tells what is missing.
            if to.stream == from.stream, to.number <= from.number { from.stream = to.stream &+ 1 }
            return from.framesMissing(before: to)
        case (.ring(let from, let a), .ring(let to, let b)) where a == b && to > from: return to - from - 1
        default: return nil
        }
    }

    /// Frames a second, from the first delivered frame to the last.
    var fps: Double {
        guard let first, let last, frames > 1, last > first else { return 0 }
        return Double(frames - 1) * 1e9 / Double(last - first)
    }
    var longestGapMilliseconds: Double { Double(longestGap) / 1e6 }
    /// Bytes a second, over the same time.
    var bytesPerSecond: Double {
        guard let first, let last, last > first else { return 0 }
        return Double(bytes) * 1e9 / Double(last - first)
    }

    /// One line of JSON, without its end.
    var json: String {
        "{\"frames\":\(frames),\"lost\":\(lost),\"torn\":\(torn),\"restarts\":\(restarts),"
            + "\"longestGapMs\":\(Figure.decimal(longestGapMilliseconds, places: 3)),\"fps\":\(Figure.decimal(fps, places: 3)),\"bytes\":\(bytes)}"
    }
}
