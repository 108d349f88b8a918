// A client that watches one camera and proves each frame by its stamp.

import CLinux
import Pictures
import Synchronization
import UserDriverClient

/// What one client has seen so far.
final class Viewer: Sendable {
    struct Tally: Sendable {
        var frames: UInt64 = 0
        /// Frames that the camera sent and that did not arrive, by the numbers in their stamps.
        var missing: UInt64 = 0
        /// Frames whose bytes do not belong together, and nobody had said so.
        var torn: UInt64 = 0
        /// Frames that came twice, or out of order.
        var doubled: UInt64 = 0
        /// The newest frame's incarnation, and when its first frame was there.
        var generation: UInt32 = 0
        var firstOfGeneration: UInt64 = 0
        /// The client's handle was closed, or it threw.
        var ended: String?
    }

    private let tally = Mutex(Tally())
    private let arrival: AsyncStream<Void>.Continuation
    /// Something has arrived; those that nobody waits for are not kept.
    let arrivals: AsyncStream<Void>

    init() { (arrivals, arrival) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

    var now: Tally { tally.withLock { $0 } }

    /// Watches until the task is cancelled.
    func watch(_ camera: Camera, _ request: CameraRequest) async {
        var previous: FrameStamp?
        do {
            for try await event in camera.frames(request) {
                if case .frame(let frame) = event { take(frame, &previous) }
                arrival.yield()
            }
            tally.withLock { $0.ended = "the stream ended" }
        } catch {
            tally.withLock { $0.ended = "\(error)" }
        }
        arrival.yield()
    }

    private func take(_ frame: Frame, _ previous: inout FrameStamp?) {
        var reading = FrameStamp.Reading.none
        let isWhole = frame.withBytes { reading = FrameStamp.read(format: frame.stream?.format ?? "", bytes: $0) }
        // Overwritten while it was read: said so, and so no lie.
        guard isWhole else { return }
        let now = clinux_monotonic_ns()
        tally.withLock { tally in
            if frame.generation != tally.generation {
                tally.generation = frame.generation
                tally.firstOfGeneration = now
            }
            switch reading {
            case .whole(let stamp):
                tally.frames += 1
                if let last = previous {
                    if stamp.stream == last.stream, stamp.number <= last.number { tally.doubled += 1 }
                    tally.missing += last.framesMissing(before: stamp)
                }
                previous = stamp
            case .torn, .none: if !frame.isDamaged { tally.torn += 1 }
            }
        }
    }
}
