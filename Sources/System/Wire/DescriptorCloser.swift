// Closes what strangers had a hand in, on threads where waiting harms nobody.

import CLinux
import Threads

/// Descriptors whose closing may wait: sockets of clients and drivers, with whose last reference whatever lies unread in them goes too.
///
/// A stranger can attach a descriptor to a message whose closing waits for him: a TCP socket with SO_LINGER and data that nobody fetches. It waits in
/// the thread that drops the last reference, whether it was received or went with the socket that it was sent over. So:
/// - The supervisor receives no descriptors from strangers (`SocketIO.receiveBytes`): none ever gets a number here, which spares it also the files
///   whose `close` asks a file system of the stranger's (FUSE), in a wait that not even SIGKILL ends. What comes with descriptors is refused unread.
/// - The stranger's socket is closed here. A wait that a signal ends is ended by a timer after 50 ms.
/// - A thread is started when none is free, up to a bound, and ends when there is nothing to do. Beyond the bound descriptors wait, and whoever takes in
///   new ones looks at `isBehind` first.
///
/// Threads of this process do, and no other process is needed: a process that exits does not linger (the kernel skips the wait), and nothing whose
/// wait could outlast SIGKILL is ever here.
public final class DescriptorCloser: Sendable {
    private struct State {
        var waiting: [Int32] = []
        var threads = 0
        var idle = 0
    }

    public static let shared = DescriptorCloser()

    /// Milliseconds that a close may take that can be interrupted.
    private static let patience: UInt32 = 50
    /// How long a thread with nothing to do stays.
    private static let idleTime: UInt64 = 2_000_000_000
    private static let tolerableBacklog = 64

    private let maximumThreads: Int
    private let state = Monitored(State())

    init(maximumThreads: Int = 16) { self.maximumThreads = maximumThreads }

    /// Closes them soon, in their order. Returns at once.
    public func close(_ descriptors: [Int32]) {
        guard !descriptors.isEmpty else { return }
        let mustStart = state.change { state in
            state.waiting += descriptors
            guard state.waiting.count > state.idle, state.threads < maximumThreads else { return false }
            state.threads += 1
            return true
        }
        if mustStart { startThread() }
    }

    public func close(_ descriptor: Int32) { close([descriptor]) }

    /// Closing does not keep up: accept nothing more that has to be closed.
    public var isBehind: Bool { state.withLock { $0.waiting.count > Self.tolerableBacklog } }

    private func startThread() {
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "closer", takesSignals: false) { [self] in run() }
        } catch {
            // Those that run already go on; where there are none, the next call tries again.
            state.withLock { $0.threads -= 1 }
        }
    }

    private func run() {
        while true {
            let deadline = clinux_monotonic_ns() + Self.idleTime
            state.withLock { $0.idle += 1 }
            let next = state.wait(until: deadline) { state -> Int32? in
                guard !state.waiting.isEmpty else { return nil }
                state.idle -= 1
                return state.waiting.removeFirst()
            }
            if let next {
                clinux_close_impatiently(next, Self.patience)
                continue
            }
            let mayEnd = state.withLock { state in
                state.idle -= 1
                guard state.waiting.isEmpty else { return false }
                state.threads -= 1
                return true
            }
            if mayEnd { return }
        }
    }
}
