// The binary device object store (BOS): what a device can do beyond USB 2.0.

/// USB 3.2 §9.6.2. Every sequence of bytes gives a result; what was wrong is in `anomalies`.
public struct BinaryObjectStore: Hashable, Sendable {
    /// One device capability (USB 3.2 table 9-14).
    public enum Capability: Hashable, Sendable {
        /// Type 2, `bmAttributes`: bit 1 link power management.
        case usb2Extension(attributes: UInt32)
        /// Type 3: `wSpeedsSupported` (bit 0 low … bit 3 5 Gbit/s), `bFunctionalitySupport`, exit latencies in µs.
        case superSpeed(attributes: UInt8, speeds: UInt16, lowestFullFunctionSpeed: UInt8, u1Latency: UInt8, u2Latency: UInt16)
        /// Type 4: the same for all functions of one physical device.
        case containerID(GUID)
        /// Type 5: `PlatformCapabilityUUID` (WebUSB, Microsoft OS 2.0 …) and its data.
        case platform(GUID, data: [UInt8])
        /// Type 10: `bmSublinkSpeedAttr` of each lane speed.
        case superSpeedPlus(attributes: UInt32, functionality: UInt16, sublinkSpeeds: [UInt32])
        /// Any other, whole.
        case other(type: UInt8, bytes: [UInt8])
    }

    public var capabilities: [Capability]
    public var anomalies: [DescriptorAnomaly]

    public init(parsing bytes: [UInt8]) {
        capabilities = []
        var found = DescriptorAnomalies()
        defer { anomalies = found.list }
        anomalies = []
        guard bytes.count >= 5, bytes[0] >= 5, bytes[1] == DescriptorType.binaryObjectStore else {
            found.add(.lost, .missing, at: 0, "The bytes are not a binary device object store.")
            return
        }
        let declared = Int(bytes[2]) | Int(bytes[3]) << 8
        if declared != bytes.count {
            found.add(.wrong, .length, at: 2, "The store announces \(declared) bytes (wTotalLength) but has \(bytes.count).")
        }
        var reader = DescriptorReader(Array(bytes.prefix(max(5, declared))), at: Int(bytes[0]))
        while reader.position < reader.bytes.count {
            guard let descriptor = reader.peek() else {
                found.add(.lost, .truncated, at: reader.position, "A device capability does not fit in the store.")
                break
            }
            reader.position += descriptor.count
            guard descriptor.type == DescriptorType.deviceCapability, descriptor.count >= 3 else {
                found.add(.lost, .unknown, at: descriptor.offset, "A descriptor of type \(descriptor.type) is not a device capability.")
                continue
            }
            capabilities.append(Self.capability(descriptor))
        }
        if capabilities.count != Int(bytes[4]) {
            found.add(.wrong, .count, at: 4, "The store announces \(bytes[4]) capabilities but has \(capabilities.count).")
        }
    }

    private static func capability(_ descriptor: RawDescriptor) -> Capability {
        let type = descriptor.subtype
        switch type {
        case 2:
            if let attributes = descriptor.doubleWord(at: 3) { return .usb2Extension(attributes: attributes) }
        case 3:
            if let b = descriptor.bytes(at: 0, count: 10) {
                return .superSpeed(
                    attributes: b[3], speeds: UInt16(b[4]) | UInt16(b[5]) << 8, lowestFullFunctionSpeed: b[6], u1Latency: b[7],
                    u2Latency: UInt16(b[8]) | UInt16(b[9]) << 8)
            }
        case 4:
            if let guid = descriptor.guid(at: 4) { return .containerID(guid) }
        case 5:
            if let guid = descriptor.guid(at: 4) { return .platform(guid, data: Array(descriptor.bytes.dropFirst(20))) }
        case 10:
            if let attributes = descriptor.doubleWord(at: 4), let functionality = descriptor.word(at: 8) {
                let count = min(Int(attributes & 0x1f) + 1, max(0, descriptor.count - 12) / 4)
                return .superSpeedPlus(
                    attributes: attributes, functionality: functionality,
                    sublinkSpeeds: (0..<count).compactMap { descriptor.doubleWord(at: 12 + 4 * $0) })
            }
        default: break
        }
        return .other(type: type, bytes: descriptor.bytes)
    }
}
