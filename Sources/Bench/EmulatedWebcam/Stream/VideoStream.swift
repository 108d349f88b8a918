// What both kinds of stream share: the clock that numbers the frames, frames in the making, faults of a frame.

import USB

/// What a stream asks of its camera.
protocol VideoStreamOwner: AnyObject {
    /// The faults of the frames up to `last`, those that end everything having been seen to. `nil`: nothing is sent any more.
    func faults(from first: UInt64, through last: UInt64) -> Set<FaultPlan.Kind>?
    func hasFault(_ kind: FaultPlan.Kind) -> Bool
    /// The controls as they are for a frame that is captured at this time.
    func settings(at time: UInt64) -> PictureSettings
}

/// What became of a stream's frames, from the first that was sent on.
struct FrameTally: CustomStringConvertible {
    var sent = 0
    /// The camera's own fault: they were not drawn when they were due.
    var undrawn = 0
    /// The host's: it fetched nothing of them, or not all.
    var unfetched = 0

    /// Counted is what comes after the first frame: the scene is painted before it.
    mutating func leaveOut(undrawn count: Int) { if sent > 0 { undrawn += count } }
    mutating func leaveOut(unfetched count: Int) { if sent > 0 { unfetched += count } }

    var description: String { "\(sent) frames were sent, \(undrawn) not drawn in time, \(unfetched) not fetched in time" }
}

/// One stream, from "start streaming" to its end. Frame k begins at `first + k · interval`, whoever looks.
class VideoStream {
    let parameters: StreamParameters
    /// When frame 0 begins: CLOCK_MONOTONIC in ns.
    let first: UInt64
    let pipeline: FramePipeline
    unowned let owner: any VideoStreamOwner
    /// What is added to CLOCK_MONOTONIC for the time since 1970.
    private let wallClockOffset: UInt64
    /// Numbers below this have had their faults.
    private var faultsTakenBelow: UInt64 = 0
    let togglesFrameID: Bool
    private let straysFrameID: Bool
    private let marksNoEnd: Bool
    private let marksEachEnd: Bool
    private var payloads = 0
    var tally = FrameTally()
    private var noise = Noise()

    init(
        _ parameters: StreamParameters, first: UInt64, wallClockOffset: UInt64, pipeline: FramePipeline, owner: any VideoStreamOwner
    ) {
        self.parameters = parameters
        self.first = first
        self.pipeline = pipeline
        self.owner = owner
        self.wallClockOffset = wallClockOffset
        togglesFrameID = !owner.hasFault(.noFrameID)
        straysFrameID = owner.hasFault(.strayFrameID)
        marksNoEnd = owner.hasFault(.noEnd)
        marksEachEnd = owner.hasFault(.strayEnd)
        request(0)
    }

    /// Spoils a payload's marks as the camera's nature is.
    func mark(_ header: inout PayloadHeader) {
        payloads &+= 1
        if straysFrameID { header.frameID = payloads & 1 != 0 }
        if marksNoEnd { header.isEndOfFrame = false }
        if marksEachEnd { header.isEndOfFrame = true }
    }

    var interval: UInt64 { parameters.intervalNanoseconds }

    /// The frame that is captured at a time; `nil` before the first.
    func number(at time: UInt64) -> UInt64? { time < first ? nil : (time - first) / interval }
    func begin(of number: UInt64) -> UInt64 { first &+ number &* interval }

    /// Asks for a frame, once.
    func request(_ number: UInt64) {
        guard !pipeline.knows(number), !pipeline.isSettled(number) else { return }
        let time = begin(of: number)
        pipeline.request(
            FrameJob(
                number: number, captureTime: time, seconds: Double(time &+ wallClockOffset) / 1e9, settings: owner.settings(at: time)))
    }

    /// Whether frames take longer to draw than they last: then every second one is made, or every third, and the others are lost.
    var isDrawingSlow: Bool { pipeline.drawingTime > interval }

    /// Asks for the frame that can be ready when it is due, while frame `current` is sent.
    func requestNext(after current: UInt64) {
        guard !pipeline.knows(atLeast: current + 1) else { return }
        request(current + 1 + pipeline.drawingTime / interval)
    }

    /// The faults of a frame that is now begun, and of those that were missed before it.
    func takeFaults(_ number: UInt64) -> Set<FaultPlan.Kind>? {
        defer { faultsTakenBelow = number + 1 }
        return number < faultsTakenBelow ? [] : owner.faults(from: faultsTakenBelow, through: number)
    }

    func fillWithNoise(_ buffer: UnsafeMutableRawBufferPointer) {
        for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: noise.next() >> 24) }
    }

    func stop() { pipeline.stop() }
}

/// Repeatable noise, for faults.
struct Noise {
    private var state: UInt64 = 0x5851_f42d_4c95_7f2d

    init(seed: UInt64 = 0) { state ^= seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 33)
    }
}
