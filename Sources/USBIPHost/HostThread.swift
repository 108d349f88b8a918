// A named thread that blocks, kept off the cooperative pool.

import CLinux
import Glibc
import Synchronization
import USB

/// Runs `work` at once on a thread of its own.
final class HostThread: Sendable {
    private final class Body: Sendable {
        let name: String
        let work: @Sendable () -> Void
        init(name: String, work: @escaping @Sendable () -> Void) {
            self.name = name
            self.work = work
        }
    }

    private let handle: Mutex<pthread_t?>

    /// A detached thread can't be joined.
    init(name: String, isDetached: Bool = false, _ work: @escaping @Sendable () -> Void) throws(USBError) {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name: name, work: work))
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                clinux_set_name(body.name)
                body.work()
                return nil
            }, body.toOpaque())
        guard result == 0 else {
            body.release()
            throw USBError(.connection, operation: "pthread_create", detail: errorText(result))
        }
        if isDetached { pthread_detach(thread) }
        handle = Mutex(isDetached ? nil : thread)
    }

    /// Waits until the work has ended. Has an effect once; never from the thread itself.
    func join() {
        let thread = handle.withLock { stored in
            defer { stored = nil }
            return stored
        }
        if let thread { pthread_join(thread, nil) }
    }
}
