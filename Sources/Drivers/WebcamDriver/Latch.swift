// A flag that is set once, and what is to happen then.

import Synchronization

/// Set once, from any thread; an action registered before or after is run once it is.
final class Latch: Sendable {
    private struct State {
        var isSet = false
        var action: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    var isSet: Bool { state.withLock { $0.isSet } }

    func whenSet(_ action: @escaping @Sendable () -> Void) {
        let now = state.withLock { state in
            if !state.isSet { state.action = action }
            return state.isSet
        }
        if now { action() }
    }

    func set() {
        let action = state.withLock { state in
            state.isSet = true
            defer { state.action = nil }
            return state.action
        }
        action?()
    }
}
