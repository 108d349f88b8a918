// Parses a VideoControl interface: its header, terminals and units (UVC 1.5 §3.7).

import USB

/// The control half of a function. Streams are added by whoever finds them.
struct VideoControlParser {
    private(set) var function: VideoFunction
    /// `baInterfaceNr`: the streaming interfaces of the collection.
    private(set) var streamingNumbers: [UInt8] = []
    var anomalies = DescriptorAnomalies()

    private let interface: InterfaceDescriptor
    private var entityIDs: Set<UInt8> = []

    init(_ interface: InterfaceDescriptor) {
        self.interface = interface
        function = VideoFunction(
            controlInterface: interface.number, uvcVersion: 0x0100, interfaceProtocol: interface.interfaceProtocol)
        var unknown = UnknownDescriptors()
        var foundHeader = false
        for descriptor in interface.classDescriptors {
            switch (descriptor.type, descriptor.subtype) {
            case (DescriptorType.classInterface, VideoControlSubtype.header):
                if foundHeader {
                    anomalies.add(.wrong, .duplicate, at: descriptor.offset, "The control interface has a second header, which is skipped.")
                } else {
                    foundHeader = true
                    readHeader(descriptor)
                }
            case (DescriptorType.classInterface, _): readEntity(descriptor, unknown: &unknown)
            case (VideoControlSubtype.logitechDescriptorType, 0x01): readExtensionUnit(descriptor, isLogitech: true)
            case (DescriptorType.classEndpoint, _): break
            default: unknown.add(descriptor)
            }
        }
        if !foundHeader {
            anomalies.add(
                .lost, .missing, at: interface.offset, "The control interface \(interface.number) has no header; UVC 1.0 is assumed.")
        }
        unknown.report(in: "control interface \(interface.number)", to: &anomalies)
        readStatusEndpoint()
        checkSources()
    }

    private mutating func readHeader(_ header: RawDescriptor) {
        guard let version = header.word(at: 3), let total = header.word(at: 5) else {
            anomalies.add(.lost, .length, at: header.offset, "The header of the control interface is too short.")
            return
        }
        function.uvcVersion = version
        function.clockFrequency = header.doubleWord(at: 7) ?? 0
        let count = Int(header.byte(at: 11) ?? 0)
        let present = min(count, max(0, header.count - 12))
        if present < count {
            anomalies.add(
                .wrong, .count, at: header.offset + 11,
                "The control interface announces \(count) streaming interfaces (bInCollection) but lists \(present).")
        }
        for number in header.bytes(at: 12, count: present) ?? [] where !streamingNumbers.contains(number) {
            streamingNumbers.append(number)
        }
        let actual = interface.classDescriptors.filter { $0.type != DescriptorType.classEndpoint }.reduce(0) { $0 + $1.count }
        let standard = interface.classDescriptors.filter { $0.type == DescriptorType.classInterface }.reduce(0) { $0 + $1.count }
        if Int(total) != actual, Int(total) != standard {
            anomalies.add(
                .note, .length, at: header.offset + 5, "The control interface announces \(total) bytes (wTotalLength) but has \(actual).")
        }
        if function.clockFrequency == 0 {
            anomalies.add(.note, .value, at: header.offset + 7, "The clock frequency is 0, so time stamps have no unit.")
        }
        if (version >= 0x0150) != (interface.interfaceProtocol == 1) {
            anomalies.add(
                .note, .value, at: header.offset + 3,
                "bcdUVC 0x\(hexadecimal(version, digits: 4)) does not match the interface protocol \(interface.interfaceProtocol)."
            )
        }
    }

