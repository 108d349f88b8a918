// Somebody who turns a knob all along: calls to drivers that are about to die.

import UserDriverClient

/// What became of the calls.
struct ControlTally: Sendable {
    var calls: UInt64 = 0
    var succeeded: UInt64 = 0
    /// By the error's code: `driverRestarted` is what a call may say that was in flight at a death.
    var failed: [String: UInt64] = [:]
    /// Calls that the camera answered with another value than was set.
    var wrong: UInt64 = 0
    /// Calls that nobody answered within the client's patience.
    var hung: UInt64 = 0

    mutating func add(_ other: ControlTally) {
        calls += other.calls
        succeeded += other.succeeded
        failed.merge(other.failed) { $0 + $1 }
        wrong += other.wrong
        hung += other.hung
    }
}

enum ControlLoad {
    /// Sets a control of a camera twice a second, until the task is cancelled.
    static func run(_ camera: Camera, seed: UInt64) async -> ControlTally {
        var random = SplitMix(state: ~seed)
        var tally = ControlTally()
        while !Task.isCancelled {
            let value = Int(random.next() % 64)
            do throws(ClientError) {
                let control = try await camera.setControl("brightness", to: value)
                tally.succeeded += 1
                if control.value != value { tally.wrong += 1 }
            } catch {
                // A call that this task's own end stopped is none.
                if Task.isCancelled { break }
                tally.failed[error.code.description, default: 0] += 1
                if error.code == .timedOut { tally.hung += 1 }
            }
            tally.calls += 1
            // The load's pace: two calls a second.
            do { try await Task.sleep(for: .milliseconds(500)) } catch { break }
        }
        return tally
    }
}
