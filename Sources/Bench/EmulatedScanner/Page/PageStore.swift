// Pages that are being drawn, and the last ones that were: drawing takes longer than a bus waits.

import Pictures
import Synchronization
import Threads

final class PageStore: Sendable {
    private static let mostPages = 4

    private enum Entry {
        case drawing([@Sendable ([UInt8]?) -> Void])
        case drawn([UInt8]?)
    }

    private struct State {
        var entries: [PageOrder: Entry] = [:]
        /// Drawn ones, the oldest first.
        var order: [PageOrder] = []
    }
    private let state = Mutex(State())

    /// Calls `done` once the page is there, at once or from another thread; with `nil` if it can't be
    /// drawn.
    func request(_ order: PageOrder, done: @escaping @Sendable ([UInt8]?) -> Void) {
        enum Step {
            case give([UInt8]?)
            case draw
            case wait
        }
        let step = state.withLock { state -> Step in
            switch state.entries[order] {
            case .drawn(let bytes): return .give(bytes)
            case .drawing(let waiting):
                state.entries[order] = .drawing(waiting + [done])
                return .wait
            case nil:
                state.entries[order] = .drawing([done])
                return .draw
            }
        }
        switch step {
        case .give(let bytes): done(bytes)
        case .wait: break
        case .draw:
            do throws(WorkerThread.StartFailure) {
                _ = try WorkerThread(name: "scanner page") { self.draw(order) }
            } catch {
                draw(order)
            }
        }
    }

    private func draw(_ order: PageOrder) {
        var bytes: [UInt8]?
        do throws(PictureError) { bytes = try PageFile.encoded(order) } catch {}
        let result = bytes
        let waiting = state.withLock { state -> [@Sendable ([UInt8]?) -> Void] in
            guard case .drawing(let waiting)? = state.entries[order] else { return [] }
            state.entries[order] = .drawn(result)
            state.order.append(order)
            if state.order.count > Self.mostPages { state.entries[state.order.removeFirst()] = nil }
            return waiting
        }
        for done in waiting { done(result) }
    }
}
