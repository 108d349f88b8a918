// Frames in the making: a thread that draws one ahead, and the few frames that are ready.

import CLinux
import Pictures
import Threads

/// Hands frames from the thread that makes them to the bus's thread, which never waits for them.
final class FramePipeline: Sendable {
    private struct State {
        /// Frames without contents.
        var free: [PreparedFrame]
        /// Asked for and not begun, oldest first.
        var jobs: [FrameJob] = []
        var inMaking: UInt64?
        var ready: [UInt64: PreparedFrame] = [:]
        /// Numbers below this are not asked for again: the last of them could not be made.
        var failedBelow: UInt64 = 0
        var isEnding = false
        /// How long the last two frames took.
        var drawingTimes: (UInt64, UInt64) = (0, 0)
    }

    private let state: Monitored<State>
    private let makeFrame: @Sendable (FrameJob, PreparedFrame) -> Bool
    private let thread: WorkerThread?

    /// The frame that is being sent, one that waits, one ahead, one in the making.
    private static let frameCount = 4

    /// `prepare` makes the frame maker: on the drawing thread, because painting a landscape takes its time. It logs its own failure.
    /// `ready` is called from the drawing thread after each frame, also one that could not be made.
    init(
        capacity: Int, drawsAhead: Bool, log: (@Sendable (String) -> Void)?, ready: @escaping @Sendable () -> Void,
        prepare: @escaping @Sendable () throws(PictureError) -> FrameMaker
    ) {
        let state = Monitored(State(free: (0..<Self.frameCount).map { _ in PreparedFrame(capacity: capacity) }))
        self.state = state
        let maker = Monitored<FrameMaker?>(nil)
        makeFrame = { job, frame in
            do throws(PictureError) {
                var current = maker.withLock { $0 }
                if current == nil {
                    current = try prepare()
                    maker.withLock { [current] in $0 = current }
                }
                try current?.make(job, into: frame)
                return true
            } catch {
                log?("Frame \(job.number) could not be made. \(error.description)")
                return false
            }
        }
        guard drawsAhead else {
            thread = nil
            return
        }
        let makeFrame = makeFrame
        do throws(WorkerThread.StartFailure) {
            thread = try WorkerThread(name: "webcam frames") {
                while let work = Self.nextWork(state) {
                    let start = clinux_monotonic_ns()
                    let isMade = makeFrame(work.job, work.frame)
                    // The first one had the scene to paint; it says nothing about the next.
                    if work.job.number > 0 {
                        let time = clinux_monotonic_ns() - start
                        state.withLock { $0.drawingTimes = ($0.drawingTimes.1, time) }
                    }
                    Self.put(work.frame, number: work.job.number, isMade: isMade, state)
                    ready()
                }
            }
        } catch {
            log?("Frames are not drawn ahead. \(error)")
            thread = nil
        }
    }

    private static func nextWork(_ state: Monitored<State>) -> (job: FrameJob, frame: PreparedFrame)? {
        let work: (job: FrameJob, frame: PreparedFrame)?? = state.wait { state in
            if state.isEnding { return .some(nil) }
            guard !state.jobs.isEmpty, let frame = state.free.popLast() else { return nil }
            let job = state.jobs.removeFirst()
            state.inMaking = job.number
            return .some((job, frame))
        }
        return work ?? nil
    }

    private static func put(_ frame: PreparedFrame, number: UInt64, isMade: Bool, _ state: Monitored<State>) {
        state.change { state in
            state.inMaking = nil
            if isMade {
                state.ready[number] = frame
            } else {
                state.free.append(frame)
                state.failedBelow = max(state.failedBelow, number + 1)
            }
        }
    }

    /// Whether a frame is asked for, in the making or ready.
    func knows(_ number: UInt64) -> Bool {
        state.withLock { $0.ready[number] != nil || $0.inMaking == number || $0.jobs.contains { $0.number == number } }
    }

    /// Whether a frame is ready, or could not be made.
    func isSettled(_ number: UInt64) -> Bool { state.withLock { $0.ready[number] != nil || number < $0.failedBelow } }

    /// Whether a frame with this number or a later one is asked for, in the making or ready.
    func knows(atLeast number: UInt64) -> Bool {
        state.withLock { state in
            state.ready.keys.contains { $0 >= number } || state.inMaking.map { $0 >= number } ?? false
                || state.jobs.contains { $0.number >= number }
        }
    }

    /// Nanoseconds that drawing a frame takes. A machine that stood still for once does not draw slowly.
    var drawingTime: UInt64 { state.withLock { min($0.drawingTimes.0, $0.drawingTimes.1) } }

    /// The newest frame that is ready, of those in a range.
    func newestReady(in numbers: Range<UInt64>) -> UInt64? { state.withLock { $0.ready.keys.filter { numbers.contains($0) }.max() } }

    /// Asks for a frame. Without a drawing thread it is made here and now.
    func request(_ job: FrameJob) {
        if thread != nil {
            state.change { $0.jobs.append(job) }
            return
        }
        guard let frame = state.withLock({ $0.free.popLast() }) else { return }
        let isMade = makeFrame(job, frame)
        Self.put(frame, number: job.number, isMade: isMade, state)
    }

    /// A frame that is ready. It stays until ``release(before:)``.
    func frame(_ number: UInt64) -> PreparedFrame? { state.withLock { $0.ready[number] } }

    /// Gives frames back that nobody will send any more, and forgets what was asked for and is too late.
    func release(before number: UInt64, jobsBefore jobNumber: UInt64? = nil) {
        state.change { state in
            for (old, frame) in state.ready where old < number {
                state.ready[old] = nil
                state.free.append(frame)
            }
            state.jobs.removeAll { $0.number < jobNumber ?? number }
        }
    }

    /// Ends the drawing thread, after the frame it is at. Not waited for: the bus's thread has a request to answer.
    func stop() {
        state.change { $0.isEnding = true }
    }
}
