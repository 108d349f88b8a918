// Pictures for one browser, as fast as it takes them.

import HTTPServer
import Synchronization

final class PictureStream: HTTPStream {
    private struct State {
        var picture: FeedPicture
        var offset = 0
        var isOpened = false
        var isClosed = false
    }

    private let feed: CameraFeed
    private let state: Mutex<State>
    private let leave: @Sendable () -> Void
    /// A picture is sent again after that time without a new one: so a browser that has gone is noticed.
    private static let repetition: Duration = .seconds(5)

    init(first: FeedPicture, feed: CameraFeed, leave: @escaping @Sendable () -> Void) {
        self.feed = feed
        self.leave = leave
        state = Mutex(State(picture: first))
    }

    /// Fills the buffer with what comes next. `prepare` is called before a `later`, and `wake` after it.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, prepare: () -> Void, wake: @escaping @Sendable () -> Void
    ) -> HTTPPiece {
        if state.withLock({ !$0.isOpened }) {
            let opening = Array(FeedPicture.opening.utf8)
            guard buffer.count >= opening.count else { return .end }
            buffer.copyBytes(from: opening)
            state.withLock { $0.isOpened = true }
            return .bytes(opening.count)
        }
        let sent = state.withLock { state in
            let rest = state.picture.part[state.offset...].prefix(buffer.count)
            buffer.copyBytes(from: rest)
            state.offset += rest.count
            return rest.count
        }
        if sent > 0 { return .bytes(sent) }
        let number = state.withLock { $0.picture.number }
        if let next = feed.newest(after: number) {
            take(next)
            return read(into: buffer, prepare: prepare, wake: wake)
        }
        if feed.end != nil { return .end }
        prepare()
        Task { [feed] in
            let next = await within(Self.repetition) { await feed.next(after: number) }
            if let next { self.take(next) } else { self.state.withLock { $0.offset = 0 } }
            wake()
        }
        return .later
    }

    private func take(_ picture: FeedPicture) {
        state.withLock { ($0.picture, $0.offset) = (picture, 0) }
    }

    /// The browser has gone.
    func close(isSent: Bool) {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if isFirst { leave() }
    }
}
