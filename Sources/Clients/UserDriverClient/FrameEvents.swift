// A camera's stream as an asynchronous sequence: a thread of its own waits, Swift's tasks never do.

import FrameRing
import Synchronization

/// The frames of a camera and what happens to them. Iterating opens the stream and throws `ClientError`; it ends when the stream does, when its
/// task is cancelled, or when the iterator goes.
///
/// Frames are fetched one by one as they are asked for: a slow reader is told of the gap, and nothing piles up.
public struct FrameEvents: AsyncSequence, Sendable {
    public typealias Element = FrameEvent
    let client: UserDriverClient
    let selector: String?
    let request: CameraRequest
    let options: FrameStream.Options

    public func makeAsyncIterator() -> Iterator { Iterator(lease: Lease(FramePump(self))) }

    public struct Iterator: AsyncIteratorProtocol {
        let lease: Lease
        public mutating func next() async throws -> FrameEvent? { try await lease.pump.next() }
    }

    /// Ends the pump when the last iterator goes.
    final class Lease: Sendable {
        let pump: FramePump
        init(_ pump: FramePump) { self.pump = pump }
        deinit { pump.stop() }
    }
}

/// A thread that fetches one event for each that is asked for.
final class FramePump: Sendable {
    private struct State {
        var waiter: CheckedContinuation<FrameEvent?, any Error>?
        var isStarted = false
        var isStopped = false
        var isFinished = false
    }
    private let source: FrameEvents
    private let state = Mutex(State())
    private let demand = ReaderAlarm()
    private let cancellation = Cancellation()
    private let stream = Mutex<FrameStream?>(nil)

    init(_ source: FrameEvents) { self.source = source }

    func next() async throws -> FrameEvent? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let start: Bool? = state.withLock { state in
                    guard !state.isFinished, !state.isStopped else { return nil }
                    precondition(state.waiter == nil, "only one task at a time may iterate over a stream")
                    state.waiter = continuation
                    defer { state.isStarted = true }
                    return !state.isStarted
                }
                switch start {
                case nil: continuation.resume(returning: nil)
                case true?: begin()
                case false?: demand.ring()
                }
            }
        } onCancel: {
            stop()
        }
    }

    private func begin() {
        do throws(ClientError) {
            try ClientThread.start("userdriver-pump") { self.run() }
        } catch {
            finish(.failure(error))
        }
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        cancellation.cancel()
        stream.withLock { $0 }?.stop()
        demand.ring()
    }

    private func run() {
        do throws(ClientError) {
            let stream = try FrameStream(
                client: source.client, selector: source.selector, request: source.request, options: source.options,
                cancellation: cancellation)
            self.stream.withLock { $0 = stream }
            while true {
                let seen = demand.count
                let (isWanted, isStopped) = state.withLock { ($0.waiter != nil, $0.isStopped) }
                if isStopped { break }
                guard isWanted else {
                    demand.wait(seen: seen, until: nil)
                    continue
                }
                guard case .event(let event) = try stream.next() else { break }
                answer(.success(event))
            }
            finish(.success(nil))
        } catch {
            finish(error.code == .stopped ? .success(nil) : .failure(error))
        }
        stream.withLock { $0 }?.stop()
    }

    private func answer(_ result: Result<FrameEvent?, any Error>) {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(with: result)
    }

    private func finish(_ result: Result<FrameEvent?, any Error>) {
        state.withLock { $0.isFinished = true }
        answer(result)
    }
}
