// A device in software on a USB device controller: the way to a host at the other end of a real cable.

import CLinux
import Glibc
import Synchronization
import Threads
public import USB

/// Serves an emulated device through a USB device controller of this machine (a board's OTG port, or `dummy_hcd`), by GadgetFS.
///
/// Full and high speed, one configuration of at most 256 bytes, only endpoints that send, none of them isochronous. A class request with
/// data to the device can't be refused, and most controllers don't report that a halt was cleared. Needs root.
public final class USBGadget: Sendable {
    private struct Running {
        var signal: PortSignal
        var thread: WorkerThread
        var markStopping: @Sendable () -> Void
    }

    private let device: any EmulatedDevice
    private let descriptors: EmulatedDescriptors
    private let controller: String?
    private let log: (@Sendable (String) -> Void)?
    private let running = Mutex<Running?>(nil)

    /// - Parameters:
    ///   - device: its descriptors are read once, here.
    ///   - controller: the name in /sys/class/udc that is expected; the kernel takes the first that is free.
    ///   - log: told of hosts that come and go, in full sentences, from any thread.
    public init(_ device: any EmulatedDevice, controller: String? = nil, log: (@Sendable (String) -> Void)? = nil) {
        self.device = device
        descriptors = device.descriptors
        self.controller = controller
        self.log = log
    }

    deinit { stop() }

    /// Puts the device on the bus and returns the controller's name. It must be stopped before it is started again.
    @discardableResult
    public func start() throws(USBError) -> String {
        let allowed = clinux_allow_interruption()
        guard allowed == 0 else { throw USBError(errno: -allowed, operation: "sigaction(SIGURG)") }
        let files = try GadgetFileSystem(wanted: controller)
        let signal = PortSignal()
        _ = signal.claim()
        let first = try GadgetEngine(device, descriptors: descriptors, files: files, signal: signal, log: log)
        let stopping = Monitored(false)
        let name = files.controller
        let run = Life(engine: first, files: files, signal: signal, stopping: stopping, log: log)
        do throws(WorkerThread.StartFailure) {
            let thread = try WorkerThread(name: "usb \(name)") { run.run() }
            running.withLock {
                precondition($0 == nil, "the gadget is running already")
                $0 = Running(signal: signal, thread: thread, markStopping: { stopping.change { $0 = true } })
            }
        } catch {
            throw USBError(.fault, operation: "pthread_create", detail: "\(error)")
        }
        return name
    }

    /// Takes the device off the bus and waits for its threads. May be called twice; never from a device's own methods.
    public func stop() {
        let ended = running.withLock { state in
            defer { state = nil }
            return state
        }
        guard let ended else { return }
        ended.markStopping()
        ended.signal.end()
        ended.thread.join()
    }
}

/// The gadget's thread: one engine after another, as the device's cable is pulled and plugged in again.
private final class Life: @unchecked Sendable {
    // Sendable: made by the starting thread, then used by the gadget's thread only.
    private var engine: GadgetEngine?
    private let files: GadgetFileSystem
    private let signal: PortSignal
    private let stopping: Monitored<Bool>
    private let log: (@Sendable (String) -> Void)?
    private let device: any EmulatedDevice
    private let descriptors: EmulatedDescriptors

    init(
        engine: GadgetEngine, files: GadgetFileSystem, signal: PortSignal, stopping: Monitored<Bool>, log: (@Sendable (String) -> Void)?
    ) {
        self.engine = engine
        self.files = files
        self.signal = signal
        self.stopping = stopping
        self.log = log
        device = engine.device
        descriptors = engine.descriptors
    }

    func run() {
        while true {
            engine?.run()
            engine = nil
            signal.release()
            while true {
                if stopping.withLock({ $0 }) { return }
                if case .granted = signal.claim() { break }
                var wake = [pollfd(fd: signal.wake, events: Int16(POLLIN), revents: 0)]
                _ = clinux_poll(&wake, 1, -1)
                _ = signal.takeReady()
            }
            if stopping.withLock({ $0 }) { return }
            do throws(USBError) {
                engine = try GadgetEngine(device, descriptors: descriptors, files: files, signal: signal, log: log)
            } catch {
                log?("The device can't be plugged in again: \(error)")
                return
            }
        }
    }
}
