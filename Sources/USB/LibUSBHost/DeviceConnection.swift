// The owner of a libusb device handle and of the descriptor it wraps: knows what is in flight, and closes in the right order.
import CLibUSB
import CLinux
import Glibc
import Synchronization
import Threads
import USB
import USBFS

final class DeviceConnection: @unchecked Sendable {
    // Sendable: the handle lies behind the monitor, and is used by libusb's thread-safe calls only.
    let context: LibUSBContext
    private let descriptor: Int32
    private let gone = Atomic<Bool>(false)

    private enum Phase { case open, closing, closed }

    private struct State {
        var phase = Phase.open
        var handle: OpaquePointer?
        /// Calls that are using the handle just now.
        var users = 0
        var inFlight: [UInt64: TransferRecord] = [:]
        var flights: UInt64 = 0
        var claimed: Set<UInt8> = []
        /// Who waits for completions, by endpoint: told when there will be none any more.
        var lines: [EndpointAddress: CompletionLine<TransferRecord>] = [:]
    }

    private let monitor: Monitored<State>

    /// Takes `descriptor` over when it succeeds.
    init(wrapping descriptor: Int32, context: LibUSBContext) throws(USBError) {
        var handle: OpaquePointer?
        errno = 0
        let result = context.withPointer { libusb_wrap_sys_device($0, Int(descriptor), &handle) }
        let number = errno
        guard result == 0, let handle else {
            throw USBError(libusb: result, operation: "libusb_wrap_sys_device(\(descriptor))", errno: number)
        }
        self.context = context
        self.descriptor = descriptor
        monitor = Monitored(State(handle: handle))
    }

    // MARK: Calls on the handle

    /// Calls libusb with the handle, which stays open for so long. `body` returns a LIBUSB_ERROR_* or a value from 0 on.
    @discardableResult
    func call(_ operation: @autoclosure () -> String, _ body: (OpaquePointer) -> Int32) throws(USBError) -> Int32 {
        guard let handle = borrow() else { throw Self.closed(operation()) }
        errno = 0
        let result = body(handle)
        let number = errno
        giveBack()
        guard result >= 0 else { throw failure(result, operation(), errno: number) }
        return result
    }

    /// Calls the kernel with the descriptor, which stays open for so long. `body` returns -errno or a value from 0 on.
    @discardableResult
    func callKernel(_ operation: @autoclosure () -> String, _ body: (Int32) -> Int32) throws(USBError) -> Int32 {
        guard borrow() != nil else { throw Self.closed(operation()) }
        let result = body(descriptor)
        giveBack()
        guard result >= 0 else { throw USBError(errno: -result, operation: operation()) }
        return result
    }

    func claim(interface: UInt8) throws(USBError) {
        try call("libusb_claim_interface(\(interface))") { libusb_claim_interface($0, Int32(interface)) }
        monitor.withLock { _ = $0.claimed.insert(interface) }
    }

    func release(interface: UInt8) throws(USBError) {
        monitor.withLock { _ = $0.claimed.remove(interface) }
        try call("libusb_release_interface(\(interface))") { libusb_release_interface($0, Int32(interface)) }
    }

    /// Memory that the kernel moves data to and from without copying (usbfs's mmap). `nil` if it has none to give.
    func deviceMemory(count: Int) -> TransferBuffer? {
        guard count > 0, let handle = borrow() else { return nil }
        let start = libusb_dev_mem_alloc(handle, count)
        giveBack()
        guard let start else { return nil }
        return TransferBuffer(over: UnsafeMutableRawBufferPointer(start: start, count: count)) { bytes in
            self.free(deviceMemory: bytes)
        }
    }

