// A client that watches one camera and proves each frame by its stamp.

import CLinux
import Pictures
import Synchronization
import Threads
import UserDriverClient

/// What one client has seen so far. It watches on a thread of its own.
final class Viewer: Sendable {
    struct Tally: Sendable {
        var frames: UInt64 = 0
        /// Frames that the camera sent and that did not arrive, by the numbers in their stamps.
        var missing: UInt64 = 0
        /// Frames whose bytes do not belong together, and nobody had said so, though nothing had been done to the memory that they came from.
        var torn: UInt64 = 0
        /// Frames that came twice, or out of order.
        var doubled: UInt64 = 0
        /// The same of frames that came from memory in which a fault had altered something: the stamps caught them.
        var altered: UInt64 = 0
        /// Frames that are torn, and said to be damaged.
        var damaged: UInt64 = 0
        /// The newest frame's incarnation, and when its first frame was there.
        var generation: UInt32 = 0
        var firstOfGeneration: UInt64 = 0
        /// How many of that incarnation came.
        var ofGeneration: UInt64 = 0
        /// When the newest frame's exposure began, on the same clock.
        var captured: UInt64 = 0
        /// The client's handle was closed, or it threw.
        var ended: String?

        /// Whether another incarnation than that one delivers, and has come to what the camera sees now: what its predecessor had left in the queue, and
        /// what was lost behind that, has been counted.
        /// - Parameter isHeld: the camera's time falls behind the clock, so that what it sees now says nothing: as many frames are waited for as
        ///   a queue has room for.
        func hasRecovered(from generation: UInt32, isHeld: Bool) -> Bool {
            self.generation != generation && (isHeld ? ofGeneration >= 30 : captured >= firstOfGeneration)
        }

        /// Everything that came, whatever it was like.
        var arrived: UInt64 { frames + torn + altered + damaged }
    }

    private struct Waiter {
        var deadline: UInt64
        var condition: @Sendable (Tally) -> Bool
        var continuation: CheckedContinuation<Bool, Never>
    }
    private struct State {
        var tally = Tally()
        var waiter: Waiter?
        /// Frames of incarnations up to this one may be altered by what was done to their memory.
        var taintedThrough: UInt32 = 0
        var previous: FrameStamp?
        var stream: FrameStream?
        var isStopped = false
    }

    private let state = Mutex(State())
    private let cancellation = Cancellation()
    private let thread = Mutex<WorkerThread?>(nil)

    var now: Tally { state.withLock { $0.tally } }

    func start(_ camera: Camera, _ request: CameraRequest) throws {
        let started = try WorkerThread(name: "viewer") { [self] in watch(camera, request) }
        thread.withLock { $0 = started }
    }

    /// Ends the watching, and waits for that.
    func stop() {
        let stream = state.withLock { state in
            state.isStopped = true
            return state.stream
        }
        cancellation.cancel()
        stream?.stop()
        thread.withLock { $0 }?.join()
    }

    /// Frames of this incarnation and the next, which takes over its memory, may be altered without anything going wrong.
    func taint(generation: UInt32) { state.withLock { $0.taintedThrough = max($0.taintedThrough, generation + 1) } }

    /// Waits until what was seen meets the condition: looked at with each frame. False at `deadline` (CLOCK_MONOTONIC ns), or when the stream has ended.
    /// One task at a time waits.
    func wait(until deadline: UInt64, _ condition: @escaping @Sendable (Tally) -> Bool) async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if condition(state.tally) { return true }
                if state.tally.ended != nil { return false }
                precondition(state.waiter == nil, "only one task at a time may wait for a viewer")
                state.waiter = Waiter(deadline: deadline, condition: condition, continuation: continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// Answers a wait whose time is over: to be called now and then.
    func expire() {
        let now = clinux_monotonic_ns()
        let late = state.withLock { state -> Waiter? in
            guard let waiter = state.waiter, waiter.deadline <= now else { return nil }
            state.waiter = nil
            return waiter
        }
        late?.continuation.resume(returning: false)
    }

    // MARK: The thread

    private func watch(_ camera: Camera, _ request: CameraRequest) {
        var why: String
        do throws(ClientError) {
            let stream = try camera.openStream(request, cancellation: cancellation)
            let isStopped = state.withLock { state in
                state.stream = stream
                return state.isStopped
            }
            if isStopped { stream.stop() }
            why = try frames(of: stream)
        } catch {
            why = error.description
        }
        let waiter = state.withLock { state in
            state.stream = nil
            if !state.isStopped { state.tally.ended = why }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.continuation.resume(returning: false)
    }

    /// Until the stream ends; why it did.
    private func frames(of stream: FrameStream) throws(ClientError) -> String {
        while true {
            switch try stream.next() {
            case .event(.frame(let frame)): take(frame)
            case .event, .timedOut: break
            case .ended(let reason): return reason ?? "the stream ended"
            }
        }
    }

    private func take(_ frame: Frame) {
        var reading = FrameStamp.Reading.none
        let isWhole = frame.withBytes { reading = FrameStamp.read(format: frame.stream?.format ?? "", bytes: $0) }
        // Overwritten while it was read: said so, and so no lie.
        guard isWhole else { return }
        let now = clinux_monotonic_ns()
        let answered = state.withLock { state -> Waiter? in
            if frame.generation != state.tally.generation {
                state.tally.generation = frame.generation
                state.tally.firstOfGeneration = now
                state.tally.ofGeneration = 0
            }
            state.tally.ofGeneration += 1
            Self.count(reading, of: frame, &state)
            guard let waiter = state.waiter, waiter.condition(state.tally) else { return nil }
            state.waiter = nil
            return waiter
        }
        answered?.continuation.resume(returning: true)
    }

    private static func count(_ reading: FrameStamp.Reading, of frame: Frame, _ state: inout State) {
        let isTainted = frame.generation <= state.taintedThrough
        switch reading {
        case .whole(let stamp):
            state.tally.frames += 1
            if let last = state.previous {
                if stamp.stream == last.stream, stamp.number <= last.number {
                    if isTainted { state.tally.altered += 1 } else { state.tally.doubled += 1 }
                }
                state.tally.missing += last.framesMissing(before: stamp)
            }
            state.previous = stamp
            state.tally.captured = stamp.captureTime
        case .torn, .none:
            if frame.isDamaged {
                state.tally.damaged += 1
            } else if isTainted {
                state.tally.altered += 1
            } else {
                state.tally.torn += 1
            }
        }
    }
}
