// What is left of a driver's process group when the driver has ended: the keeper of its transfers.

import CLinux
import Glibc
import Threads

/// Sees to the end of keepers. They are children of this process (CLONE_PARENT), or were children of an earlier supervisor. A keeper ends by itself
/// once the next driver has all that was in flight; one that does not, or that nobody needs, is ended.
@SupervisorActor
enum DriverKeepers {
    private struct Group {
        var isOurs: Bool
        /// When it is ended, CLOCK_MONOTONIC ns.
        var deadline: UInt64
        let timer = ReactorTimer()
    }

    /// Groups whose leaders have ended, as long as somebody is left.
    private static var groups: [Int32: Group] = [:]
    private static let interval = Duration.seconds(2)
    /// After the driver's end. A keeper that does what it should ends after a minute.
    private static let limit = Duration.seconds(64)

    /// - Parameters:
    ///   - group: the process number of a driver that has ended, which led a group of its own.
    ///   - isOurs: false for the driver of an earlier supervisor, whose parent is another by now.
    static func collect(group: Int32, isOurs: Bool = true) {
        groups[group] = Group(isOurs: isOurs, deadline: clinux_monotonic_ns() + limit.nanoseconds)
        // Somebody else may not have collected the leader yet.
        if isOurs { look(group) } else { lookLater(group) }
    }

    static func isLeft(_ group: Int32) -> Bool { groups[group] != nil }

    /// Ends them: nobody takes over what their drivers left in flight. Returns once ours have ended, and with them what they held of the kernel's
    /// memory.
    static func end(_ list: [Int32]) async {
        for group in list {
            // An orphan's leader may not have been collected yet, so what is left of its group is looked at later.
            if groups[group]?.isOurs == true { look(group) }
            guard let left = groups[group] else { continue }
            kill(-group, SIGKILL)
            guard left.isOurs else { continue }
            await blocking("keeper") { while waitpid(-group, nil, 0) > 0 || errno == EINTR {} }
            look(group)
        }
    }

    private static func look(_ group: Int32) {
        guard let left = groups[group] else { return }
        guard left.isOurs ? hasChild(in: group) : hasOrphan(in: group) else {
            left.timer.lift()
            groups[group] = nil
            return
        }
        if clinux_monotonic_ns() >= left.deadline { kill(-group, SIGKILL) }
        lookLater(group)
    }

    private static func lookLater(_ group: Int32) { groups[group]?.timer.set(after: interval) { look(group) } }

    /// Collects those that have ended. While one is there, nobody else gets the group's number.
    private static func hasChild(in group: Int32) -> Bool {
        var collected: pid_t
        repeat { collected = waitpid(-group, nil, WNOHANG) } while collected > 0
        return collected == 0
    }

    /// The same number may be another group's by now, but then it has a leader.
    private static func hasOrphan(in group: Int32) -> Bool { kill(-group, 0) == 0 && getpgid(group) == -1 }
}
