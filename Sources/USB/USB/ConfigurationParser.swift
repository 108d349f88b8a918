// Parses one configuration: sorts the flat row of descriptors into associations, interfaces and endpoints.

/// Reads from `position` to the end of the configuration, and leaves `position` behind it.
struct ConfigurationParser {
    private var reader: DescriptorReader
    private var configuration = ConfigurationDescriptor(value: 0)
    private(set) var anomalies: DescriptorAnomalies
    /// Interface and alternate setting pairs that were seen.
    private var seen: Set<UInt16> = []

    var position: Int { reader.position }

    static let headerLength = 9

    init(_ bytes: [UInt8], at position: Int, anomalies: DescriptorAnomalies) {
        reader = DescriptorReader(bytes, at: position)
        self.anomalies = anomalies
    }

    /// Whether a whole configuration descriptor stands there.
    static func looksLikeConfiguration(_ bytes: [UInt8], at position: Int) -> Bool {
        bytes.count - position >= headerLength && bytes[position] >= headerLength && bytes[position + 1] == DescriptorType.configuration
    }

    mutating func parse() -> ConfigurationDescriptor {
        let start = reader.position
        let bytes = reader.bytes
        readHeader(at: start)
        let declaredEnd = start + Int(configuration.declaredTotalLength)
        reader.position = min(bytes.count, start + Int(bytes[start]))

        while reader.position < bytes.count {
            if Self.looksLikeConfiguration(bytes, at: reader.position), bytes[reader.position] == Self.headerLength {
                break
            }
            guard let descriptor = reader.peek() else {
                skipUnreadable(declaredEnd: declaredEnd)
                break
            }
            reader.position += descriptor.count
            take(descriptor)
        }
        finish(start: start, declaredEnd: declaredEnd)
        return configuration
    }

    private mutating func readHeader(at start: Int) {
        let header = RawDescriptor(bytes: Array(reader.bytes[start..<start + Self.headerLength]), offset: start)
        configuration = ConfigurationDescriptor(
            value: header.bytes[5], declaredInterfaceCount: header.bytes[4], nameIndex: header.bytes[6], attributes: header.bytes[7],
            maxPower: header.bytes[8], declaredTotalLength: header.word(at: 2) ?? 0, offset: start)
        if header.bytes[0] != Self.headerLength {
            anomalies.add(
                .wrong, .length, at: start, "The configuration's own descriptor is \(header.bytes[0]) bytes long instead of 9.")
        }
    }

    /// At a descriptor that can't be stepped over: goes on where the configuration should end, if another one stands there.
    private mutating func skipUnreadable(declaredEnd: Int) {
        let position = reader.position
        let length = reader.bytes[position]
        let left = reader.bytes.count - position
        if length < 2 {
            anomalies.add(
                .lost, .length, at: position,
                "A descriptor of \(length == 0 ? "no" : "one") byte makes the rest of the configuration unreadable.")
        } else {
            anomalies.add(.lost, .truncated, at: position, "The last descriptor needs \(length) bytes, but only \(left) are left.")
        }
        let next = declaredEnd > position && declaredEnd < reader.bytes.count ? declaredEnd : reader.bytes.count
        reader.position = next
    }

    private mutating func finish(start: Int, declaredEnd: Int) {
        let length = reader.position - start
        if length != Int(configuration.declaredTotalLength) {
            anomalies.add(
                .wrong, .length, at: start + 2,
                "Configuration \(configuration.value) announces \(configuration.declaredTotalLength) bytes (wTotalLength) but has \(length)."
            )
        }
        let count = configuration.interfaceNumbers.count
        if count != Int(configuration.declaredInterfaceCount) {
            anomalies.add(
                .wrong, .count, at: start + 4,
                "Configuration \(configuration.value) announces \(configuration.declaredInterfaceCount) interfaces but has \(count).")
        }
        for interface in configuration.interfaces where interface.endpoints.count != Int(interface.declaredEndpointCount) {
            anomalies.add(
                .wrong, .count, at: interface.offset + 4,
                "\(interface.place) announces \(interface.declaredEndpointCount) endpoints but has \(interface.endpoints.count).")
        }
    }

