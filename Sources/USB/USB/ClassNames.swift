// What class codes mean to a person.

/// Class, subclass and protocol of a device or interface.
public struct ClassCode: Hashable, Sendable, CustomStringConvertible {
    public var `class`: UInt8
    public var subclass: UInt8
    public var `protocol`: UInt8

    public init(_ class: UInt8, _ subclass: UInt8, _ protocol: UInt8) {
        self.class = `class`
        self.subclass = subclass
        self.protocol = `protocol`
    }

    /// `"0e/01/00"`
    public var description: String { [self.class, subclass, self.protocol].map { hexadecimal($0, digits: 2) }.joined(separator: "/") }

    /// As usb.org names it, in a few words: `"video control"`, `"printer, IPP over USB"`; `nil` for a code that we have no name for.
    public var name: String? {
        switch (self.class, subclass, self.protocol) {
        case (0x01, 0x01, _): "audio control"
        case (0x01, 0x02, _): "audio streaming"
        case (0x01, 0x03, _): "MIDI streaming"
        case (0x01, _, _): "audio"
        case (0x02, _, _): "communication"
        case (0x03, 0x01, 0x01): "keyboard"
        case (0x03, 0x01, 0x02): "mouse"
        case (0x03, _, _): "human interface"
        case (0x06, 0x01, 0x01): "still camera"
        case (0x06, _, _): "image"
        case (0x07, 0x01, 0x04): "printer, IPP over USB"
        case (0x07, _, _): "printer"
        case (0x08, 0x06, 0x62): "mass storage, UAS"
        case (0x08, _, _): "mass storage"
        case (0x09, _, _): "hub"
        case (0x0a, _, _): "communication data"
        case (0x0b, _, _): "smart card"
        case (0x0e, 0x01, _): "video control"
        case (0x0e, 0x02, _): "video streaming"
        case (0x0e, 0x03, _): "video collection"
        case (0x0e, _, _): "video"
        case (0x10, _, _): "audio and video"
        case (0x11, _, _): "billboard"
        case (0xe0, 0x01, 0x01): "Bluetooth"
        case (0xe0, _, _): "wireless controller"
        case (0xef, 0x02, 0x01): "several functions"
        case (0xfe, 0x01, _): "firmware upgrade"
        case (0xfe, 0x03, _): "test and measurement"
        case (0xff, _, _): "vendor specific"
        default: nil
        }
    }
}

extension InterfaceDescriptor {
    public var code: ClassCode { ClassCode(interfaceClass, interfaceSubclass, interfaceProtocol) }
}

extension DeviceDescriptor {
    public var code: ClassCode { ClassCode(deviceClass, deviceSubclass, deviceProtocol) }
}
