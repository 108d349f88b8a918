// A device whose driver can't be started because the system is short of something: waited out, named, and not held against it.

import Wire

extension DriverFunction {
    /// What is waited for, and how long until the next try.
    struct Want {
        var shortage: Shortage
        var delay: Duration
    }

    private static let longestWait = Duration.seconds(5)

    /// Tries again until there is enough, ever more rarely. It is not a death: neither the restart
    /// policy nor a driver's probation counts it, and what is held of the device is kept.
    func waitOut(_ shortage: Shortage) {
        attempt += 1
        changeStart { $0.opened = nil }
        // Also where opening it was under way.
        if hold != nil { isHeld = true }
        let want = phase.want
        let delay = want.map { min($0.delay * 2, Self.longestWait) } ?? timing.firstRestartDelay
        let isNews = want?.shortage != shortage
        enter(
            .backoff(
                why: "The system is short of resources: \(shortage.text). Trying again in \(delay.text).",
                want: Want(shortage: shortage, delay: delay)))
        if isNews {
            announce("backoff", "\(name): the system is short of resources: \(shortage.text). Trying again until there is enough.")
            tellViewers(.notice("The system is short of resources (\(shortage.text)); the driver starts once there is enough."))
        }
        restartTimer.set(after: delay) { [weak self] in self?.startWhenFree() }
    }
}
