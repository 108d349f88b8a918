// Waiting for a daemon to come back: the folder of its socket is watched, so that it is found at once.

import CLinux
import FileDescriptors
import Glibc

/// Waits between attempts to reach a daemon: until something changes in its folder, at most an interval that doubles from 20 ms to 1 s.
final class Comeback {
    private let directory: RuntimeDirectory
    private let cancellation: Cancellation
    private let notifier: OwnedDescriptor?
    private var interval: UInt64 = Comeback.shortest
    private var watched: (path: String, number: Int32)?
    private static let shortest: UInt64 = 20_000_000
    private static let longest: UInt64 = 1_000_000_000

    init(_ directory: RuntimeDirectory, cancellation: Cancellation) {
        self.directory = directory
        self.cancellation = cancellation
        notifier = OwnedDescriptor(opened: inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)))
        watch()
    }

    /// Watches the folder, or as long as that is not there the one it will be made in.
    private func watch() {
        guard let notifier = notifier.number else { return }
        var path = directory.path
        let events = UInt32(IN_CREATE) | UInt32(IN_MOVED_TO) | UInt32(IN_ATTRIB) | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF)
        while true {
            if let watched, watched.path == path, path == directory.path { return }
            let number = inotify_add_watch(notifier, path, events)
            if number >= 0 {
                if let old = watched, old.number != number { inotify_rm_watch(notifier, old.number) }
                watched = (path, number)
                return
            }
            guard let slash = path.lastIndex(of: "/"), path != "/" else { return }
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
    }

    /// Waits for an interval, whatever happens in the folder; the next one is longer. Returns early when cancelled.
    func rest() {
        var entry = pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, Int32(interval / 1_000_000))
        interval = min(interval * 2, Self.longest)
    }

    /// From now on intervals are short again.
    func restart() { interval = Self.shortest }

    /// `deadline` is CLOCK_MONOTONIC ns. Returns early when cancelled.
    func wait(until deadline: UInt64) {
        let now = clinux_monotonic_ns()
        let milliseconds = Int32((min(interval, deadline > now ? deadline - now : 0) + 999_999) / 1_000_000)
        var entries = [
            pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: notifier.number ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        let ready = poll(&entries, 2, milliseconds)
        guard ready > 0, entries[1].revents != 0, let notifier = notifier.number else {
            interval = min(interval * 2, Self.longest)
            return
        }
        interval = Self.shortest
        var buffer = [UInt8](repeating: 0, count: 4096)
        while read(notifier, &buffer, buffer.count) > 0 { watched = nil }
        watch()
    }
}
