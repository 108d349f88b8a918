// A ring's transfers carried by the kernel: submitted and reaped with usbfs's own requests.

import CLinux
import Glibc
import Synchronization
import Threads
import TransferRing
import USB

/// Submits and reaps on a `NodeFile`. What one process submits the next one reaps: a URB is known by its address in the ring, which is the same
/// in both.
final class NodeFileCarrier: RingCarrier {
    private let file: NodeFile
    private let endpoint: EndpointAddress
    private let type: TransferType

    init(file: NodeFile, endpoint: EndpointAddress, type: TransferType) {
        self.file = file
        self.endpoint = endpoint
        self.type = type
    }

    func submit(_ record: RingRecord) throws(USBError) {
        let buffer = record.buffer
        let result = clinux_usbfs_submit(
            file.descriptor, record.urb, type == .isochronous ? 1 : 0, endpoint.rawValue, buffer.baseAddress, Int32(clamping: buffer.count),
            Int32(clamping: record.packetCount))
        guard result == 0 else { throw USBError(usbfs: -result, operation: "USBDEVFS_SUBMITURB(\(endpoint))") }
        record.markInFlight()
    }

    /// One that the predecessor had reaped, and died before it could say so, has a status.
    func adopt(_ record: RingRecord) {
        if clinux_usbfs_urb_status(record.urb) != CLINUX_USBFS_PENDING { complete(record) }
    }

    private func complete(_ record: RingRecord) {
        record.complete(
            status: Int32(clinux_usbfs_urb_status(record.urb)), actualLength: Int(clinux_usbfs_urb_actual_length(record.urb)),
            at: clinux_monotonic_ns())
    }

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        let deadline = clinux_monotonic_ns() + timeout.nanoseconds
        while true {
            var address: UnsafeMutableRawPointer?
            let result = clinux_usbfs_reap_now(file.descriptor, &address)
            if result == 0 {
                // A driver before may have submitted something else than records: the address is looked at and not followed.
                guard let record = address.flatMap({ RingRecord(mapping, urb: $0) }) else { continue }
                complete(record)
                return .completed(index: record.index)
            }
            guard result == -EAGAIN || result == -EINTR else { throw USBError(usbfs: -result, operation: "USBDEVFS_REAPURBNDELAY") }
            let now = clinux_monotonic_ns()
            guard now < deadline else { return .timedOut }
            var entry = pollfd(fd: file.descriptor, events: Int16(POLLOUT), revents: 0)
            _ = clinux_poll(&entry, 1, Int64(clamping: deadline - now))
            if entry.revents & Int16(POLLHUP | POLLERR) != 0, clinux_usbfs_reap_now(file.descriptor, &address) == -ENODEV {
                throw USBError(.noDevice, operation: "USBDEVFS_REAPURBNDELAY")
            }
        }
    }

    func cancelAll(_ mapping: TransferRingMapping) {
        // The newest first: otherwise the next one in the queue could still take data that belongs after a gap.
        for record in mapping.recordsInFlight.reversed() { _ = clinux_usbfs_discard(file.descriptor, record.urb) }
    }
}
