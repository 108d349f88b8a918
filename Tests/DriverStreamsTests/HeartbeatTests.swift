// What tells the supervisor that a driver is alive.

import CLinux
import Testing
import Threads

@testable import UserDriver

/// Waits are done on threads of their own: beats need the ones that tests run on.
@Suite(.timeLimit(.minutes(1))) struct HeartbeatTests {
    @Test(arguments: [true, false]) func goesOn(isBusy: Bool) async throws {
        let beats = Monitored(0)
        let heartbeat = Heartbeat(interval: .milliseconds(5)) {
            beats.change { $0 += 1 }
            return isBusy
        }
        try heartbeat.start()
        await blocking("beats") { withExtendedLifetime(heartbeat) { _ = beats.wait { $0 >= 20 ? true : nil } } }
    }

    /// A task that does not end is a driver that hangs: no other says that it is alive.
    @Test func fallsSilentWhereOneCannotBeSaid() async throws {
        let (beats, isOver) = (Monitored(0), Monitored(false))
        let heartbeat = Heartbeat(interval: .milliseconds(5)) {
            beats.change { $0 += 1 }
            _ = isOver.wait { $0 ? true : nil }
            return true
        }
        try heartbeat.start()
        let silent = await blocking("beats") {
            _ = beats.wait { $0 > 0 ? true : nil }
            // The time of many: that nothing comes can only be waited out.
            let another = beats.wait(until: clinux_monotonic_ns() + 200_000_000) { $0 > 1 ? true : nil }
            isOver.change { $0 = true }
            _ = beats.wait { $0 >= 3 ? true : nil }
            return withExtendedLifetime(heartbeat) { another == nil }
        }
        #expect(silent)
    }
}
