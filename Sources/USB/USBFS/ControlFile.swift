// The open file of a device's control and status interfaces, whose transfers belong to this process: submitted, timed, reaped.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Threads
import USB

/// What it has in flight is ended with it; the streams' file (`NodeFile` by itself) is the one that
/// survives a process.
final class ControlFile: @unchecked Sendable {
    // Sendable: what changes lies behind the monitor; `reaper` is written before anybody else holds this object.
    private struct Flight {
        var transfer: NodeTransfer
        /// In the order of their submission.
        var number: UInt64
        /// Its end is wanted, and is told as this.
        var asked: TransferStatus?
        var isDiscarded = false
    }

    private enum Phase { case open, closing, closed }

    private struct State {
        var phase = Phase.open
        /// Given up when this is closed; calls that are being made hold it themselves.
        var file: NodeFile?
        /// By the address of the kernel's record.
        var inFlight: [UInt: Flight] = [:]
        var flights: UInt64 = 0
        var claimed: Set<UInt8> = []
        /// Who waits for completions: told when there will be none any more.
        var lines: [EndpointAddress: CompletionLine<NodeTransfer>] = [:]
    }

    private let monitor: Monitored<State>
    private let descriptor: Int32
    /// Makes the reaper look again.
    private var wake: Int32 { signal.number }
    private let signal: OwnedDescriptor
    private let gone = Atomic<Bool>(false)
    private var reaper: WorkerThread?

    init(_ file: consuming OwnedDescriptor) throws(USBError) {
        descriptor = file.number
        monitor = Monitored(State(file: NodeFile(file)))
        let made = clinux_eventfd()
        guard let signal = OwnedDescriptor(opened: made) else { throw USBError(errno: -made, operation: "eventfd") }
        self.signal = signal
        do throws(WorkerThread.StartFailure) {
            // Signals are for the program's own threads. The thread holds this object until `close`.
            reaper = try WorkerThread(name: "usbfs-reaper", takesSignals: false) { self.run() }
        } catch {
            throw USBError(errno: error.number, operation: "pthread_create")
        }
    }

    /// Whether the device has left, or this was closed.
    var hasEnded: Bool { gone.load(ordering: .acquiring) }

    // MARK: Requests

    /// The file, for a request that waits for its answer.
    private func file(_ operation: @autoclosure () -> String) throws(USBError) -> NodeFile {
        guard let file = monitor.withLock({ $0.file }) else { throw Self.closed(operation()) }
        return file
    }

    private static func closed(_ operation: String) -> USBError { USBError(.noDevice, operation: operation, detail: "it was closed here") }

    func claim(interface: UInt8) async throws(USBError) {
        try await file("claim(\(interface))").claim(interface: interface)
        monitor.withLock { _ = $0.claimed.insert(interface) }
    }

    func release(interface: UInt8) async throws(USBError) {
        monitor.withLock { _ = $0.claimed.remove(interface) }
        try await file("release(\(interface))").release(interface: interface)
    }

    func setAlternateSetting(interface: UInt8, to setting: UInt8) async throws(USBError) {
        try await file("setAlternateSetting(\(interface))").setAlternateSetting(interface: interface, to: setting)
    }

    func clearHalt(endpoint: EndpointAddress) async throws(USBError) {
        try await file("clearHalt(\(endpoint))").clearHalt(endpoint: endpoint)
    }

    /// What is claimed is given back for so long: an interface that is not bound to usbfs then would be given to a driver of the kernel's.
    func reset() async throws(USBError) {
        let file = try file("reset")
        let claimed = monitor.withLock { $0.claimed.sorted() }
        for interface in claimed { try await file.release(interface: interface) }
        try await file.reset()
        for interface in claimed {
            do throws(USBError) {
                try await file.claim(interface: interface)
            } catch {
                // It came back as another device, or to somebody else.
                monitor.withLock { _ = $0.claimed.remove(interface) }
                noteGone()
                throw USBError(.noDevice, operation: error.operation, detail: error.detail)
            }
        }
    }

