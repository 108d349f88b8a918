// The first phase of a connection, done with blocking calls on a thread of its own.

import CLinux
import FileDescriptors
import Glibc
import Threads
import USB
import USBIP

/// A socket with a deadline for everything that is done on it.
struct ServerConnection: ~Copyable {
    private let socket: OwnedDescriptor
    private let deadline: UInt64
    private let server: String

    init(host: String, port: UInt16, timeout: Duration) throws(USBError) {
        server = "\(host):\(port)"
        deadline = clinux_monotonic_ns() + timeout.nanoseconds
        let milliseconds = Int32(clamping: max(1, timeout.nanoseconds / 1_000_000))
        let connected = clinux_tcp_connect(host, port, milliseconds)
        guard let socket = OwnedDescriptor(opened: connected) else {
            let code: USBError.Code =
                switch -connected {
                case ETIMEDOUT: .timedOut
                case EMFILE, ENFILE, ENOMEM, ENOBUFS: .shortage
                default: .connection
                }
            throw USBError(code, operation: "connect to \(server)", detail: errorText(-connected))
        }
        self.socket = socket
    }

    /// Gives the socket away.
    consuming func take() -> OwnedDescriptor { socket }

    func send(_ bytes: [UInt8]) throws(USBError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { clinux_send_now(socket.number, $0.baseAddress! + sent, UInt(bytes.count - sent)) }
            if count == -Int(EAGAIN) {
                try wait(Int16(POLLOUT))
            } else if count < 0 {
                throw USBError(.connection, operation: "send to \(server)", detail: errorText(Int32(clamping: -count)))
            } else {
                sent += count
            }
        }
    }

    /// Appends exactly `count` bytes to `bytes`.
    func receive(_ count: Int, into bytes: inout [UInt8]) throws(USBError) {
        let end = bytes.count + count
        var chunk = [UInt8](repeating: 0, count: min(count, 64 << 10))
        while bytes.count < end {
            let received = clinux_receive_now(socket.number, &chunk, UInt(min(chunk.count, end - bytes.count)))
            if received == -Int(EAGAIN) {
                try wait(Int16(POLLIN))
            } else if received < 0 {
                throw USBError(.connection, operation: "receive from \(server)", detail: errorText(Int32(clamping: -received)))
            } else if received == 0 {
                throw USBError(.connection, operation: "receive from \(server)", detail: "the server closed the connection")
            } else {
                bytes += chunk.prefix(received)
            }
        }
    }

    private func wait(_ events: Int16) throws(USBError) {
        let now = clinux_monotonic_ns()
        guard now < deadline else { throw USBError(.timedOut, operation: "answer of \(server)") }
        var polled = pollfd(fd: socket.number, events: events, revents: 0)
        _ = clinux_poll(&polled, 1, Int64(clamping: deadline - now))
    }
}

func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }

/// Runs what blocks on a thread of its own and waits for it.
func onThread<Value: Sendable>(
    _ name: String, _ body: @escaping @Sendable () throws(USBError) -> Value
) async throws(USBError) -> Value {
    let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, USBError>, Never>) in
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: name) {
                do throws(USBError) { continuation.resume(returning: .success(try body())) } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        } catch {
            continuation.resume(returning: .failure(USBError(.connection, operation: "pthread_create", detail: errorText(error.number))))
        }
    }
    return try result.get()
}
