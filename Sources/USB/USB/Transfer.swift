// Transfers with many in flight: an idle transfer goes in with its buffer, and comes back completed.

/// The result of one isochronous packet.
public struct IsochronousPacket: Hashable, Sendable {
    /// Where the packet's bytes start in the transfer's buffer.
    public var offset: Int
    /// Bytes that the packet had room for.
    public var length: Int
    /// Bytes that came.
    public var actualLength: Int
    public var status: TransferStatus

    @inlinable
    public init(offset: Int, length: Int, actualLength: Int = 0, status: TransferStatus = .completed) {
        self.offset = offset
        self.length = length
        self.actualLength = actualLength
        self.status = status
    }
}

/// Memory for a transfer. It owns its bytes unless it was made over memory that something else keeps (a ring, device memory).
public final class TransferBuffer: @unchecked Sendable {
    // Sendable: the bytes are touched by whoever holds the transfer that owns this buffer, and a transfer has one holder at a time.
    public let bytes: UnsafeMutableRawBufferPointer
    private let release: (@Sendable (UnsafeMutableRawBufferPointer) -> Void)?

    /// Allocates `count` zeroed bytes.
    public init(count: Int) {
        bytes = .allocate(byteCount: count, alignment: 64)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        release = { $0.deallocate() }
    }

    /// Lends memory that survives this buffer, or is given back by `release`.
    public init(over bytes: UnsafeMutableRawBufferPointer, release: (@Sendable (UnsafeMutableRawBufferPointer) -> Void)?) {
        self.bytes = bytes
        self.release = release
    }

    deinit { release?(bytes) }
}

/// A transfer that is not in flight.
public struct IdleTransfer: ~Copyable, Sendable {
    public var buffer: TransferBuffer
    /// Bytes to send, or that may be received: at most the buffer's count. For isochronous transfers the sum of the packets.
    public var length: Int
    /// The packets' lengths, in order, without gaps in the buffer. Empty unless isochronous.
    public var packetLengths: [Int]
    /// What the submitter wants to recognise it by.
    public var tag: UInt64

    public init(buffer: TransferBuffer, length: Int? = nil, packetLengths: [Int] = [], tag: UInt64 = 0) {
        self.buffer = buffer
        self.packetLengths = packetLengths
        self.length = length ?? (packetLengths.isEmpty ? buffer.bytes.count : packetLengths.reduce(0, +))
        self.tag = tag
        precondition(self.length <= buffer.bytes.count, "a transfer's length is within its buffer")
    }
}

/// A transfer that has ended, with its buffer.
public struct CompletedTransfer: ~Copyable, Sendable {
    public let buffer: TransferBuffer
    public let length: Int
    public let status: TransferStatus
    /// Bytes that were moved (for isochronous transfers the sum of the packets').
    public let actualLength: Int
    public let packets: [IsochronousPacket]
    public let tag: UInt64
    /// CLOCK_MONOTONIC in nanoseconds when the backend learned of the completion.
    public let completedAt: UInt64
    /// Isochronous: number of the frame (at high speed and above microframe) of the first packet, as the host controller counts them; `nil`
    /// where the backend does not tell.
    public let startFrame: UInt32?

    public init(
        buffer: TransferBuffer, length: Int, status: TransferStatus, actualLength: Int, packets: [IsochronousPacket] = [],
        tag: UInt64, completedAt: UInt64, startFrame: UInt32? = nil
    ) {
        self.buffer = buffer
        self.length = length
        self.status = status
        self.actualLength = actualLength
        self.packets = packets
        self.tag = tag
        self.completedAt = completedAt
        self.startFrame = startFrame
    }

    /// The same transfer, ready to be submitted again.
    public consuming func recycled() -> IdleTransfer {
        IdleTransfer(buffer: buffer, length: length, packetLengths: packets.map(\.length), tag: tag)
    }
}

/// An endpoint's transfers: any number in flight, completed in the order of submission. Used from one thread, but for `cancelAll`.
///
/// The interface is synchronous on purpose: code that moves 250 transfers a second has a thread of its own, and what a later incarnation of
/// a driver takes over (transfer records in shared memory) is reaped by a blocking call too.
public protocol TransferQueue: AnyObject, Sendable {
    var endpoint: EndpointAddress { get }
    /// Transfers submitted and not yet taken by `next`.
    var inFlight: Int { get }
    /// Memory that suits the backend best (device memory under usbfs).
    func makeBuffer(count: Int) -> TransferBuffer
    /// Puts a transfer in flight. On an error the transfer is gone, with its buffer.
    func submit(_ transfer: consuming IdleTransfer) throws(USBError)
    /// Waits for the oldest transfer. `nil` when nothing completed in time; a transfer that failed is returned, not thrown.
    /// Throws `noDevice` once the device is gone and everything in flight has been returned.
    func next(timeout: Duration) throws(USBError) -> CompletedTransfer?
    /// Asks for everything in flight to end; each still comes out of `next`. From any thread.
    func cancelAll()
}