    // MARK: Transfers

    /// Ends early with `cancelled` when the task is cancelled.
    func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        let operation = "control transfer (\(setup))"
        guard data.count == (setup.direction == .out ? Int(setup.length) : 0) else {
            throw USBError(.invalidArgument, operation: operation, detail: "wLength is not the number of bytes to send")
        }
        guard setup.length <= 4096 else {
            throw USBError(.invalidArgument, operation: operation, detail: "Linux carries at most 4096 bytes")
        }
        let buffer = TransferBuffer(count: 8 + Int(setup.length))
        buffer.bytes.copyBytes(from: setup.bytes + data)
        let deadline = clinux_monotonic_ns().addingReportingOverflow(UInt64(timeout.wholeMilliseconds) * 1_000_000).partialValue
        let ended = Monitored<CheckedContinuation<USBError?, Never>?>(nil)
        let transfer = NodeTransfer(
            endpoint: EndpointAddress(rawValue: 0), type: .control, buffer: buffer, length: buffer.bytes.count, deadline: deadline
        ) { _ in ended.withLock { $0.take() }?.resume(returning: nil) }
        let refusal: USBError? = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<USBError?, Never>) in
                ended.withLock { $0 = continuation }
                do throws(USBError) {
                    try submit(transfer, operation: operation)
                    // A task that was cancelled before had nothing in flight that its end could be asked of.
                    if Task.isCancelled { end { $0 === transfer } }
                } catch {
                    ended.withLock { $0.take() }?.resume(returning: error)
                }
            }
        } onCancel: {
            end { $0 === transfer }
        }
        if let refusal { throw refusal }
        if let error = transfer.status.error(operation: operation) { throw error }
        return setup.direction == .in ? Array(buffer.bytes[8...].prefix(transfer.actualLength)) : []
    }

    func submit(_ transfer: NodeTransfer, operation: @autoclosure () -> String) throws(USBError) {
        let result: Int32? = monitor.withLock { state in
            guard state.phase == .open else { return nil }
            // Before it is in flight: it may have ended at once.
            state.flights += 1
            state.inFlight[UInt(bitPattern: transfer.urb)] = Flight(transfer: transfer, number: state.flights)
            let result = transfer.submit(on: descriptor)
            if result < 0 { state.inFlight[UInt(bitPattern: transfer.urb)] = nil }
            return result
        }
        guard let result else { throw Self.closed(operation()) }
        guard result == 0 else { throw USBError(usbfs: -result, operation: operation()) }
        // Its time counts from now on.
        if transfer.deadline != nil { eventfd_write(wake, 1) }
    }

    func cancelAll(endpoint: EndpointAddress) { end { $0.endpoint == endpoint } }

    /// Asks for the end of transfers. The reaper does it: the kernel waits for the host controller there.
    private func end(_ matches: (NodeTransfer) -> Bool) {
        monitor.withLock { state in
            for (address, flight) in state.inFlight where flight.asked == nil && matches(flight.transfer) {
                state.inFlight[address]?.asked = .cancelled
            }
        }
        eventfd_write(wake, 1)
    }

    func add(_ line: CompletionLine<NodeTransfer>, for endpoint: EndpointAddress) throws(USBError) {
        try monitor.withLock { (state) throws(USBError) in
            guard state.phase == .open else { throw Self.closed("transferQueue(\(endpoint))") }
            guard state.lines[endpoint] == nil else {
                throw USBError(.busy, operation: "transferQueue(\(endpoint))", detail: "the endpoint has a queue already")
            }
            state.lines[endpoint] = line
        }
    }

    func removeLine(for endpoint: EndpointAddress) { monitor.withLock { _ = $0.lines.removeValue(forKey: endpoint) } }

    private func noteGone() {
        guard !gone.exchange(true, ordering: .acquiringAndReleasing) else { return }
        for line in monitor.withLock({ Array($0.lines.values) }) { line.wake() }
    }

    // MARK: The reaper

    private func run() {
        var isDeaf = false
        while true {
            if !isDeaf { isDeaf = !reap() }
            if isDeaf { landAll() }
            let (isOver, deadline) = discardUnwanted()
            if isOver { break }
            // usbfs is writable when a transfer can be reaped, and has hung up when the device is gone.
            var entries = [
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0), pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0),
            ]
            let wait = deadline.map { Int64(clamping: $0 - min($0, clinux_monotonic_ns())) } ?? -1
            _ = clinux_poll(&entries, isDeaf ? 1 : 2, wait)
            var count: eventfd_t = 0
            eventfd_read(wake, &count)
        }
    }

    /// Takes back all that has ended. False once there is nothing more to come, as the device is gone.
    private func reap() -> Bool {
        while true {
            var address: UnsafeMutableRawPointer?
            switch clinux_usbfs_reap_now(descriptor, &address) {
            case 0: if let address { land(UInt(bitPattern: address), isGone: false) }
            case -EAGAIN: return true
            case -EINTR: continue
            default:
                noteGone()
                return false
            }
        }
    }

    private func land(_ address: UInt, isGone: Bool) {
        // An address that is no transfer's is not followed.
        guard let flight = monitor.withLock({ $0.inFlight.removeValue(forKey: address) }) else { return }
        flight.transfer.complete(asked: flight.asked, isGone: isGone || isHungUp)
        if flight.transfer.status == .disconnected { noteGone() }
        flight.transfer.completion(flight.transfer)
        monitor.change { _ in }
    }

    /// What the kernel has not given back when it has no more to give.
    private func landAll() {
        for address in monitor.withLock({ Array($0.inFlight.keys) }) { land(address, isGone: true) }
    }

    private var isHungUp: Bool {
        var request = pollfd(fd: descriptor, events: 0, revents: 0)
        return hasEnded || poll(&request, 1, 0) == 1 && request.revents & Int16(POLLHUP) != 0
    }

    /// Takes away what has run out of time or whose end was asked for. Whether all is over, and when to look again.
    private func discardUnwanted() -> (isOver: Bool, deadline: UInt64?) {
        let now = clinux_monotonic_ns()
        let (unwanted, isOver, deadline) = monitor.withLock { state in
            var unwanted: [Flight] = []
            var next: UInt64?
            for (address, flight) in state.inFlight where !flight.isDiscarded {
                let limit = flight.transfer.deadline
                if flight.asked != nil || limit.map({ $0 <= now }) == true {
                    state.inFlight[address]?.asked = flight.asked ?? .timedOut
                    state.inFlight[address]?.isDiscarded = true
                    unwanted.append(flight)
                } else if let limit {
                    next = min(next ?? limit, limit)
                }
            }
            return (unwanted, state.phase == .closing && state.inFlight.isEmpty, next)
        }
        // The newest first: otherwise the next one in the queue could still take data that belongs after a gap. One that has ended meanwhile is
        // refused, and reaped all the same.
        for flight in unwanted.sorted(by: { $0.number > $1.number }) { _ = clinux_usbfs_discard(descriptor, flight.transfer.urb) }
        return (isOver, deadline)
    }

    // MARK: The end

    /// Ends what is in flight, gives the interfaces back and the file up. Whoever calls it second waits for the first.
    func close() {
        let first = monitor.withLock { state in
            guard state.phase == .open else { return false }
            state.phase = .closing
            return true
        }
        guard first else {
            _ = monitor.wait { $0.phase == .closed ? true : nil }
            return
        }
        end { _ in true }
        reaper?.join()
        let (file, claimed) = monitor.withLock { state in
            defer { (state.file, state.claimed) = (nil, []) }
            return (state.file, state.claimed.sorted())
        }
        // Who holds a duplicate of the file keeps it open, and with it what is claimed.
        for interface in claimed { _ = clinux_usbfs_release(descriptor, UInt32(interface)) }
        withExtendedLifetime(file) {}
        noteGone()
        monitor.change { $0.phase = .closed }
    }
}
