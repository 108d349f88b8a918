// A thread that blocks, kept off the cooperative pool.

import CLinux
import Glibc
import Synchronization

/// A named thread of this process, with a signal stack of its own so that its stack overflow is told like any other crash.
public final class WorkerThread: Sendable {
    private final class Body: Sendable {
        let name: String
        let work: @Sendable () -> Void
        init(name: String, work: @escaping @Sendable () -> Void) {
            self.name = name
            self.work = work
        }
    }

    private let handle: Mutex<pthread_t?>

    /// Starts `work` at once. A process that can't make a thread can't do its work: that traps.
    public init(name: String, _ work: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name: name, work: work))
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                clinux_set_name(body.name)
                clinux_use_alternate_stack()
                body.work()
                return nil
            }, body.toOpaque())
        precondition(result == 0, "pthread_create failed with errno \(result)")
        handle = Mutex(thread)
    }

    /// Waits until the work has ended. Once only has an effect; never from the thread itself.
    public func join() {
        let thread = handle.withLock { stored in
            defer { stored = nil }
            return stored
        }
        if let thread { pthread_join(thread, nil) }
    }
}
