// An answer whose bytes come from somewhere piece by piece, and are never all here.

import HTTPServer
import Synchronization

/// Where they come from.
protocol Pieces: Actor {
    /// What comes next, not nothing; `nil` at the end.
    func next() async throws -> [UInt8]?
}

final class PieceStream: HTTPStream {
    private struct State {
        enum End { case whole, failed }
        var piece: [UInt8] = []
        /// Of the piece.
        var offset = 0
        var given = 0
        var end: End?
    }

    private let pieces: any Pieces
    private let length: Int?
    private let closed: @Sendable (_ isWhole: Bool) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - length: of all pieces, where that is known.
    ///   - closed: told, once, whether the browser's side has every byte.
    init(_ pieces: any Pieces, length: Int?, closed: @escaping @Sendable (_ isWhole: Bool) -> Void) {
        self.pieces = pieces
        self.length = length
        self.closed = closed
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, prepare: () -> Void, wake: @escaping @Sendable () -> Void) -> HTTPPiece {
        let (sent, end) = state.withLock { state in
            let rest = state.piece[state.offset...].prefix(buffer.count)
            buffer.copyBytes(from: rest)
            state.offset += rest.count
            state.given += rest.count
            return (rest.count, state.end)
        }
        if sent > 0 { return .bytes(sent) }
        switch end {
        case .whole: return .end
        case .failed: return .failed
        case nil: break
        }
        prepare()
        Task {
            await fetch()
            wake()
        }
        return .later
    }

    private func fetch() async {
        let next: [UInt8]?
        do { next = try await pieces.next() } catch { return state.withLock { $0.end = .failed } }
        state.withLock { state in
            if let next { (state.piece, state.offset) = (next, 0) } else { state.end = .whole }
        }
    }

    func close(isSent: Bool) {
        // Of a known length the library does not ask for the end.
        let isWhole = state.withLock { $0.end == .whole || $0.end == nil && $0.given == length }
        closed(isSent && isWhole)
    }
}
