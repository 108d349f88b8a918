// A page on its way to a client: read from the daemon's memory piece by piece, as the client takes
// it.

import HTTPServer
import Synchronization
import UserDriverClient
import Wire

/// Its end is told only once the client has read all that was before: a client that dies over a page
/// has visibly not got it, however much of it the kernel holds. So the answer has no length, and is
/// sent in chunks.
final class PageBody: HTTPStream {
    private struct State: ~Copyable {
        var cursor: ObjectCursor
        var failure: ClientError?
        /// Every byte of the page is on its way.
        var isThrough = false
        /// The client has them.
        var isRead = false
        /// Since when it has not read on, and what it had left then.
        var stalled: (since: ContinuousClock.Instant, left: Int)?
        var pause = PageBody.shortest
    }
    private let state: Mutex<State>
    private let closed: @Sendable (_ isSent: Bool, ClientError?) -> Void
    private static let shortest = Duration.milliseconds(1)
    private static let longest = Duration.milliseconds(50)
    /// A client that reads nothing for so long is given up.
    private static let patience = Duration.seconds(20)

    /// `closed` is told, once, whether the client has all of it.
    init(_ object: DeviceObject, closed: @escaping @Sendable (Bool, ClientError?) -> Void) {
        state = Mutex(State(cursor: ObjectCursor(object)))
        self.closed = closed
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, prepare: () -> Void, wake: @escaping @Sendable () -> Void) -> HTTPPiece {
        state.withLock { state in
            do throws(ClientError) {
                let count = try state.cursor.read(into: buffer)
                guard count == 0 else { return .bytes(count) }
                state.isThrough = true
                return .end
            } catch {
                state.failure = error
                return .failed
            }
        }
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer, for client: borrowing HTTPClient, prepare: () -> Void,
        wake: @escaping @Sendable () -> Void
    ) -> HTTPPiece {
        let piece = read(into: buffer, prepare: prepare, wake: wake)
        guard case .end = piece else { return piece }
        let reading = client.reading
        let pause: Duration? = state.withLock { state in
            guard case .left(let left) = reading else {
                state.isRead = reading != .gone
                return nil
            }
            if state.stalled.map({ $0.left == left }) != true {
                state.stalled = (.now, left)
            } else if let stalled = state.stalled, stalled.since.duration(to: .now) > Self.patience {
                return nil
            }
            defer { state.pause = min(state.pause * 2, Self.longest) }
            return state.pause
        }
        guard let pause else { return state.withLock { $0.isRead } ? .end : .failed }
        prepare()
        Task {
            // Cancelled by nobody.
            try? await Task.sleep(for: pause)
            wake()
        }
        return .later
    }

    func close(isSent: Bool) {
        let (isRead, failure) = state.withLock { ($0.isThrough && $0.isRead, $0.failure) }
        closed(isSent && isRead, failure)
    }
}
