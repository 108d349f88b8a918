// A socket that carries URBs: who is in flight, what goes out, and the thread that reads what comes back.

import CLinux
import FileDescriptors
import Glibc
import Threads
import USB
import USBIP

/// One imported device's connection. Every method may be called from any thread; replies are read on one thread of its own.
///
/// Nothing here changes the socket's own flags, which duplicates of the descriptor in other processes share.
final class URBChannel: @unchecked Sendable {
    // Sendable: `monitor` guards what changes, `output` the socket's outgoing half; the reader's own state is used on its thread only.

    /// Control transfers and unlinks that a server may leave unanswered.
    static let mostPending = 4096

    /// Whoever stopped the reader gives it up or away.
    private var connection: OwnedDescriptor?
    let socket: Int32
    let deviceID: UInt32
    let monitor = Monitor()
    private let output = URBOutput()
    private let settled = MonitorCondition()
    var wake: Int32 { signal.number }
    private let signal: OwnedDescriptor

    // Guarded by `monitor`.
    private var sequence: UInt32 = 0
    private var pending: [UInt32: PendingTransfer] = [:]
    private var victims: [UInt32: UInt32] = [:]
    private(set) var failure: USBError?
    private var isStopping = false
    private var isClosed = false
    /// Some transfer in flight may have a deadline.
    private var hasDeadlines = false
    private var rings: [PortRing] = []
    private var ringsVersion = 0
    private var reader: WorkerThread?

    init(_ connection: consuming OwnedDescriptor, deviceID: UInt32) throws(USBError) {
        socket = connection.number
        self.connection = consume connection
        self.deviceID = deviceID
        let made = clinux_eventfd()
        guard let signal = OwnedDescriptor(opened: made) else {
            throw USBError(.connection, operation: "eventfd", detail: errorText(-made))
        }
        self.signal = signal
        do throws(WorkerThread.StartFailure) {
            let reader = URBReader(channel: self)
            self.reader = try WorkerThread(name: "usbip \(deviceID)") { reader.run() }
        } catch {
            throw USBError(.connection, operation: "pthread_create", detail: errorText(error.number))
        }
    }

    // MARK: Submitting

    /// Puts a transfer in flight; `enqueued` runs with the monitor locked, before anything can complete it.
    /// - Parameter mayWait: for a server that is slow to take what is sent; the reader may not.
    func submit(
        _ transfer: PendingTransfer, command: SubmitCommand, message: UnsafeMutableRawBufferPointer,
        mayWait: Bool = true,
        enqueued: () -> Void
    ) throws(USBError) {
        if mayWait { output.waitForRoom { self.hasFailed } }
        monitor.lock()
        if let failure {
            monitor.unlock()
            throw failure
        }
        guard pending.count < Self.mostPending else {
            monitor.unlock()
            throw USBError(
                .busy, operation: "submit", detail: "\(Self.mostPending) transfers are unanswered")
        }
        var command = command
        command.sequence = nextSequence()
        command.deviceID = deviceID
        transfer.sequence = command.sequence
        pending[command.sequence] = transfer
        enqueued()
        monitor.unlock()

        URBHeader.submit(command).encode(
            into: UnsafeMutableRawBufferPointer(rebasing: message[..<URBHeader.byteCount]))
        let data = UnsafeRawBufferPointer(transfer.buffer.bytes).prefix(command.length)
        send { put in
            if transfer.isIn || data.isEmpty {
                put(UnsafeRawBufferPointer(message))
            } else {
                put(UnsafeRawBufferPointer(rebasing: message[..<URBHeader.byteCount]))
                put(UnsafeRawBufferPointer(rebasing: data))
                put(UnsafeRawBufferPointer(rebasing: message[URBHeader.byteCount...]))
            }
        }
    }

    /// Asks the server to end transfers; each still completes.
    func unlink(where isMeant: (PendingTransfer) -> Bool) {
        monitor.lock()
        var commands: [UnlinkCommand] = []
        if failure == nil {
            for (sequence, transfer) in pending where !transfer.isUnlinking && isMeant(transfer) {
                transfer.isUnlinking = true
                let command = UnlinkCommand(sequence: nextSequence(), deviceID: deviceID, victim: sequence)
                victims[command.sequence] = sequence
                commands.append(command)
            }
        }
        monitor.unlock()
        guard !commands.isEmpty else { return }
        send { put in
            for command in commands.sorted(by: { $0.victim < $1.victim }) {
                URBHeader.unlink(command).bytes.withUnsafeBytes { put($0) }
            }
        }
    }

