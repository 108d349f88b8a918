// The owner of one transfer's usbfs record: filled in, put in flight, and read when the kernel has given it back.

import CLinux
import Glibc
import USB

/// Memory of this process that the kernel writes to when the transfer is reaped, so it lives as long as that may come.
final class NodeTransfer: @unchecked Sendable {
    // Sendable: it has one holder at a time: who submits it, then the file's reaper, then who takes the completion; each hands it on under a lock.
    /// `struct usbdevfs_urb`
    let urb: UnsafeMutableRawPointer
    let endpoint: EndpointAddress
    private let type: TransferType
    let buffer: TransferBuffer
    let length: Int
    let tag: UInt64
    /// CLOCK_MONOTONIC in nanoseconds; the kernel has no limits for transfers in flight. `nil`: none.
    let deadline: UInt64?
    /// Called on the reaper's thread once the fields below say how it ended. Must not block.
    let completion: @Sendable (NodeTransfer) -> Void

    private(set) var status = TransferStatus.completed
    /// Of a control transfer without its SETUP packet.
    private(set) var actualLength = 0
    private(set) var completedAt: UInt64 = 0

    /// `length` bytes of `buffer`; of a control transfer the first 8 are the SETUP packet (USB 2.0 §9.3).
    init(
        endpoint: EndpointAddress, type: TransferType, buffer: TransferBuffer, length: Int, tag: UInt64 = 0, deadline: UInt64? = nil,
        completion: @escaping @Sendable (NodeTransfer) -> Void
    ) {
        precondition(type != .isochronous && length <= buffer.bytes.count)
        self.endpoint = endpoint
        self.type = type
        self.buffer = buffer
        self.length = length
        self.tag = tag
        self.deadline = deadline
        self.completion = completion
        urb = .allocate(byteCount: Int(CLINUX_USBFS_URB_SIZE), alignment: 8)
    }

    deinit { urb.deallocate() }

    /// Puts it in flight. 0, or -errno.
    func submit(on descriptor: Int32) -> Int32 {
        clinux_usbfs_submit_single(
            descriptor, urb, Self.usbfsType(type), endpoint.rawValue, buffer.bytes.baseAddress, Int32(clamping: length))
    }

    /// The kernel has written how it ended. `asked`: that its end had been asked for, and as what it is to be told.
    func complete(asked: TransferStatus?, isGone: Bool) {
        completedAt = clinux_monotonic_ns()
        actualLength = min(max(0, Int(clinux_usbfs_urb_actual_length(urb))), length)
        let written = Int32(clinux_usbfs_urb_status(urb))
        // A device that has gone may take a transfer along.
        status = written == CLINUX_USBFS_PENDING ? .disconnected : TransferStatus(linux: written)
        switch status {
        // When a device goes, the kernel ends its transfers like those whose end was asked for.
        case .cancelled: status = asked ?? (isGone ? .disconnected : .cancelled)
        // Seen with usbmon on Linux 6.1 and xHCI under QEMU: one that is taken away comes back empty with -EINPROGRESS.
        case .fault where actualLength == 0: status = asked ?? status
        default: break
        }
    }

    /// USBDEVFS_URB_TYPE_*
    private static func usbfsType(_ type: TransferType) -> UInt8 {
        switch type {
        case .isochronous: 0
        case .interrupt: 1
        case .control: 2
        case .bulk: 3
        }
    }
}
