// What reaches a device's engine from other threads: readiness, a pulled cable, the end.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import USB

/// State of one port, shared by the device, the listening thread and the engine's thread. It
/// survives every connection.
final class PortSignal: EmulationSignal {
    private struct State {
        var isOffered = true
        var isImported = false
        /// Bit: endpoint number, IN endpoints from bit 16 on.
        var ready: UInt32 = 0
        var flushed: UInt32 = 0
    }

    /// An import that was asked for.
    enum Claim {
        case granted, busy, hidden
    }

    private let state = Mutex(State())
    private let ending = Atomic<Bool>(false)
    /// Readable when the engine has something to look at.
    var wake: Int32 { signal.number }
    private let signal: OwnedDescriptor

    init() {
        let made = clinux_eventfd()
        precondition(made >= 0, "an eventfd for an emulated port, errno \(-made)")
        signal = OwnedDescriptor(made)
    }

    // MARK: From the device

    func ready(endpoint: EndpointAddress) {
        state.withLock { $0.ready |= Self.bit(endpoint) }
        wakeUp()
    }

    func flush(endpoint: EndpointAddress) { state.withLock { $0.flushed |= Self.bit(endpoint) } }

    func unplug() {
        state.withLock {
            $0.isOffered = false
            if $0.isImported { ending.store(true, ordering: .releasing) }
        }
        wakeUp()
    }

    func plug() {
        state.withLock { $0.isOffered = true }
        wakeUp()
    }

    // MARK: From the server

    var isOffered: Bool { state.withLock { $0.isOffered } }

    /// Takes the port for one connection.
    func claim() -> Claim {
        state.withLock {
            guard $0.isOffered else { return .hidden }
            guard !$0.isImported else { return .busy }
            $0.isImported = true
            $0.ready = 0
            $0.flushed = 0
            ending.store(false, ordering: .releasing)
            return .granted
        }
    }

    /// The connection has ended.
    func release() { state.withLock { $0.isImported = false } }

    /// Ends the connection, without hiding the device.
    func end() {
        ending.store(true, ordering: .releasing)
        wakeUp()
    }

    // MARK: From the engine

    /// Whether the connection has to end now.
    var isEnding: Bool { ending.load(ordering: .acquiring) }

    /// Endpoints that were called ready since the last time.
    func takeReady() -> UInt32 {
        var count: UInt64 = 0
        _ = read(wake, &count, 8)  // Not blocking; nothing to read is fine.
        return state.withLock { state in
            defer { state.ready = 0 }
            return state.ready
        }
    }

    /// Which of these endpoints were flushed since the last time.
    func takeFlushed(among endpoints: some Collection<EndpointAddress>) -> [EndpointAddress] {
        let flushed = state.withLock { state in
            defer { state.flushed = 0 }
            return state.flushed
        }
        return flushed == 0 ? [] : endpoints.filter { flushed & Self.bit($0) != 0 }
    }

    static func bit(_ endpoint: EndpointAddress) -> UInt32 {
        1 << (UInt32(endpoint.number) + (endpoint.direction == .in ? 16 : 0))
    }

    private func wakeUp() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)  // Fails only when the counter is full, which wakes as well.
    }
}
