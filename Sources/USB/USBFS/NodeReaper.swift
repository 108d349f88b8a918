// Takes back what has completed on one open file of a device, for all the rings whose transfers go
// over it.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Threads
import TransferRing
import USB

/// The kernel gives back transfers of an open file in the order of their completion, whoever asks:
/// a ring that waits takes what belongs to another, too, and hands it on. What a predecessor
/// submitted is written to at the predecessor's address, so a ring that it left is to be known here
/// before anybody waits.
final class NodeReaper: Sendable {
    /// One ring's place. What changes is guarded by the reaper's lock.
    final class Seat: @unchecked Sendable {
        // Sendable: see above.
        let mapping: TransferRingMapping
        /// Says that another ring has taken something of this one's.
        fileprivate var wake: Int32? { signal.number }
        private let signal: OwnedDescriptor?
        /// Another ring has taken something of this one's since this one asked last.
        fileprivate var hasNews = false
        /// The last one had to be waited for, and so will the next: asking first would be in vain.
        /// Used by the ring's thread only.
        fileprivate(set) var expectsToWait = false

        fileprivate init(_ mapping: TransferRingMapping) {
            self.mapping = mapping
            // Without one the ring looks again by itself: see `wait`.
            signal = OwnedDescriptor(opened: clinux_eventfd())
        }
    }

    private enum Reaped {
        case mine
        case others
        case nothing
    }

    let file: NodeFile
    private let seats = Mutex<[Seat]>([])

    init(file: NodeFile) { self.file = file }

    /// The ring's place, which it has from now on.
    func seat(of mapping: TransferRingMapping) -> Seat {
        seats.withLock { seats in
            if let known = seats.first(where: { $0.mapping === mapping }) { return known }
            let seat = Seat(mapping)
            seats.append(seat)
            return seat
        }
    }

    /// The ring is gone, and with it its memory.
    func forget(_ mapping: TransferRingMapping) { seats.withLock { seats in seats.removeAll { $0.mapping === mapping } } }

    /// One that the predecessor had reaped, and died before it could say so, has a status.
    func adopt(_ record: RingRecord) {
        seats.withLock { _ in
            if !record.hasCompleted, clinux_usbfs_urb_status(record.urb) != CLINUX_USBFS_PENDING { Self.complete(record) }
        }
    }

    private static func complete(_ record: RingRecord) {
        record.complete(
            status: Int32(clinux_usbfs_urb_status(record.urb)), actualLength: Int(clinux_usbfs_urb_actual_length(record.urb)),
            at: clinux_monotonic_ns())
    }

    /// Takes back all that has completed by now: it is noted in the records.
    func collect(_ seat: Seat) {
        do throws(USBError) {
            while try reap(for: seat) != .nothing {}
        } catch {
            // Whoever waits next is told.
        }
    }

    func wait(_ seat: Seat, timeout: Duration) throws(USBError) -> CarrierEvent {
        var asksFirst = !seat.expectsToWait || timeout <= .zero || seats.withLock { _ in seat.hasNews }
        seat.expectsToWait = false
        var left = timeout.nanoseconds
        var deadline: UInt64?
        while true {
            if asksFirst {
                switch try reap(for: seat) {
                case .mine:
                    // Which came while it waited; one that was there at once does not say so.
                    seat.expectsToWait = deadline != nil
                    return .progress
                case .others: continue
                case .nothing: break
                }
            }
            asksFirst = true
            let now = clinux_monotonic_ns()
            let end = deadline ?? now + left
            deadline = end
            guard now < end else { return .timedOut }
            left = end - now
            let wake = seat.wake
            var entries = (
                pollfd(fd: file.descriptor, events: Int16(POLLOUT), revents: 0), pollfd(fd: wake ?? -1, events: Int16(POLLIN), revents: 0)
            )
            // Without a descriptor to be woken by it looks every 20 ms.
            let patience = wake != nil ? left : min(left, 20_000_000)
            let isOver = withUnsafeMutableBytes(of: &entries) { raw in
                let entries = raw.assumingMemoryBound(to: pollfd.self)
                _ = clinux_poll(entries.baseAddress, 2, Int64(clamping: patience))
                if let wake, entries[1].revents & Int16(POLLIN) != 0 {
                    var count: UInt64 = 0
                    _ = read(wake, &count, 8)  // Not blocking; nothing to read is fine.
                }
                return entries[0].revents & Int16(POLLHUP | POLLERR) != 0
            }
            guard isOver else { continue }
            // What had completed before the device left is taken first.
            switch try reap(for: seat) {
            case .mine: return .progress
            case .others: continue
            case .nothing: throw USBError(.noDevice, operation: "USBDEVFS_REAPURBNDELAY")
            }
        }
    }

    /// Under the lock from the request to the note of it: what is noted for a ring is in the order
    /// of its completion.
    private func reap(for seat: Seat) throws(USBError) -> Reaped {
        try seats.withLock { (seats) throws(USBError) in
            if seat.hasNews {
                seat.hasNews = false
                return .mine
            }
            var address: UnsafeMutableRawPointer?
            let result = clinux_usbfs_reap_now(file.descriptor, &address)
            guard result == 0 else {
                if result == -EAGAIN || result == -EINTR { return .nothing }
                // Its record's memory is gone: of a ring that was closed.
                if result == -EFAULT { return .others }
                throw USBError(usbfs: -result, operation: "USBDEVFS_REAPURBNDELAY")
            }
            // A driver before may have submitted something else than records: the address is looked
            // at and not followed.
            guard let address else { return .others }
            for other in seats {
                guard let record = RingRecord(other.mapping, urb: address) else { continue }
                Self.complete(record)
                if other === seat { return .mine }
                other.hasNews = true
                if let wake = other.wake { eventfd_write(wake, 1) }
                return .others
            }
            return .others
        }
    }
}
