// A descriptor kept whole, with bounded access to its fields: what every parser of class descriptors reads from.

/// One descriptor as it came: `bLength` bytes, of which the first is `bLength` and the second `bDescriptorType`.
public struct RawDescriptor: Hashable, Sendable {
    /// The whole descriptor, with its two header bytes.
    public var bytes: [UInt8]
    /// Where it stood in what was parsed, in bytes.
    public var offset: Int

    public init(bytes: [UInt8], offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    /// `bDescriptorType`
    public var type: UInt8 { byte(at: 1) ?? 0 }
    /// `bDescriptorSubtype`, where the class has one.
    public var subtype: UInt8 { byte(at: 2) ?? 0 }
    public var count: Int { bytes.count }

    /// The byte at `index`, `nil` past the end.
    public func byte(at index: Int) -> UInt8? {
        bytes.indices.contains(index) ? bytes[index] : nil
    }

    /// Two bytes, little endian.
    public func word(at index: Int) -> UInt16? {
        guard let low = byte(at: index), let high = byte(at: index + 1) else { return nil }
        return UInt16(low) | UInt16(high) << 8
    }

    /// Four bytes, little endian.
    public func doubleWord(at index: Int) -> UInt32? {
        guard let low = word(at: index), let high = word(at: index + 2) else { return nil }
        return UInt32(low) | UInt32(high) << 16
    }

    /// `length` bytes from `index`, `nil` unless all are there.
    public func bytes(at index: Int, count length: Int) -> [UInt8]? {
        guard index >= 0, length >= 0, index <= bytes.count, length <= bytes.count - index else { return nil }
        return Array(bytes[index..<index + length])
    }

    /// A GUID's sixteen bytes from `index`.
    public func guid(at index: Int) -> GUID? {
        bytes(at: index, count: 16).flatMap { GUID(bytes: $0) }
    }
}

/// `bDescriptorType` (USB 2.0 table 9-5, USB 3.2 table 9-6).
public enum DescriptorType {
    public static let device: UInt8 = 0x01
    public static let configuration: UInt8 = 0x02
    public static let string: UInt8 = 0x03
    public static let interface: UInt8 = 0x04
    public static let endpoint: UInt8 = 0x05
    public static let deviceQualifier: UInt8 = 0x06
    public static let interfaceAssociation: UInt8 = 0x0b
    public static let binaryObjectStore: UInt8 = 0x0f
    public static let deviceCapability: UInt8 = 0x10
    public static let classInterface: UInt8 = 0x24
    public static let classEndpoint: UInt8 = 0x25
    public static let superSpeedCompanion: UInt8 = 0x30
    public static let superSpeedPlusIsochronousCompanion: UInt8 = 0x31
}
