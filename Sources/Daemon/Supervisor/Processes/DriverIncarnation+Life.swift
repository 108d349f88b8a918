// What a driver process is born with, and what is told of one that has ended.

import Glibc
import Sandbox
import Spawn
import Wire

extension DriverIncarnation {
    var wasGivenDevice: Bool { givenDeviceAt != nil }
    /// It has, though the reactor may not have said so yet.
    var hasEnded: Bool {
        var entry = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    struct Settings {
        var watchdog: Watchdog.Configuration
        var stopPatience: Duration
        var teardown: [TeardownStep]
        var hangTeardown: [TeardownStep]
        var talk: Quota.Rates
        /// `nil` for a driver that nothing holds in (`--no-sandbox`).
        var sandbox: PreparedSandbox?
    }

    struct ExitReport {
        var end: ChildProcess.End
        /// What ended it, in a phrase.
        var cause: String
        /// It was asked to stop, and did.
        var wasAsked: Bool
        /// The driver's own last word, where it gave up by itself.
        var fault: CallError?
        /// What it was ended for, where it hung.
        var hang: Watchdog.Hang?
        /// What the system was short of, where that ended it: no fault of its own, nor of its device.
        var shortage: String?
        /// It gave up because the device answered nothing any more.
        var isUnresponsive: Bool
        var crashPage: CrashPage?
        var lastLines: [String]
        /// A unit of any activity (a frame, a page's bytes…) since it was started.
        var madeProgress: Bool
        /// Its stream's thread has taken a transfer.
        var hasHandled: Bool
        var lifetime: Duration
    }
}
