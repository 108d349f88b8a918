// The listening thread: what is offered, and who gets it.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Threads
import USBIP

/// Accepts connections and answers the one request that each begins with. A slow or silent client holds up nobody else.
final class Listener: Sendable {
    private static let mostConnections = 32
    private static let patience: UInt64 = 5_000_000_000

    private let socket: OwnedDescriptor
    private let wake: OwnedDescriptor
    private let ports: [EmulatedPort]
    private let lateness: EmulationServer.Lateness
    private let log: (@Sendable (String) -> Void)?
    private let ending = Atomic<Bool>(false)

    init(socket: consuming OwnedDescriptor, ports: [EmulatedPort], lateness: EmulationServer.Lateness, log: (@Sendable (String) -> Void)?) {
        self.socket = socket
        self.ports = ports
        self.lateness = lateness
        self.log = log
        let made = clinux_eventfd()
        precondition(made >= 0, "an eventfd for the listening thread, errno \(-made)")
        wake = OwnedDescriptor(made)
    }

    /// Makes `run` return.
    func end() {
        ending.store(true, ordering: .releasing)
        var one: UInt64 = 1
        _ = write(wake.number, &one, 8)
    }

    /// The thread's work.
    func run() {
        var connections: [Handshake] = []
        var acceptAfter: UInt64 = 0
        while !ending.load(ordering: .acquiring) {
            let now = clinux_monotonic_ns()
            let accepts = connections.count < Self.mostConnections && now >= acceptAfter
            var polled = [pollfd(fd: wake.number, events: Int16(POLLIN), revents: 0)]
            polled.append(pollfd(fd: accepts ? socket.number : -1, events: Int16(POLLIN), revents: 0))
            for connection in connections { polled.append(pollfd(fd: connection.socket, events: connection.events, revents: 0)) }
            var deadline = connections.map(\.deadline).min()
            if now < acceptAfter { deadline = min(deadline ?? acceptAfter, acceptAfter) }
            let wait = deadline.map { Int64(clamping: $0 > now ? $0 - now : 0) } ?? -1
            _ = clinux_poll(&polled, UInt(polled.count), wait)

            if polled[1].revents != 0 {
                let accepted = clinux_tcp_accept(socket.number)
                if accepted >= 0 {
                    connections.append(Handshake(socket: accepted, deadline: clinux_monotonic_ns() + Self.patience))
                } else if accepted != -EAGAIN, accepted != -ECONNABORTED, accepted != -EINTR {
                    log?("Connections can't be accepted: \(String(cString: strerror(-accepted))).")
                    acceptAfter = clinux_monotonic_ns() + 100_000_000
                }
            }
            let time = clinux_monotonic_ns()
            for (connection, entry) in zip(connections, polled.dropFirst(2)) {
                if entry.revents != 0 { step(connection) } else if time >= connection.deadline { connection.finish() }
            }
            connections.removeAll(where: \.isFinished)
        }
        for connection in connections { connection.finish() }
    }

    private func step(_ connection: Handshake) {
        guard let request = connection.step() else { return }
        switch request {
        case .deviceList:
            connection.answer(DeviceList(ports.filter(\.signal.isOffered).map(\.listEntry)).bytes)
        case .importDevice(let busID):
            importDevice(busID, connection)
        case .refused(let error):
            log?("A client was refused: \(error)")
            connection.answer(OperationHeader(.replyDeviceList, status: .error).bytes)
        }
    }

    private func importDevice(_ busID: String, _ connection: Handshake) {
        guard let port = ports.first(where: { $0.busID == busID }) else {
            log?("A client asked for \(busID), which does not exist here.")
            return connection.answer(OperationHeader(.replyImport, status: .noDevice).bytes)
        }
        switch port.signal.claim() {
        case .hidden:
            connection.answer(OperationHeader(.replyImport, status: .noDevice).bytes)
        case .busy:
            log?("\(busID) was asked for again while it is in use.")
            connection.answer(OperationHeader(.replyImport, status: .busy).bytes)
        case .granted:
            let lateness = lateness
            let log = log
            connection.answer(OperationHeader(.replyImport).bytes + port.record.bytes) { socket in
                guard let socket else { return port.signal.release() }
                do throws(WorkerThread.StartFailure) {
                    try port.run {
                        BusEngine(port: port, socket: socket, lateness: lateness, log: log).run()
                        port.signal.release()
                    }
                } catch {
                    log?("\(busID) has no thread to run on: \(String(cString: strerror(error.number))).")
                    close(socket)
                    port.signal.release()
                }
            }
        }
    }
}
