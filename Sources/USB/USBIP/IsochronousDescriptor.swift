// One packet of an isochronous transfer, as it stands after the data.

/// `usbip_iso_packet_descriptor`: 16 bytes, big endian.
public struct IsochronousDescriptor: Hashable, Sendable {
    public static let byteCount = 16

    /// Where the packet stands in the transfer's buffer. Received data is packed all the same: the packets' actual bytes, without gaps.
    public var offset: UInt32
    /// Bytes the packet has room for.
    public var length: UInt32
    /// Bytes that came.
    public var actualLength: UInt32
    /// 0, or a negated Linux errno.
    public var status: Int32

    public init(offset: UInt32, length: UInt32, actualLength: UInt32 = 0, status: Int32 = 0) {
        self.offset = offset
        self.length = length
        self.actualLength = actualLength
        self.status = status
    }

    public init(decoding bytes: UnsafeRawBufferPointer, at offset: Int = 0) throws(USBIPError) {
        guard offset >= 0, bytes.count - offset >= Self.byteCount else {
            throw USBIPError(.tooShort, "packet descriptor of \(max(0, bytes.count - max(0, offset))) bytes")
        }
        self.offset = bytes.word32(offset)
        length = bytes.word32(offset + 4)
        actualLength = bytes.word32(offset + 8)
        status = bytes.signed32(offset + 12)
    }

    public func encode(into bytes: UnsafeMutableRawBufferPointer, at position: Int = 0) {
        precondition(position >= 0 && bytes.count - position >= Self.byteCount, "room for a packet descriptor")
        bytes.put(offset, at: position)
        bytes.put(length, at: position + 4)
        bytes.put(actualLength, at: position + 8)
        bytes.put(status, at: position + 12)
    }

    public var bytes: [UInt8] { encoded(count: Self.byteCount) { encode(into: $0) } }

    /// Whether `count` descriptors lie within a buffer of `length` bytes, in order and without overlap, as Linux and usbfs lay them out.
    public static func areWithin(length: Int, descriptors bytes: UnsafeRawBufferPointer, count: Int) throws(USBIPError) -> Bool {
        var end = 0
        for index in 0..<count {
            let packet = try IsochronousDescriptor(decoding: bytes, at: index * byteCount)
            guard Int(packet.offset) >= end, Int(packet.offset) + Int(packet.length) <= length else { return false }
            end = Int(packet.offset) + Int(packet.length)
        }
        return true
    }
}
