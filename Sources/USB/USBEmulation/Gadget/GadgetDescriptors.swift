// A device's descriptors as GadgetFS takes them: one block, for both speeds that a high-speed device has.

import USB

struct GadgetDescriptors {
    /// What the kernel sends of a configuration since 5.16, however much is asked for (`RBUF_SIZE`,
    /// the fix of CVE-2021-39685).
    static let mostConfigurationBytes = 256
    /// "Device configuration" (`dev_config` of the kernel's drivers/usb/gadget/legacy/inode.c).
    private static let tag: [UInt8] = [0, 0, 0, 0]

    /// What is written to the controller's file: tag, configuration for full speed, configuration for high speed, device descriptor.
    let bytes: [UInt8]

    /// Throws `notSupported` for a device that GadgetFS can't carry.
    init(_ descriptors: EmulatedDescriptors) throws(USBError) {
        guard descriptors.speed == .high || descriptors.speed == .full else {
            throw Self.refusal("GadgetFS serves only full-speed and high-speed devices, and this one is \(descriptors.speed)")
        }
        guard descriptors.configurations.count == 1, let configuration = descriptors.configurations.first else {
            throw Self.refusal("GadgetFS serves only devices with one configuration, and this one has \(descriptors.configurations.count)")
        }
        let parsed = DescriptorSet(parsing: descriptors.device + configuration)
        for endpoint in parsed.configurations.flatMap(\.interfaces).flatMap(\.endpoints) {
            guard endpoint.transferType != .isochronous else {
                throw Self.refusal("\(endpoint.address) is isochronous, which GadgetFS can't serve")
            }
            guard endpoint.address.direction == .in else {
                throw Self.refusal("\(endpoint.address) receives, and only endpoints that send are served")
            }
        }
        let high = Self.powered(configuration)
        let full = descriptors.speed == .full ? high : Self.fullSpeed(high)
        bytes = Self.tag + full + (descriptors.speed == .full ? [] : high) + descriptors.device
        guard high.count <= Self.mostConfigurationBytes else {
            throw Self.refusal(
                "GadgetFS sends at most \(Self.mostConfigurationBytes) bytes of a configuration, and this one has \(high.count)")
        }
    }

    private static func refusal(_ reason: String) -> USBError {
        USBError(.notSupported, operation: "GadgetFS descriptors", detail: reason)
    }

    /// Bit 7 of `bmAttributes` is set, and bit 5 is not: nobody wakes the host.
    private static func powered(_ configuration: [UInt8]) -> [UInt8] {
        var bytes = configuration
        if bytes.count > 7 { bytes[7] = bytes[7] & ~0x20 | 0x80 }
        return bytes
    }

    /// The same at full speed: packets of 64 bytes at most, and an interrupt endpoint's interval in frames in place of an exponent.
    static func fullSpeed(_ configuration: [UInt8]) -> [UInt8] {
        var bytes = configuration
        var position = 0
        while position + 2 <= bytes.count, bytes[position] >= 2 {
            let length = Int(bytes[position])
            if bytes[position + 1] == DescriptorType.endpoint, length >= EndpointDescriptor.length, position + length <= bytes.count {
                let size = min(64, Int(bytes[position + 4]) | Int(bytes[position + 5] & 0x07) << 8)
                bytes[position + 4] = UInt8(size)
                bytes[position + 5] = 0
                if bytes[position + 3] & 3 == 3 {
                    let microframes = 1 << (min(16, max(1, Int(bytes[position + 6]))) - 1)
                    bytes[position + 6] = UInt8(min(255, max(1, microframes / 8)))
                }
            }
            position += length
        }
        return bytes
    }
}
