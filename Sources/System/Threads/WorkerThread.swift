// A named thread that may block, kept off Swift's cooperative pool.

import CLinux
import Glibc
import Synchronization

/// A thread that runs one closure. It has a signal stack of its own, so that a stack overflow is reported like any other crash.
///
/// To wait for its end, keep it and call `join()`. A thread whose owner releases it runs on by itself.
public final class WorkerThread: Sendable {
    /// The system has no thread to give. It throws and does not trap, because limits are the world's fault: a caller that can do without
    /// the thread does, and one that can't says so in its own error.
    public struct StartFailure: Error, Hashable, CustomStringConvertible {
        /// What `pthread_create` returned: an errno.
        public let number: Int32
        public var description: String { "pthread_create failed: \(String(cString: strerror(number)))." }
    }

    private final class Body: Sendable {
        let name: String
        let work: @Sendable () -> Void
        init(name: String, work: @escaping @Sendable () -> Void) {
            self.name = name
            self.work = work
        }
    }

    /// `nil` once it was joined: the number may be another thread's then.
    private let handle: Mutex<pthread_t?>

    /// Starts `work` at once.
    /// - Parameters:
    ///   - name: what `ps -T` and debuggers show, of which the kernel keeps 15 bytes.
    ///   - takesSignals: false leaves signals that are sent to the process to its other threads. Faults of its own (SIGSEGV…) come in any case.
    public init(name: String, takesSignals: Bool = true, _ work: @escaping @Sendable () -> Void) throws(StartFailure) {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name: name, work: work))
        var before = sigset_t()
        // The thread inherits the mask: set here, there is no moment at which it could get one.
        if !takesSignals {
            var others = Self.othersSignals()
            pthread_sigmask(SIG_BLOCK, &others, &before)
        }
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                WorkerThread.run(Unmanaged<Body>.fromOpaque(argument))
                return nil
            }, body.toOpaque())
        if !takesSignals { pthread_sigmask(SIG_SETMASK, &before, nil) }
        guard result == 0 else {
            body.release()
            throw StartFailure(number: result)
        }
        handle = Mutex(thread)
    }

    deinit {
        if let thread = handle.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Whether the caller runs on it.
    public var isCurrent: Bool { handle.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false } }

    /// Waits until the work has ended. The first call does, later ones return at once. Never to be called from the thread itself.
    public func join() {
        let thread = handle.withLock { stored in
            defer { stored = nil }
            return stored
        }
        guard let thread else { return }
        let result = pthread_join(thread, nil)
        precondition(result == 0, "a thread can't wait for its own end: errno \(result)")
    }

    private static func run(_ reference: Unmanaged<Body>) {
        clinux_use_alternate_stack()
        work(reference)
        clinux_release_alternate_stack()
    }

    /// Lets go of the closure before the thread ends: whoever joined finds it gone.
    private static func work(_ reference: Unmanaged<Body>) {
        let body = reference.takeRetainedValue()
        clinux_set_name(body.name)
        body.work()
    }

    /// All but those that a thread raises by its own faults: blocked, they would end the process without its handlers.
    private static func othersSignals() -> sigset_t {
        var set = sigset_t()
        sigfillset(&set)
        for fault in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS] { sigdelset(&set, fault) }
        return set
    }
}
