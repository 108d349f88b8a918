// A device as one of its functions sees it: its configuration, and of that only the function's
// interfaces.

extension USBDeviceInformation {
    /// The same device with descriptors that have one configuration, with nothing in it but the
    /// interfaces of `function`. Byte for byte what it was where nothing is left out.
    public func restricted(to function: USBFunction) -> USBDeviceInformation {
        var result = self
        result.descriptors = Self.cut(descriptors, to: function)
        return result
    }

    private static func cut(_ bytes: [UInt8], to function: USBFunction) -> [UInt8] {
        let set = DescriptorSet(parsing: bytes)
        guard let configuration = set.configurations.first(where: { $0.value == function.configuration }) else { return bytes }
        if set.configurations.count == 1, configuration.interfaceNumbers.allSatisfy(function.contains) { return bytes }
        var cut = bytes[configuration.offset...].prefix(ConfigurationParser.headerLength).map { $0 }
        var reader = DescriptorReader(bytes, at: min(bytes.count, configuration.offset + Int(bytes[configuration.offset])))
        // What stands before the first interface is the whole configuration's.
        var isKept = true
        while let descriptor = reader.peek(), descriptor.type != DescriptorType.configuration {
            reader.position += descriptor.count
            switch descriptor.type {
            case DescriptorType.interface: isKept = InterfaceDescriptor(descriptor).map { function.contains(interface: $0.number) } ?? false
            case DescriptorType.interfaceAssociation:
                // It ends the interface before it.
                isKept =
                    InterfaceAssociation(descriptor).map { association in function.interfaces.contains(where: association.contains) }
                    ?? false
            default: break
            }
            if isKept { cut += descriptor.bytes }
        }
        let length = UInt16(clamping: cut.count)
        (cut[0], cut[2], cut[3]) = (UInt8(ConfigurationParser.headerLength), UInt8(length & 0xff), UInt8(length >> 8))
        cut[4] = UInt8(clamping: configuration.interfaceNumbers.count(where: function.contains))
        guard set.device != nil, bytes.count >= DeviceDescriptor.length else { return cut }
        var device = Array(bytes.prefix(DeviceDescriptor.length))
        (device[0], device[17]) = (UInt8(DeviceDescriptor.length), 1)
        return device + cut
    }
}
