// A USB/IP server of devices in software: starts and ends the threads.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Threads
public import USB

/// Offers emulated devices over USB/IP 1.1.1 (TCP): Linux's `usbip attach` and `USBIPHost` import them.
///
/// A listening thread answers lists and imports; each imported device runs on a thread of its own. Every plugged-in device is listed, even
/// if it is in use; then its import is refused as busy.
public final class EmulationServer: Sendable {
    /// What happens to isochronous slots that no host asked for in time.
    public enum Lateness: Sendable {
        /// They are lost, as on a real bus: the device sees time jump.
        case drop
        /// The bus waits, for the host and for a device that is not ready: its time goes on where it stopped, and falls behind the clock.
        /// For judging correctness only.
        case hold
    }

    private struct Running {
        var listener: Listener
        var thread: WorkerThread
    }

    private let ports: [EmulatedPort]
    private let address: String
    private let port: UInt16
    private let lateness: Lateness
    private let log: (@Sendable (String) -> Void)?
    private let running = Mutex<Running?>(nil)

    /// - Parameters:
    ///   - devices: bus ids (at most 31 bytes, each once) with their devices, whose descriptors are read once, here.
    ///   - address: a numeric address to listen at.
    ///   - port: 3240 is what clients expect; 0 lets the kernel choose.
    ///   - log: told of connections, in full sentences, from any thread.
    public init(
        devices: [(busID: String, device: any EmulatedDevice)], address: String = "127.0.0.1", port: UInt16 = 3240,
        lateness: Lateness = .drop, log: (@Sendable (String) -> Void)? = nil
    ) {
        precondition(Set(devices.map(\.busID)).count == devices.count, "bus ids must be unique")
        precondition(devices.allSatisfy { (1...31).contains($0.busID.utf8.count) }, "a bus id must have 1 to 31 bytes")
        ports = devices.enumerated().map { EmulatedPort(busID: $1.busID, number: $0 + 2, device: $1.device) }
        self.address = address
        self.port = port
        self.lateness = lateness
        self.log = log
    }

    deinit { stop() }

    /// Starts listening and returns the port. It must be stopped before it is started again.
    @discardableResult
    public func start() throws(USBError) -> UInt16 {
        var actual: UInt16 = 0
        let bound = clinux_tcp_listen(address, port, &actual)
        guard let socket = OwnedDescriptor(opened: bound) else {
            let code: USBError.Code =
                switch -bound {
                case EADDRINUSE: .busy
                case EACCES: .accessDenied
                default: .connection
                }
            throw USBError(code, operation: "listen at \(address):\(port)", detail: String(cString: strerror(-bound)))
        }
        let listener = Listener(socket: socket, ports: ports, lateness: lateness, log: log)
        let result = running.withLock { state -> Int32? in
            precondition(state == nil, "the server is running already")
            do throws(WorkerThread.StartFailure) {
                state = Running(listener: listener, thread: try WorkerThread(name: "usbip listen") { listener.run() })
                return nil
            } catch { return error.number }
        }
        if let result { throw USBError(.connection, operation: "pthread_create", detail: String(cString: strerror(result))) }
        return actual
    }

    /// Ends every connection and waits for the threads. May be called twice; never from a device's own methods.
    public func stop() {
        let ended = running.withLock { state in
            defer { state = nil }
            return state
        }
        guard let ended else { return }
        ended.listener.end()
        ended.thread.join()
        for port in ports { port.signal.end() }
        for port in ports { port.join() }
    }
}
