// What happens in a scan, for whoever listens, from whenever on.

import ScannerInterface
import Synchronization

/// Tells every listener what the others were told before it came, as far as it still matters.
final class ScanNews: Sendable {
    private struct State {
        var started: ScanProgress?
        var latest: ScanProgress?
        var end: ScanProgress?
        var listeners: [Int: AsyncStream<ScanProgress>.Continuation] = [:]
        var next = 0
    }
    private let state = Mutex(State())

    var listenerCount: Int { state.withLock { $0.listeners.count } }

    func say(_ progress: ScanProgress) {
        let listeners = state.withLock { state in
            switch progress.event {
            case .started: state.started = progress
            case .page, .waiting: state.latest = progress
            case .pageDone: state.latest = nil
            case .ended: state.end = progress
            }
            return Array(state.listeners.values)
        }
        for listener in listeners {
            listener.yield(progress)
            if progress.event == .ended { listener.finish() }
        }
    }

    /// Ends after `ended`, or with the task that iterates. What a listener does not fetch is
    /// bounded: what happened first is dropped first.
    func listen() -> AsyncStream<ScanProgress> {
        let (stream, continuation) = AsyncStream.makeStream(of: ScanProgress.self, bufferingPolicy: .bufferingNewest(256))
        state.withLock { state in
            let number = state.next
            state.next += 1
            for past in [state.started, state.end == nil ? state.latest : nil, state.end] { if let past { continuation.yield(past) } }
            if state.end == nil { state.listeners[number] = continuation } else { continuation.finish() }
            continuation.onTermination = { [weak self] _ in self?.leave(number) }
        }
        return stream
    }

    private func leave(_ number: Int) { state.withLock { _ = $0.listeners.removeValue(forKey: number) } }
}
