// The answer to "what do you offer?".

/// A device of a list, with its interfaces.
public struct DeviceListEntry: Hashable, Sendable {
    public var device: DeviceRecord
    /// As many as the record's `interfaceCount`.
    public var interfaces: [InterfaceRecord]

    public init(device: DeviceRecord, interfaces: [InterfaceRecord]) {
        self.device = device
        self.interfaces = interfaces
    }
}

/// OP_REP_DEVLIST, whole: header, number of devices, and each device with its interfaces.
public struct DeviceList: Hashable, Sendable {
    public var entries: [DeviceListEntry]

    public init(_ entries: [DeviceListEntry]) { self.entries = entries }

    public var bytes: [UInt8] {
        precondition(entries.count <= USBIPLimit.devices, "a device list within its bound")
        var result = OperationHeader(.replyDeviceList).bytes
        result += encoded(count: 4) { $0.put(UInt32(entries.count), at: 0) }
        for entry in entries {
            var device = entry.device
            device.interfaceCount = UInt8(clamping: entry.interfaces.count)
            result += device.bytes
            for interface in entry.interfaces.prefix(255) { result += interface.bytes }
        }
        return result
    }

    /// How much of a list that arrives piece by piece has arrived.
    public enum Progress: Hashable, Sendable {
        case complete(DeviceList)
        /// At least so many bytes are needed in all.
        case needs(Int)
    }

    /// From everything received so far, header included.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(USBIPError) -> Progress {
        guard bytes.count >= OperationHeader.byteCount else { return .needs(12) }
        let header = try OperationHeader(decoding: bytes)
        guard header.code == .replyDeviceList else { throw USBIPError(.code, "\(header.code) instead of a device list") }
        guard header.status == .ok else { throw USBIPError(.range, "the server says: \(header.status)") }
        guard bytes.count >= 12 else { return .needs(12) }
        let count = bytes.word32(8)
        guard count <= USBIPLimit.devices else { throw USBIPError(.tooLarge, "\(count) devices") }
        var entries: [DeviceListEntry] = []
        var offset = 12
        for _ in 0..<count {
            guard bytes.count - offset >= DeviceRecord.byteCount else { return .needs(offset + DeviceRecord.byteCount) }
            let device = try DeviceRecord(decoding: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
            offset += DeviceRecord.byteCount
            let size = Int(device.interfaceCount) * InterfaceRecord.byteCount
            guard bytes.count - offset >= size else { return .needs(offset + size) }
            let interfaces = (0..<Int(device.interfaceCount)).map {
                InterfaceRecord(decoding: bytes, at: offset + $0 * InterfaceRecord.byteCount)
            }
            entries.append(DeviceListEntry(device: device, interfaces: interfaces))
            offset += size
        }
        return .complete(DeviceList(entries))
    }
}
