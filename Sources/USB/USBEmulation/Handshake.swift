// A connection before its import: one request in, one answer out.

import CLinux
import Glibc
import USBIP

/// Reads exactly one request, so that what a client sends behind it stays in the socket for the engine. Used from the listening thread.
final class Handshake {
    enum Request {
        case deviceList
        case importDevice(busID: String)
        case refused(USBIPError)
    }

    let socket: Int32
    let deadline: UInt64
    private(set) var isFinished = false
    private var input: [UInt8] = []
    private var needed = OperationHeader.byteCount
    private var output: [UInt8] = []
    private var sent = 0
    /// Gets the socket once the answer is out, or `nil` when the connection ended before.
    private var continuation: ((Int32?) -> Void)?

    /// Owns the socket.
    init(socket: Int32, deadline: UInt64) {
        self.socket = socket
        self.deadline = deadline
    }

    var events: Int16 { Int16(output.isEmpty ? POLLIN : POLLOUT) }

    /// Goes on where it stopped, once the socket is ready. A request, when it is complete.
    func step() -> Request? {
        if !output.isEmpty {
            flush()
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: needed - input.count)
        let count = clinux_receive_now(socket, &bytes, UInt(bytes.count))
        if count == -Int(EAGAIN) { return nil }
        guard count > 0 else {
            finish()
            return nil
        }
        input += bytes.prefix(count)
        guard input.count == needed else { return nil }
        do throws(USBIPError) { return try parse() } catch { return .refused(error) }
    }

    private func parse() throws(USBIPError) -> Request? {
        switch try OperationHeader(decoding: input).code {
        case .requestDeviceList: return .deviceList
        case .requestImport:
            needed = ImportRequest.byteCount
            return input.count == needed ? .importDevice(busID: try ImportRequest(decoding: input).busID) : nil
        case .replyDeviceList, .replyImport: throw USBIPError(.code, "a reply instead of a request")
        }
    }

    /// Sends the answer and closes the connection, or gives the socket to `continuation`.
    func answer(_ bytes: [UInt8], then continuation: ((Int32?) -> Void)? = nil) {
        output = bytes
        self.continuation = continuation
        flush()
    }

    private func flush() {
        let count = output.withUnsafeBytes { raw in
            let rest = UnsafeRawBufferPointer(rebasing: raw[sent...])
            return clinux_send_now(socket, rest.baseAddress, UInt(rest.count))
        }
        if count == -Int(EAGAIN) { return }
        guard count >= 0 else { return finish() }
        sent += count
        guard sent == output.count else { return }
        if let continuation {
            self.continuation = nil
            isFinished = true
            continuation(socket)
        } else {
            finish()
        }
    }

    /// Closes the connection.
    func finish() {
        guard !isFinished else { return }
        isFinished = true
        close(socket)
        continuation?(nil)
        continuation = nil
    }
}
