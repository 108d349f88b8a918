// The owner of one libusb_transfer: filled in, put in flight, and read when libusb calls back.
import CLibUSB
import CLinux
import Glibc
import USB

final class TransferRecord: @unchecked Sendable {
    // Sendable: it has one holder at a time: who submits it, then libusb's event thread, then who takes the completion; each hands it on under a lock.
    /// Only for `DeviceConnection`, which knows while it may be used.
    let pointer: UnsafeMutablePointer<libusb_transfer>
    let packetCapacity: Int
    private(set) var buffer: TransferBuffer?
    private(set) var length = 0
    private(set) var packetLengths: [Int] = []
    private(set) var tag: UInt64 = 0
    /// Called on the event thread once the fields below say how it ended. Must not block.
    var completion: (@Sendable (TransferRecord) -> Void)?
    /// The number of its flight; `DeviceConnection` counts them.
    var flight: UInt64 = 0
    /// Set under the connection's lock.
    var isCancelRequested = false
    private var connection: DeviceConnection?

    private(set) var status = TransferStatus.completed
    private(set) var actualLength = 0
    private(set) var packets: [IsochronousPacket] = []
    private(set) var completedAt: UInt64 = 0

    init(packetCapacity: Int = 0) throws(USBError) {
        guard let pointer = libusb_alloc_transfer(Int32(clamping: packetCapacity)) else {
            throw USBError(libusb: LIBUSB_ERROR_NO_MEM.rawValue, operation: "libusb_alloc_transfer(\(packetCapacity))")
        }
        self.pointer = pointer
        self.packetCapacity = packetCapacity
    }

    deinit { libusb_free_transfer(pointer) }

    /// Fills the transfer in. The buffer's bytes from its start on; the packets' lengths sum up to `length`.
    func prepare(
        endpoint: UInt8, type: TransferType, buffer: TransferBuffer, length: Int, packetLengths: [Int] = [], tag: UInt64 = 0,
        timeout: UInt32 = 0
    ) {
        precondition(packetLengths.count <= packetCapacity && length <= buffer.bytes.count)
        self.buffer = buffer
        self.length = length
        self.packetLengths = packetLengths
        self.tag = tag
        isCancelRequested = false
        pointer.pointee.flags = 0
        pointer.pointee.endpoint = endpoint
        pointer.pointee.type = type.rawValue
        pointer.pointee.timeout = timeout
        pointer.pointee.length = Int32(clamping: length)
        pointer.pointee.buffer = buffer.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        pointer.pointee.num_iso_packets = Int32(packetLengths.count)
        guard !packetLengths.isEmpty, let descriptors = clibusb_iso_packets(pointer) else { return }
        for (index, length) in packetLengths.enumerated() {
            descriptors[index] = libusb_iso_packet_descriptor(
                length: UInt32(clamping: length), actual_length: 0, status: LIBUSB_TRANSFER_COMPLETED)
        }
    }

    /// Puts the transfer in flight. libusb holds this object from now on until it calls back. A LIBUSB_ERROR_*, or 0.
    func submit(on connection: DeviceConnection, handle: OpaquePointer) -> Int32 {
        self.connection = connection
        pointer.pointee.dev_handle = handle
        pointer.pointee.callback = transferCallback
        pointer.pointee.user_data = Unmanaged.passRetained(self).toOpaque()
        let result = libusb_submit_transfer(pointer)
        if result != 0 {
            pointer.pointee.dev_handle = nil
            self.connection = nil
            Unmanaged.passUnretained(self).release()
        }
        return result
    }

    /// What the completion brings out; the record can be used again after it.
    func takeBuffer() -> TransferBuffer {
        defer { buffer = nil }
        guard let buffer else { preconditionFailure("a completed transfer has its buffer") }
        return buffer
    }

    fileprivate func complete() {
        guard let connection else { return }
        completedAt = clinux_monotonic_ns()
        // libusb looks at the handle of a transfer that is freed or cancelled too late, and that may be closed by then.
        pointer.pointee.dev_handle = nil
        status = TransferStatus(libusb: pointer.pointee.status)
        if packetLengths.isEmpty {
            actualLength = min(max(0, Int(pointer.pointee.actual_length)), length)
        } else {
            readPackets()
        }
        // When a device goes, the kernel ends its transfers like cancelled ones, and libusb reports those that nobody cancelled as complete and empty.
        if status != .disconnected, actualLength == 0, status != .completed || length > 0, connection.isGone() {
            status = .disconnected
        }
        if status == .disconnected { connection.noteGone() }
        self.connection = nil
        // Seen with usbmon on Linux 6.1 and xHCI under QEMU: while newer transfers are taken away, the oldest comes back empty with -EINPROGRESS
        // before its own turn, which libusb calls an error. Who asked for its end gets what was asked for.
        if connection.land(self), case .fault = status, actualLength == 0 { status = .cancelled }
        completion?(self)
    }

    private func readPackets() {
        packets.removeAll(keepingCapacity: true)
        packets.reserveCapacity(packetLengths.count)
        actualLength = 0
        guard let descriptors = clibusb_iso_packets(pointer) else { return }
        var offset = 0
        for (index, length) in packetLengths.enumerated() {
            let packet = descriptors[index]
            let actual = min(Int(packet.actual_length), length)
            packets.append(
                IsochronousPacket(offset: offset, length: length, actualLength: actual, status: TransferStatus(libusb: packet.status)))
            actualLength += actual
            offset += length
        }
    }

    /// Gives the packets away, so that the array is not copied when the record is used again.
    func takePackets() -> [IsochronousPacket] {
        defer { packets = [] }
        return packets
    }
}

/// Called by libusb on the event thread. From here on the record may be submitted again or freed: libusb touches it no more.
private let transferCallback: libusb_transfer_cb_fn = { transfer in
    guard let data = transfer?.pointee.user_data else { return }
    Unmanaged<TransferRecord>.fromOpaque(data).takeRetainedValue().complete()
}