    private mutating func take(_ descriptor: RawDescriptor) {
        switch descriptor.type {
        case DescriptorType.interface:
            guard let interface = InterfaceDescriptor(descriptor) else { return keepShort(descriptor, "an interface") }
            if !seen.insert(UInt16(interface.number) << 8 | UInt16(interface.alternateSetting)).inserted {
                anomalies.add(.wrong, .duplicate, at: descriptor.offset, "\(interface.place) occurs twice.")
            }
            configuration.interfaces.append(interface)
        case DescriptorType.interfaceAssociation:
            guard let association = InterfaceAssociation(descriptor) else { return keepShort(descriptor, "an interface association") }
            configuration.associations.append(association)
        case DescriptorType.endpoint:
            takeEndpoint(descriptor)
        case DescriptorType.superSpeedCompanion:
            takeCompanion(descriptor)
        case DescriptorType.superSpeedPlusIsochronousCompanion:
            guard let bytes = descriptor.doubleWord(at: 4) else { return keepShort(descriptor, "a SuperSpeedPlus companion") }
            if !changeLastEndpoint({ $0.superSpeedPlusBytesPerInterval = bytes }) { keep(descriptor) }
        case DescriptorType.device, DescriptorType.configuration:
            anomalies.add(.lost, .misplaced, at: descriptor.offset, "A descriptor of type \(descriptor.type) is inside a configuration.")
        default:
            keep(descriptor)
        }
    }

    private mutating func takeEndpoint(_ descriptor: RawDescriptor) {
        guard let endpoint = EndpointDescriptor(descriptor) else { return keepShort(descriptor, "an endpoint") }
        guard let last = configuration.interfaces.indices.last else {
            anomalies.add(.lost, .misplaced, at: descriptor.offset, "\(endpoint.address) comes before the first interface.")
            return keep(descriptor)
        }
        let place = configuration.interfaces[last].place
        // At most 30 endpoints have distinct addresses: a linear search, and a limit for the rest.
        if configuration.interfaces[last].endpoints.contains(where: { $0.address == endpoint.address }) {
            anomalies.add(.lost, .duplicate, at: descriptor.offset, "\(place) has \(endpoint.address) twice; the first counts.")
            return
        }
        if endpoint.address.rawValue & 0x70 != 0 || endpoint.address.number == 0 {
            anomalies.add(
                .wrong, .value, at: descriptor.offset + 2,
                "\(place) has an endpoint with the address 0x\(hexadecimal(endpoint.address.rawValue, digits: 2)).")
        }
        configuration.interfaces[last].endpoints.append(endpoint)
    }

    private mutating func takeCompanion(_ descriptor: RawDescriptor) {
        guard let companion = SuperSpeedCompanion(descriptor) else { return keepShort(descriptor, "a SuperSpeed companion") }
        if !changeLastEndpoint({ $0.superSpeed = companion }) {
            anomalies.add(.wrong, .misplaced, at: descriptor.offset, "A SuperSpeed companion follows no endpoint.")
            keep(descriptor)
        }
    }

    private mutating func keepShort(_ descriptor: RawDescriptor, _ what: String) {
        anomalies.add(.lost, .length, at: descriptor.offset, "The descriptor of \(what) is only \(descriptor.count) bytes long.")
        keep(descriptor)
    }

    /// Puts a descriptor that the core does not know where it stands: at the endpoint, the interface or the configuration before it.
    private mutating func keep(_ descriptor: RawDescriptor) {
        if changeLastEndpoint({ $0.extra.append(descriptor) }) { return }
        if let interface = configuration.interfaces.indices.last {
            configuration.interfaces[interface].extra.append(descriptor)
        } else {
            // 0x09 is OTG's, 0x0c…0x0e wireless USB's: those belong here.
            if descriptor.type > DescriptorType.deviceCapability {
                anomalies.add(
                    .note, .unknown, at: descriptor.offset,
                    "A descriptor of the unknown type 0x\(hexadecimal(descriptor.type, digits: 2)) comes before the interfaces.")
            }
            configuration.extra.append(descriptor)
        }
    }

    /// `false` when the last interface has no endpoint yet.
    private mutating func changeLastEndpoint(_ change: (inout EndpointDescriptor) -> Void) -> Bool {
        guard let interface = configuration.interfaces.indices.last,
            let endpoint = configuration.interfaces[interface].endpoints.indices.last
        else { return false }
        change(&configuration.interfaces[interface].endpoints[endpoint])
        return true
    }
}

extension InterfaceDescriptor {
    /// How a sentence names it: `"Interface 1"`, `"Interface 1, alternate setting 3"`.
    public var place: String { "Interface \(number)" + (alternateSetting == 0 ? "" : ", alternate setting \(alternateSetting)") }
}