    private mutating func readEntity(_ descriptor: RawDescriptor, unknown: inout UnknownDescriptors) {
        switch descriptor.subtype {
        case VideoControlSubtype.inputTerminal: readInputTerminal(descriptor)
        case VideoControlSubtype.outputTerminal:
            guard let type = descriptor.word(at: 4), let source = descriptor.byte(at: 7) else {
                return tooShort(descriptor, "an output terminal")
            }
            add(
                VideoEntity(
                    id: descriptor.bytes[3], kind: .outputTerminal(type: type), sources: [source],
                    associatedTerminal: descriptor.bytes[6], nameIndex: descriptor.byte(at: 8) ?? 0), from: descriptor)
        case VideoControlSubtype.selectorUnit:
            guard let count = descriptor.byte(at: 4) else { return tooShort(descriptor, "a selector unit") }
            let sources = pins(descriptor, at: 5, count: count)
            add(
                VideoEntity(
                    id: descriptor.bytes[3], kind: .selectorUnit, sources: sources,
                    nameIndex: descriptor.byte(at: 5 + sources.count) ?? 0), from: descriptor)
        case VideoControlSubtype.processingUnit:
            guard let source = descriptor.byte(at: 4) else { return tooShort(descriptor, "a processing unit") }
            let controls = controlBits(descriptor, sizeAt: 7)
            let unit = ProcessingUnit(
                maxMultiplier: descriptor.word(at: 5) ?? 0, videoStandards: descriptor.byte(at: 9 + controls.bytes.count) ?? 0)
            add(
                VideoEntity(
                    id: descriptor.bytes[3], kind: .processingUnit(unit), sources: [source], controls: controls,
                    nameIndex: descriptor.byte(at: 8 + controls.bytes.count) ?? 0), from: descriptor)
        case VideoControlSubtype.extensionUnit: readExtensionUnit(descriptor, isLogitech: false)
        case VideoControlSubtype.encodingUnit:
            guard let source = descriptor.byte(at: 4) else { return tooShort(descriptor, "an encoding unit") }
            let controls = controlBits(descriptor, sizeAt: 6)
            let runtime = descriptor.bytes(at: 7 + controls.bytes.count, count: controls.bytes.count) ?? []
            add(
                VideoEntity(
                    id: descriptor.bytes[3], kind: .encodingUnit(runtimeControls: ControlBits(bytes: runtime)), sources: [source],
                    controls: controls, nameIndex: descriptor.byte(at: 5) ?? 0), from: descriptor)
        default: unknown.add(descriptor)
        }
    }

    private mutating func readInputTerminal(_ descriptor: RawDescriptor) {
        guard let type = descriptor.word(at: 4) else { return tooShort(descriptor, "an input terminal") }
        var entity = VideoEntity(
            id: descriptor.bytes[3], kind: .inputTerminal(type: type), associatedTerminal: descriptor.byte(at: 6) ?? 0,
            nameIndex: descriptor.byte(at: 7) ?? 0)
        if type == TerminalType.camera {
            entity.kind = .cameraTerminal(
                CameraTerminal(
                    objectiveFocalLengthMinimum: descriptor.word(at: 8) ?? 0, objectiveFocalLengthMaximum: descriptor.word(at: 10) ?? 0,
                    ocularFocalLength: descriptor.word(at: 12) ?? 0))
            entity.controls = controlBits(descriptor, sizeAt: 14)
        } else if type == TerminalType.mediaTransportInput {
            entity.controls = controlBits(descriptor, sizeAt: 8)
        }
        add(entity, from: descriptor)
    }

    /// Logitech's own descriptor (type 0x41) begins as the standard's does; what follows `bmControls` is different and has no use here.
    private mutating func readExtensionUnit(_ descriptor: RawDescriptor, isLogitech: Bool) {
        guard let guid = descriptor.guid(at: 4), let controlCount = descriptor.byte(at: 20), let pinCount = descriptor.byte(at: 21) else {
            return tooShort(descriptor, "an extension unit")
        }
        let sources = pins(descriptor, at: 22, count: pinCount)
        let controls = controlBits(descriptor, sizeAt: 22 + sources.count)
        let unit = ExtensionUnit(guid: guid, declaredControlCount: controlCount, isLogitechDescriptor: isLogitech)
        let name = isLogitech ? 0 : descriptor.byte(at: 23 + sources.count + controls.bytes.count) ?? 0
        add(
            VideoEntity(id: descriptor.bytes[3], kind: .extensionUnit(unit), sources: sources, controls: controls, nameIndex: name),
            from: descriptor)
    }