    private func free(deviceMemory bytes: UnsafeMutableRawBufferPointer) {
        if let handle = borrow() {
            libusb_dev_mem_free(handle, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
            giveBack()
        } else {
            // libusb wants the handle for this, but the memory is a mapping of the node, which
            // survives the handle.
            munmap(bytes.baseAddress, bytes.count)
        }
    }

    private func borrow() -> OpaquePointer? {
        monitor.withLock { state in
            guard state.phase == .open, let handle = state.handle else { return nil }
            state.users += 1
            return handle
        }
    }

    private func giveBack() { monitor.change { $0.users -= 1 } }

    private func failure(_ result: Int32, _ operation: String, errno: Int32) -> USBError {
        if result == LIBUSB_ERROR_NO_DEVICE.rawValue { noteGone() }
        return USBError(libusb: result, operation: operation, errno: errno)
    }

    private static func closed(_ operation: String) -> USBError {
        USBError(.noDevice, operation: operation, detail: "it was closed here")
    }

    // MARK: Transfers

    func submit(_ record: TransferRecord, operation: @autoclosure () -> String) throws(USBError) {
        // Under the lock: `close` either finds the record in flight, or keeps it from getting there.
        var number: Int32 = 0
        let result: Int32? = monitor.withLock { state in
            guard state.phase == .open, let handle = state.handle else { return nil }
            if record.isCancelRequested { return LIBUSB_ERROR_INTERRUPTED.rawValue }
            state.flights += 1
            record.flight = state.flights
            state.inFlight[record.flight] = record
            errno = 0
            let result = record.submit(on: self, handle: handle)
            number = errno
            if result != 0 { state.inFlight[record.flight] = nil }
            return result
        }
        guard let result else { throw Self.closed(operation()) }
        if result == LIBUSB_ERROR_INTERRUPTED.rawValue { throw USBError(.cancelled, operation: operation()) }
        guard result == 0 else { throw failure(result, operation(), errno: number) }
    }

    /// Asks for one transfer's end, also when it has not been submitted yet.
    func cancel(_ record: TransferRecord) {
        cancel { state in
            record.isCancelRequested = true
            return state.inFlight[record.flight] === record ? [record] : []
        }
    }

    /// Asks for the end of all transfers of an endpoint.
    func cancelAll(endpoint: EndpointAddress) {
        cancel { $0.inFlight.values.filter { $0.pointer.pointee.endpoint == endpoint.rawValue } }
    }

    private func cancel(_ select: (inout State) -> [TransferRecord]) {
        let records = monitor.withLock { state in
            let records = select(&state)
            for record in records { record.isCancelRequested = true }
            // A user, so that the handle is not closed before libusb is through with them.
            if !records.isEmpty { state.users += 1 }
            return records
        }
        guard !records.isEmpty else { return }
        // The newest first: otherwise the next one in the queue could still take data that belongs after a gap.
        for record in records.sorted(by: { $0.flight > $1.flight }) { libusb_cancel_transfer(record.pointer) }
        giveBack()
    }

    /// Called by a record that has come back. Whether its end had been asked for.
    func land(_ record: TransferRecord) -> Bool {
        monitor.change { state in
            state.inFlight[record.flight] = nil
            return record.isCancelRequested
        }
    }

    /// Whether the device has left, or this was closed.
    var hasEnded: Bool { gone.load(ordering: .acquiring) }

    /// Asks the kernel as well. For the event thread, while one of this connection's transfers is landing.
    func isGone() -> Bool {
        if hasEnded { return true }
        var request = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&request, 1, 0) == 1 && request.revents & Int16(POLLHUP) != 0
    }

    func noteGone() {
        guard !gone.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let lines = monitor.withLock { Array($0.lines.values) }
        for line in lines { line.wake() }
    }

    // MARK: Queues

    func add(_ line: CompletionLine<TransferRecord>, for endpoint: EndpointAddress) throws(USBError) {
        try monitor.withLock { (state) throws(USBError) in
            guard state.phase == .open else { throw Self.closed("transferQueue(\(endpoint))") }
            guard state.lines[endpoint] == nil else {
                throw USBError(.busy, operation: "transferQueue(\(endpoint))", detail: "the endpoint has a queue already")
            }
            state.lines[endpoint] = line
        }
    }

    func removeLine(for endpoint: EndpointAddress) {
        let line = monitor.withLock { $0.lines.removeValue(forKey: endpoint) }
        withExtendedLifetime(line) {}
    }

    // MARK: The end

    /// Cancels, waits for what is in flight, gives the interfaces back, closes the handle and then the descriptor.
    /// Whoever calls it second waits for the first. Never on the event thread, which it waits for.
    func close() {
        precondition(!context.isEventThread, "the event thread can't wait for itself")
        let first = monitor.withLock { state in
            guard state.phase == .open else { return false }
            state.phase = .closing
            return true
        }
        guard first else {
            _ = monitor.wait { $0.phase == .closed ? true : nil }
            return
        }
        cancel { Array($0.inFlight.values) }
        let (handle, claimed) = monitor.wait { state in
            state.inFlight.isEmpty && state.users == 0 ? (state.handle, state.claimed) : nil
        }!
        if let handle {
            // Device memory that somebody still holds keeps the open file alive in the kernel, and with it what is claimed.
            for interface in claimed.sorted() { libusb_release_interface(handle, Int32(interface)) }
            libusb_close(handle)
        }
        Glibc.close(descriptor)
        noteGone()
        monitor.change { state in
            state.handle = nil
            state.claimed = []
            state.phase = .closed
        }
    }
}
