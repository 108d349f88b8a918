// A stream of frames, read by a thread that may block.

import CLinux
import FrameRing
import Synchronization

/// What `FrameStream.next` returns.
public enum FrameWait: Sendable {
    case event(FrameEvent)
    case timedOut
    /// `stop` was called, or the stream has ended for good. Nothing comes after it.
    case ended(reason: String?)
}

/// A camera's stream. It survives the driver and the daemon: when they go away, it says so, waits
/// and continues.
///
/// One thread at a time calls `next`; `stop` may be called from any. Frames never pass through a socket: they lie in shared memory.
public final class FrameStream: Sendable {
    public struct Options: Sendable {
        /// How long the daemon may take to open the stream.
        public var openTimeout: Duration = .seconds(15)
        /// Within that time, also wait for a device that is not known yet and a daemon that does not run yet.
        public var waitsForDevice = false
        /// How long the daemon may be away, later, before the stream ends with an error; `nil`: for ever.
        public var giveUpAfter: Duration?

        public init(openTimeout: Duration = .seconds(15), waitsForDevice: Bool = false, giveUpAfter: Duration? = nil) {
            self.openTimeout = openTimeout
            self.waitsForDevice = waitsForDevice
            self.giveUpAfter = giveUpAfter
        }
    }

    private struct Position: Sendable {
        var ring: OpenedRing?
        var sequence: UInt64 = 0
        var epoch = 0
        /// The ring goes on from the one that was read before, though perhaps not directly.
        var isContinuing = false
        /// Another ring waits for this one to be read up to this number.
        var readUpTo: UInt64?

        /// The last number of the ring that is read, where `next` goes on after it.
        private func end(before next: OpenedRing) -> UInt64? {
            guard let ring, next.follows || next.reader.follows(ring.reader) else { return nil }
            return ring.reader.end
        }

        /// Whether it is the ring that is read, or that before it: told of when the daemon did not know yet that the stream had gone on.
        private func isSame(_ next: OpenedRing) -> Bool {
            guard let ring else { return false }
            return ring.memory == next.memory || ring.reader.follows(next.reader)
        }

        mutating func turn(_ next: OpenedRing) -> RingTurn {
            guard let ring else { return .now }
            if isSame(next) { return .same }
            if let end = end(before: next) { return sequence >= end ? .now : .soon }
            guard !next.follows else { return .unknown }
            let last = readUpTo ?? ring.reader.newestSequence
            readUpTo = last
            return sequence >= last ? .now : .soon
        }

        mutating func take(_ next: OpenedRing) {
            if isSame(next), let ring {
                self.ring = OpenedRing(
                    memory: ring.memory, reader: ring.reader, description: next.description, startsAtFirst: false, follows: false)
            } else if let end = end(before: next) {
                self = Position(ring: next, sequence: end, epoch: epoch, isContinuing: true)
            } else {
                self = Position(ring: next, sequence: next.startsAtFirst ? 0 : next.reader.newestSequence, epoch: epoch + 1)
            }
        }
    }

    private let watch: StreamWatch
    private let position: Mutex<Position>
    /// The id of the device that was opened.
    public let deviceID: String

    init(
        client: UserDriverClient, selector: String?, request: CameraRequest, options: Options, cancellation: Cancellation
    ) throws(ClientError) {
        watch = try StreamWatch(
            directory: client.runtimeDirectory, selector: selector, request: request, options: options, cancellation: cancellation)
        deviceID = watch.opening.device
        let ring = watch.opening.ring
        position = Mutex(Position(ring: ring, sequence: ring?.reader.newestSequence ?? 0))
        try watch.start()
    }

    deinit { watch.stop() }

    /// What the frames are now; `nil` before the first ring, or if the driver did not describe them in terms that this client knows.
    public var description: StreamDescription? { position.withLock { $0.ring?.description } }

    /// Ends the stream, from any thread; a thread that waits in `next` returns.
    public func stop() { watch.stop() }

    /// What comes next, waiting for it at most `timeout` (`nil`: for ever). Throws when the stream can't go on.
    public func next(timeout: Duration? = nil) throws(ClientError) -> FrameWait {
        let deadline = timeout.map { clinux_monotonic_ns() + $0.clientNanoseconds }
        while true {
            let seen = watch.alarm.count
            if watch.isStopped { return .ended(reason: nil) }
            if let event = takeNews() { return .event(event) }
            if let event = takeFrame() { return .event(event) }
            // News that waited for a ring to be read to its end wait no more.
            if watch.alarm.count != seen || watch.hasNews(turn: turn) { continue }
            if let end = watch.end {
                // What came before the end has been read above.
                switch end {
                case .reason(let reason): return .ended(reason: reason)
                case .failure(let error): throw error
                }
            }
            if let deadline, clinux_monotonic_ns() >= deadline { return .timedOut }
            let (ring, sequence) = position.withLock { ($0.ring, $0.sequence) }
            if let ring, ring.reader.end.map({ sequence < $0 }) ?? true {
                ring.reader.wait(after: sequence, alarm: watch.alarm, seen: seen, until: deadline)
            } else {
                watch.alarm.wait(seen: seen, until: deadline)
            }
        }
    }

    /// The oldest news, once a ring that is being left has been read to its end.
    private func takeNews() -> FrameEvent? {
        while let news = watch.take(turn: turn) {
            switch news {
            case .event(let event): return event
            case .ring(let ring): position.withLock { $0.take(ring) }
            }
        }
        return nil
    }

    private func turn(_ ring: OpenedRing) -> RingTurn { position.withLock { $0.turn(ring) } }

    private func takeFrame() -> FrameEvent? {
        position.withLock { position in
            guard let ring = position.ring else { return nil }
            let (last, origin) = (position.sequence, ring.reader.origin)
            if position.isContinuing, origin > last {
                // Rings in between were changed faster than they were read.
                position.sequence = origin
                return .gap(first: last + 1, count: origin - last, cause: .tooSlow)
            }
            switch ring.reader.next(after: position.sequence, timeout: .zero) {
            case .frame(let reference):
                position.sequence = reference.sequence
                return .frame(Frame(reference: reference, stream: ring.description, epoch: position.epoch))
            case .gap(let gap):
                if gap.cause == .renumbered {
                    position.epoch += 1
                    position.readUpTo = nil
                }
                position.sequence = gap.last
                return .gap(first: gap.first, count: gap.count, cause: gap.cause)
            case .timedOut:
                // A ring that is being left, and whose numbers went back, has no more to give.
                if position.readUpTo != nil { position.readUpTo = position.sequence }
                return nil
            }
        }
    }
}
