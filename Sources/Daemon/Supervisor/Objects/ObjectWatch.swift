// A client that wants to know when something changes about its objects.

import CLinux
import Threads
import Wire

/// A call of `WatchObjects`. It is told that there is something new, and looks itself: what it is
/// told is small, never waits for it, and can't be lost.
@SupervisorActor
final class ObjectWatch {
    private let call: ClientCall
    private let viewer: ObjectKeeper.Viewer
    private let device: String?
    private let job: String?
    private let interval: Duration
    private let timer = ReactorTimer()
    private var last: UInt64 = 0
    private var revision = 0

    init(_ call: ClientCall, _ viewer: ObjectKeeper.Viewer, device: String?, job: String?, interval: Duration) {
        self.call = call
        self.viewer = viewer
        self.device = device
        self.job = job
        self.interval = interval
    }

    func sees(_ job: KeptJob) -> Bool {
        viewer.sees(job) && (self.job == nil || self.job == job.token) && (device == nil || device == job.owner.device)
    }

    func tell(_ revision: Int) {
        self.revision = revision
        guard !timer.isSet else { return }
        let (now, due) = (clinux_monotonic_ns(), last &+ interval.nanoseconds)
        if now >= due, call.backlog == 0 { say() } else { wait(now >= due ? interval : .nanoseconds(Int64(due - now))) }
    }

    func stop() { timer.lift() }

    private func wait(_ time: Duration) {
        timer.set(after: time) { [weak self] in
            guard let self else { return }
            if self.call.backlog == 0 { self.say() } else { self.wait(self.interval * 10) }
        }
    }

    private func say() {
        last = clinux_monotonic_ns()
        call.reply(VarlinkReply(["revision": .int(Int64(revision))], continues: true))
    }
}