    /// With the monitor locked. Numbers in use are passed over when they come round again.
    private func nextSequence() -> UInt32 {
        repeat {
            sequence &+= 1
        } while sequence == 0 || pending[sequence] != nil || victims[sequence] != nil
        return sequence
    }

    /// Sends pieces one right after the other. What the socket has no room for the reader sends
    /// later.
    private func send(_ body: ((UnsafeRawBufferPointer) -> Void) -> Void) {
        switch output.send(to: socket, body) {
        case .done: break
        case .waits: wakeReader()
        case .failed(let number): sendingFailed(number)
        }
    }

    private func sendingFailed(_ number: Int32) {
        fail(USBError(.noDevice, operation: "send to the USB/IP server", detail: errorText(number)))
    }

    private var hasFailed: Bool {
        monitor.lock()
        defer { monitor.unlock() }
        return failure != nil
    }

    // MARK: For the reader

    /// The transfer that a reply is for. It stays in flight until `complete`.
    func transfer(_ sequence: UInt32) -> PendingTransfer? {
        monitor.lock()
        defer { monitor.unlock() }
        return pending[sequence]
    }

    /// - Parameters:
    ///   - packets: a ring's are where they belong already.
    ///   - startFrame: of an isochronous transfer.
    func complete(
        _ transfer: PendingTransfer, _ status: TransferStatus, actualLength: Int,
        packets: [IsochronousPacket], startFrame: UInt32? = nil
    ) {
        let now = clinux_monotonic_ns()
        monitor.lock()
        pending[transfer.sequence] = nil
        let isNews = !transfer.isDone
        if isNews {
            transfer.actualLength = actualLength
            transfer.packets = packets
            transfer.startFrame = startFrame
            transfer.hasOutcomes = startFrame != nil
            transfer.finish(status, at: now)
        }
        if pending.isEmpty { settled.broadcast() }
        monitor.unlock()
        if isNews { transfer.ring?.finished(transfer) }
    }

    /// RET_UNLINK: no RET_SUBMIT comes any more. `false` when nothing was asked under that number.
    func unlinked(_ sequence: UInt32) -> Bool {
        let now = clinux_monotonic_ns()
        monitor.lock()
        let victim = victims.removeValue(forKey: sequence)
        let transfer = victim.flatMap { pending.removeValue(forKey: $0) }
        transfer?.finish(transfer?.givenUpAs ?? .cancelled, at: now)
        if pending.isEmpty { settled.broadcast() }
        monitor.unlock()
        if let transfer { transfer.ring?.finished(transfer) }
        return victim != nil
    }

    /// What the reader is to do before it waits.
    struct Agenda {
        /// When a control transfer's time is over, or that of a server that takes nothing.
        var deadline: UInt64?
        var stops = false
        /// Something waits for room in the socket.
        var hasOutput = false
        /// Counts the changes of `rings`.
        var ringsVersion = 0
    }

    /// On the reader's thread: gives up control transfers whose time is over, and sends what waits.
    func agenda() -> Agenda {
        var agenda = Agenda()
        var late: [UInt32] = []
        monitor.lock()
        if hasDeadlines {
            let now = clinux_monotonic_ns()
            for (sequence, transfer) in pending {
                guard let deadline = transfer.deadline else { continue }
                if deadline <= now {
                    late.append(sequence)
                    transfer.deadline = nil
                    transfer.continuation?.resume(returning: transfer.givenUpAs)
                    transfer.continuation = nil
                } else {
                    agenda.deadline = min(agenda.deadline ?? deadline, deadline)
                }
            }
            hasDeadlines = agenda.deadline != nil
        }
        agenda.stops = isStopping
        agenda.ringsVersion = ringsVersion
        monitor.unlock()
        if !late.isEmpty { unlink { late.contains($0.sequence) } }
        switch output.flush(to: socket) {
        case .done: break
        case .waits(let deadline):
            agenda.hasOutput = true
            agenda.deadline = min(agenda.deadline ?? deadline, deadline)
        case .failed(let number): sendingFailed(number)
        case .stalled:
            fail(
                USBError(
                    .noDevice, operation: "send to the USB/IP server", detail: "it no longer accepts data"),
                isHostile: true)
        }
        return agenda
    }

    /// With the monitor locked: a transfer has a deadline now.
    func noteDeadline() { hasDeadlines = true }

    /// Ends a control transfer now, as cancelled.
    func giveUp(_ transfer: PendingTransfer) {
        monitor.lock()
        transfer.givenUpAs = .cancelled
        transfer.deadline = 0
        hasDeadlines = true
        monitor.unlock()
        wakeReader()
    }

