// A device in software on one socket, whose other end somebody has given to a USB/IP host: `vhci_hcd`, or a test that plays one.

import Glibc
import Synchronization
import Threads
public import USB

/// Serves one device on one connected stream socket, on a thread of its own, until the host goes or the connection is ended. There is no
/// listening and no import: the host knows which device this is.
public final class EmulatedConnection: Sendable {
    private let port: EmulatedPort
    private let isOver = Atomic<Bool>(false)

    /// Owns the socket, also when it throws.
    /// - Parameters:
    ///   - name: the device's, in `log` and for the thread.
    ///   - ended: called on the connection's thread once it is over, no matter which side ended it.
    public init(
        device: any EmulatedDevice, socket: Int32, name: String, log: (@Sendable (String) -> Void)? = nil,
        ended: (@Sendable () -> Void)? = nil
    ) throws(USBError) {
        port = EmulatedPort(busID: name, number: 2, device: device)
        _ = port.signal.claim()
        do throws(WorkerThread.StartFailure) {
            try port.run { [port, weak self] in
                BusEngine(port: port, socket: socket, lateness: .drop, log: log).run()
                self?.isOver.store(true, ordering: .releasing)
                ended?()
            }
        } catch {
            close(socket)
            throw USBError(.connection, operation: "pthread_create", detail: String(cString: strerror(error.number)))
        }
    }

    deinit { port.signal.end() }

    /// Whether the host is gone, or `end` was called.
    public var hasEnded: Bool { isOver.load(ordering: .acquiring) }

    /// The device is unplugged: what is in flight ends, and the host sees the socket's end. Returns at once.
    public func end() {
        isOver.store(true, ordering: .releasing)
        port.signal.end()
    }

    /// Waits for the connection's end. Never from the device's own methods.
    public func join() { port.join() }
}
