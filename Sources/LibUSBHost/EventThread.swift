// The thread that handles a libusb context's events, and ends the context when it is told to stop.
import CLibUSB
import CLinux
import Glibc
import Synchronization
import USB

final class EventThread: @unchecked Sendable {
    // Sendable: libusb's contexts may be used from every thread; `thread` is written before anybody else holds this object.
    private let context: OpaquePointer
    private let stopping = Atomic<Bool>(false)
    private var thread = pthread_t()
    /// What callbacks point to without owning it.
    private let kept: AnyObject

    /// Takes the context over: it is ended by this thread, or here if the thread can't be started.
    init(context: OpaquePointer, keeping kept: AnyObject) throws(USBError) {
        self.context = context
        self.kept = kept
        // Signals are for the program's own threads.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let result = pthread_create(
            &thread, nil,
            { raw in
                Unmanaged<EventThread>.fromOpaque(raw!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard result == 0 else {
            Unmanaged.passUnretained(self).release()
            libusb_exit(context)
            throw USBError(errno: result, operation: "pthread_create")
        }
    }

    var isCurrent: Bool { pthread_equal(thread, pthread_self()) != 0 }

    /// Stops the thread and waits for its end, but for the case that it is this very thread.
    func stop() {
        stopping.store(true, ordering: .releasing)
        libusb_interrupt_event_handler(context)
        if isCurrent { pthread_detach(thread) } else { pthread_join(thread, nil) }
    }

    private func run() {
        clinux_set_name("libusb-events")
        while !stopping.load(ordering: .acquiring) {
            // libusb has a timer of its own for time-outs, so that this one only ends a wait in which nothing happened at all.
            var longest = timeval(tv_sec: 3600, tv_usec: 0)
            let result = libusb_handle_events_timeout_completed(context, &longest, nil)
            if result < 0, result != LIBUSB_ERROR_INTERRUPTED.rawValue {
                // Out of memory, say: not an event that could be waited for, and no reason to take all of a processor.
                poll(nil, 0, 10)
            }
        }
        libusb_exit(context)
    }
}
