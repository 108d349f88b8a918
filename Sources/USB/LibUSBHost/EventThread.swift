// The thread that handles a libusb context's events, and ends the context when it is told to stop.
import CLibUSB
import Glibc
import Synchronization
import Threads
import USB
import USBFS

final class EventThread: @unchecked Sendable {
    // Sendable: libusb's contexts may be used from every thread; `thread` is written before anybody else holds this object.
    private let context: OpaquePointer
    private let stopping = Atomic<Bool>(false)
    private var thread: WorkerThread?
    /// What callbacks point to without owning it.
    private let kept: AnyObject

    /// Takes the context over: it is ended by this thread, or here if the thread can't be started.
    init(context: OpaquePointer, keeping kept: AnyObject) throws(USBError) {
        self.context = context
        self.kept = kept
        do throws(WorkerThread.StartFailure) {
            // Signals are for the program's own threads.
            thread = try WorkerThread(name: "libusb-events", takesSignals: false) { self.run() }
        } catch {
            libusb_exit(context)
            throw USBError(errno: error.number, operation: "pthread_create")
        }
    }

    var isCurrent: Bool { thread?.isCurrent ?? false }

    /// Stops the thread and waits for its end, but for the case that it is this very thread.
    func stop() {
        stopping.store(true, ordering: .releasing)
        libusb_interrupt_event_handler(context)
        if !isCurrent { thread?.join() }
    }

    private func run() {
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