    /// `bNrInPins` ids, as many as there are.
    private mutating func pins(_ descriptor: RawDescriptor, at index: Int, count: UInt8) -> [UInt8] {
        let present = min(Int(count), max(0, descriptor.count - index))
        if present < Int(count) {
            anomalies.add(
                .wrong, .length, at: descriptor.offset, "Unit \(descriptor.bytes[3]) announces \(count) inputs but lists \(present).")
        }
        return descriptor.bytes(at: index, count: present) ?? []
    }

    /// `bControlSize` bytes of `bmControls`, as many as there are.
    private mutating func controlBits(_ descriptor: RawDescriptor, sizeAt index: Int) -> ControlBits {
        let size = Int(descriptor.byte(at: index) ?? 0)
        let present = min(size, max(0, descriptor.count - index - 1))
        if present < size {
            anomalies.add(
                .wrong, .length, at: descriptor.offset + index,
                "Entity \(descriptor.bytes[3]) announces \(size) bytes of controls (bControlSize) but has \(present).")
        }
        return ControlBits(bytes: descriptor.bytes(at: index + 1, count: present) ?? [])
    }

    private mutating func add(_ entity: VideoEntity, from descriptor: RawDescriptor) {
        if entity.id == 0 {
            anomalies.add(.wrong, .value, at: descriptor.offset + 3, "An entity has the id 0, which requests to the interface itself use.")
        }
        guard entityIDs.insert(entity.id).inserted else {
            anomalies.add(.lost, .duplicate, at: descriptor.offset + 3, "Two entities have the id \(entity.id); the first counts.")
            return
        }
        function.entities.append(entity)
    }

    private mutating func tooShort(_ descriptor: RawDescriptor, _ what: String) {
        anomalies.add(.lost, .length, at: descriptor.offset, "The descriptor of \(what) has only \(descriptor.count) bytes.")
    }

    private mutating func readStatusEndpoint() {
        guard let endpoint = interface.endpoints.first(where: { $0.transferType == .interrupt && $0.address.direction == .in }) else {
            return
        }
        let descriptor = endpoint.extra.first {
            $0.type == DescriptorType.classEndpoint && $0.subtype == VideoControlSubtype.interruptEndpoint
        }
        function.statusEndpoint = StatusEndpoint(
            address: endpoint.address, maxPacketSize: endpoint.maxPacketSize, interval: endpoint.interval,
            maxTransferSize: descriptor?.word(at: 3))
    }

    private mutating func checkSources() {
        for entity in function.entities {
            for source in entity.sources where !entityIDs.contains(source) {
                anomalies.add(
                    .wrong, .missing, at: interface.offset,
                    "Entity \(entity.id) takes its picture from entity \(source), which does not exist.")
            }
        }
    }
}

/// Counts what no specification defines, to say it once for each sort.
struct UnknownDescriptors {
    private var found: [UInt16: (count: Int, offset: Int)] = [:]

    mutating func add(_ descriptor: RawDescriptor) {
        // Only class-specific descriptors have a subtype that we could name.
        let subtype = descriptor.type == DescriptorType.classInterface ? descriptor.subtype : 0
        found[UInt16(descriptor.type) << 8 | UInt16(subtype), default: (0, descriptor.offset)].count += 1
    }

    func report(in place: String, to anomalies: inout DescriptorAnomalies) {
        for (key, value) in found.sorted(by: { $0.value.offset < $1.value.offset }) {
            let (type, subtype) = (UInt8(key >> 8), UInt8(key & 0xff))
            let which =
                type == DescriptorType.classInterface
                ? "subtype 0x\(hexadecimal(subtype, digits: 2))" : "type 0x\(hexadecimal(type, digits: 2))"
            let subject = value.count == 1 ? "A descriptor of the unknown \(which)" : "\(value.count) descriptors of the unknown \(which)"
            anomalies.add(.note, .unknown, at: value.offset, "\(subject) in \(place) \(value.count == 1 ? "is" : "are") skipped.")
        }
    }
}