    func wakeReader() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)  // Fails only when the counter is full, which wakes as well.
    }

    /// The connection is of no use any more: everything in flight ends as disconnected.
    func fail(_ error: USBError, isHostile: Bool = false) {
        let now = clinux_monotonic_ns()
        monitor.lock()
        let isNews = failure == nil
        if failure == nil { failure = error }
        let ended = pending.values.sorted { $0.sequence < $1.sequence }
        pending = [:]
        victims = [:]
        for transfer in ended { transfer.finish(.disconnected, at: now) }
        settled.broadcast()
        for condition in idle.compactMap(\.value) { condition.broadcast() }
        if isHostile, !isClosed { shutdown(socket, Int32(SHUT_RDWR)) }
        let tell = failed
        let rings = rings
        monitor.unlock()
        for transfer in ended { transfer.ring?.finished(transfer) }
        if isNews { for ring in rings { ring.disconnected() } }
        wakeReader()
        if isNews { tell?(error) }
    }

    private var failed: (@Sendable (USBError) -> Void)?

    /// `tell` is called once, when the connection has failed; at once if it has already.
    func onFailure(_ tell: @escaping @Sendable (USBError) -> Void) {
        monitor.lock()
        failed = tell
        let before = failure
        monitor.unlock()
        if let before { tell(before) }
    }

    // MARK: Waiting queues

    private struct Idle { weak var value: MonitorCondition? }
    private var idle: [Idle] = []

    /// Has the condition called when the connection fails while nothing of its queue is in flight.
    func watch(_ condition: MonitorCondition) {
        monitor.lock()
        idle.removeAll { $0.value == nil }
        idle.append(Idle(value: condition))
        monitor.unlock()
    }

    // MARK: Rings

    /// Has the reader carry a ring's transfers.
    func add(_ ring: PortRing) {
        monitor.lock()
        rings.append(ring)
        ringsVersion += 1
        let isOver = failure != nil
        monitor.unlock()
        if isOver { ring.disconnected() }
        wakeReader()
    }

    func remove(_ ring: PortRing) {
        monitor.lock()
        rings.removeAll { $0 === ring }
        ringsVersion += 1
        monitor.unlock()
        wakeReader()
    }

    /// The rings, and the version that they have.
    var carried: (rings: [PortRing], version: Int) {
        monitor.lock()
        defer { monitor.unlock() }
        return (rings, ringsVersion)
    }

    // MARK: Ends

    /// Ends what is in flight (for up to a second), then lets go of the socket. Duplicates of it in other processes stay usable.
    func close() {
        guard stop(onlyIfIdle: false, because: "the handle is closed") else { return }
        connection = nil
    }

    /// Stops reading between two messages and gives the socket away. Throws `busy` while anything is in flight.
    func handOver() throws(USBError) -> OwnedDescriptor {
        let operation = "hand the connection over"
        monitor.lock()
        let before = failure
        monitor.unlock()
        if let before { throw before }
        guard stop(onlyIfIdle: true, because: "it was handed over") else {
            throw USBError(
                .busy, operation: operation, detail: "transfers are in flight, or it was closed")
        }
        monitor.lock()
        let isBroken = wasBrokenAtStop
        monitor.unlock()
        guard let connection = connection.take(), !isBroken else {
            throw USBError(
                .connection, operation: operation, detail: "the server was in the middle of a message")
        }
        return connection
    }

    private var wasBrokenAtStop = false

    /// The reader has stopped between two messages, or in the middle of one.
    func readerStopped(inMessage: Bool) {
        monitor.lock()
        wasBrokenAtStop = inMessage || failure != nil
        monitor.unlock()
    }

    /// `true` for the one caller that stopped the reader, and now owns the socket.
    private func stop(onlyIfIdle: Bool, because reason: String) -> Bool {
        monitor.lock()
        guard !isClosed, !onlyIfIdle || (pending.isEmpty && victims.isEmpty) else {
            monitor.unlock()
            return false
        }
        isClosed = true
        monitor.unlock()
        if !onlyIfIdle {
            unlink { _ in true }
            let deadline = clinux_monotonic_ns() + 1_000_000_000
            monitor.lock()
            while !pending.isEmpty || !victims.isEmpty, failure == nil, clinux_monotonic_ns() < deadline {
                settled.wait(monitor, until: deadline)
            }
            monitor.unlock()
        }
        monitor.lock()
        isStopping = true
        let reader = reader
        self.reader = nil
        monitor.unlock()
        wakeReader()
        reader?.join()
        fail(USBError(.noDevice, operation: "USB/IP connection", detail: reason))
        return true
    }
}
