// A connection to PipeWire, and its end.

import CPipeWire
import Glibc
import Threads

/// Why PipeWire can't be had, in a sentence.
public struct PipeWireFailure: Error, CustomStringConvertible {
    public var description: String
    /// errno; ENOSYS where the program was built without PipeWire.
    public var number: Int32
}

/// Owns a connection and the thread that serves it. `close` it once its nodes are gone.
final class PipeWireConnection: @unchecked Sendable {
    // Sendable: the pointer is used with PipeWire's own lock held, and its end guarded by `state`.
    private struct State {
        var connection: OpaquePointer?
        /// Calls that are being made.
        var calls = 0
        var isLost = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let state = Monitored(State())
    /// Called on PipeWire's thread whenever somebody begins or ends to see some node's pictures.
    private let changed: @Sendable () -> Void

    /// Blocks for as long as it takes to connect to a socket. `remote`: its name or path, `nil` for the usual one.
    init(remote: String?, changed: @escaping @Sendable () -> Void) throws(PipeWireFailure) {
        self.changed = changed
        var connection: OpaquePointer?
        let context = Unmanaged.passUnretained(self).toOpaque()
        let status = cpipewire_connect(
            remote, "UserDriver",
            { context, _ in
                guard let context else { return }
                Unmanaged<PipeWireConnection>.fromOpaque(context).takeUnretainedValue().lose()
            }, context, &connection)
        guard status == 0, let connection else { throw Self.failure(status) }
        state.withLock { $0.connection = connection }
        cpipewire_lock(connection)
        defer { cpipewire_unlock(connection) }
        // Where there is no list of what there is, nobody is told who watches.
        _ = cpipewire_watch(
            connection,
            { context in
                guard let context else { return }
                Unmanaged<PipeWireConnection>.fromOpaque(context).takeUnretainedValue().changed()
            }, context)
    }

    deinit { close() }

    private static func failure(_ status: Int32) -> PipeWireFailure {
        let number = -status
        return switch number {
        case ENOSYS:
            PipeWireFailure(
                description: "This userdriver-pipewire was built without PipeWire: `make build-pipewire` builds one.", number: number)
        case EHOSTDOWN, ENOENT, ECONNREFUSED: PipeWireFailure(description: "PipeWire is not running.", number: number)
        default: PipeWireFailure(description: "PipeWire can't be reached: \(String(cString: strerror(number))).", number: number)
        }
    }

    private func lose() {
        let waiting = state.withLock { state in
            state.isLost = true
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    /// Returns once PipeWire has hung up. One may wait.
    func waitUntilLost() async {
        await withCheckedContinuation { continuation in
            let isLost = state.withLock { state in
                if !state.isLost { state.waiting = continuation }
                return state.isLost
            }
            if isLost { continuation.resume() }
        }
    }

    /// With PipeWire's lock. `nil` once it is closed.
    func withLock<Result>(_ body: (OpaquePointer) -> Result) -> Result? {
        let taken: OpaquePointer? = state.withLock { state in
            if state.connection != nil { state.calls += 1 }
            return state.connection
        }
        guard let connection = taken else { return nil }
        defer { state.change { $0.calls -= 1 } }
        cpipewire_lock(connection)
        defer { cpipewire_unlock(connection) }
        return body(connection)
    }

    /// Not on PipeWire's own thread. Waits for calls that are being made.
    func close() {
        let connection: OpaquePointer? = state.withLock { state in
            defer { state.connection = nil }
            return state.connection
        }
        _ = state.wait { $0.calls == 0 ? true : nil }
        if let connection { cpipewire_disconnect(connection) }
        lose()
    }
}
