// A device's descriptors as sysfs keeps them: the device descriptor followed by every configuration. A pure parser of hostile bytes.

/// What `USBDeviceInformation.descriptors` holds, parsed. Every sequence of bytes gives a result;
/// what was wrong is in `anomalies`.
///
/// Linear in time and memory, no recursion, no trap.
public struct DescriptorSet: Sendable {
    /// `nil` when the bytes do not begin with a device descriptor.
    public private(set) var device: DeviceDescriptor?
    public private(set) var configurations: [ConfigurationDescriptor] = []
    /// What was odd, in the order of the bytes, at most `DescriptorAnomalies.limit`.
    public var anomalies: [DescriptorAnomaly] { found.list }
    /// Anomalies beyond that limit.
    public var omittedAnomalies: Int { found.omitted }

    private var found = DescriptorAnomalies()

    /// A set without a device descriptor is accepted (a configuration alone, as GET_DESCRIPTOR gives it).
    public init(parsing bytes: [UInt8]) {
        var reader = DescriptorReader(bytes)
        if let first = reader.peek(), first.type == DescriptorType.device, let device = DeviceDescriptor(first) {
            self.device = device
            if first.count != DeviceDescriptor.length {
                found.add(.wrong, .length, at: 0, "The device descriptor is \(first.count) bytes long instead of 18.")
            }
            reader.position = first.count
        } else if bytes.count < 2 || bytes[1] != DescriptorType.configuration {
            found.add(.lost, .missing, at: 0, "The bytes do not begin with a whole device descriptor.")
            if bytes.count >= 2, bytes[1] == DescriptorType.device { reader.position = min(bytes.count, DeviceDescriptor.length) }
        }
        while reader.position < bytes.count {
            guard ConfigurationParser.looksLikeConfiguration(bytes, at: reader.position) else {
                let left = bytes.count - reader.position
                found.add(.lost, .unknown, at: reader.position, "\(left) bytes follow that are not a configuration.")
                break
            }
            var parser = ConfigurationParser(bytes, at: reader.position, anomalies: found)
            configurations.append(parser.parse())
            found = parser.anomalies
            reader.position = parser.position
        }
        if let device, Int(device.configurationCount) != configurations.count {
            found.add(
                .wrong, .count, at: 17,
                "The device announces \(device.configurationCount) configurations but has \(configurations.count).")
        }
    }

    /// The speed the descriptors look like, for when nobody says: companions mean SuperSpeed, packets larger than full speed's high speed.
    public var likelySpeed: USBSpeed {
        let endpoints = configurations.flatMap(\.interfaces).flatMap(\.endpoints)
        if endpoints.contains(where: { $0.superSpeedPlusBytesPerInterval != nil }) { return .superPlus }
        if endpoints.contains(where: { $0.superSpeed != nil }) { return .super }
        let version = device?.usbVersion ?? 0x0200
        let high = endpoints.contains {
            switch $0.transferType {
            case .bulk: $0.maxPacketSize > 64
            case .isochronous: $0.maxPacketSizeField > 1023
            case .interrupt: $0.maxPacketSizeField > 64
            case .control: false
            }
        }
        if high { return .high }
        // A bulk endpoint has 512 bytes at high speed, so a smaller one settles it.
        return version < 0x0200 || endpoints.contains { $0.transferType == .bulk } ? .full : .high
    }
}

/// Steps through descriptors by their `bLength`.
struct DescriptorReader {
    let bytes: [UInt8]
    var position = 0

    init(_ bytes: [UInt8], at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    /// The descriptor at the position, `nil` when it is shorter than its header or longer than what is left.
    func peek() -> RawDescriptor? {
        guard position < bytes.count else { return nil }
        let length = Int(bytes[position])
        guard length >= 2, length <= bytes.count - position else { return nil }
        return RawDescriptor(bytes: Array(bytes[position..<position + length]), offset: position)
    }
}
