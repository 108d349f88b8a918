// What is left of a driver's process group when the driver has ended: the keeper of its transfers.

import Glibc

/// Sees to the end of keepers. They are children of this process (CLONE_PARENT) and end by themselves once the next driver has all that was in
/// flight; one that does not is ended.
@SupervisorActor
enum DriverKeepers {
    /// When it is looked, after the driver's end, and from when on it is ended. A keeper waits for two seconds to be asked.
    private static let patience: [Duration] = [.milliseconds(500), .milliseconds(1500), .seconds(2)]
    private static let last = Duration.milliseconds(100)

    /// - Parameter group: the process number of a driver that has ended, which led a group of its own.
    static func collect(group: Int32) { look(group, after: patience[...]) }

    private static func look(_ group: Int32, after waits: ArraySlice<Duration>) {
        var status: Int32 = 0
        var collected: pid_t
        repeat { collected = waitpid(-group, &status, WNOHANG) } while collected > 0
        // No child of this process is in that group.
        guard collected == 0 else { return }
        if waits.isEmpty { kill(-group, SIGKILL) }
        let timer = ReactorTimer()
        timer.set(after: waits.first ?? last) {
            withExtendedLifetime(timer) { look(group, after: waits.dropFirst()) }
        }
    }
}
