// What a person does to a camera by hand: its button, and the shutter in front of its lens.

import Synchronization
import USBEmulation

/// Done from any thread, noticed by the camera on its engine's.
final class WebcamHands: Sendable {
    private struct State {
        var signal: (any EmulationSignal)?
        var isShut = false
        /// Presses and releases that the camera has not noticed yet.
        var button: [Bool] = []
    }
    private let state = Mutex(State())
    private static let mostPresses = 16

    /// On the bus, or with `nil` off it.
    func attach(_ signal: (any EmulationSignal)?) {
        state.withLock { state in
            state.signal = signal
            state.button = []
        }
    }

    func pressButton() {
        ring { state in
            if state.button.count < Self.mostPresses { state.button += [true, false] }
        }
    }

    func moveShutter() { ring { $0.isShut.toggle() } }

    private func ring(_ change: (inout State) -> Void) {
        let signal = state.withLock { state in
            change(&state)
            return state.signal
        }
        signal?.ready(endpoint: WebcamInterface.statusEndpoint)
    }

    /// What was done since the last time.
    func take() -> (isShut: Bool, button: [Bool]) {
        state.withLock { state in
            defer { state.button = [] }
            return (state.isShut, state.button)
        }
    }
}
