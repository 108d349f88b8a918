// What GadgetFS says on the control file: bytes in, events out.

public import USB

/// An event of a USB device controller (`struct usb_gadgetfs_event` of linux/usb/gadgetfs.h).
public enum GadgetEvent: Hashable, Sendable {
    case nothing
    /// A host has sent its first request since the reset.
    case connected(USBSpeed)
    /// The host has gone, or resets the device.
    case disconnected
    /// A request that the kernel leaves to us.
    case setup(ControlSetup)
    case suspended

    /// Eight bytes that depend on the type, then the type, in the byte order of the machine.
    public static let byteCount = 12

    /// Events that were read in one go. Throws `malformedAnswer` for what is not a whole number of
    /// known events.
    public static func decode(_ bytes: some Collection<UInt8>) throws(USBError) -> [GadgetEvent] {
        let bytes = Array(bytes)
        guard bytes.count % byteCount == 0 else {
            throw USBError(.malformedAnswer, operation: "read(GadgetFS)", detail: "\(bytes.count) bytes is not a whole number of events")
        }
        var events: [GadgetEvent] = []
        for start in stride(from: 0, to: bytes.count, by: byteCount) { events.append(try event(bytes[start..<start + byteCount])) }
        return events
    }

    private static func event(_ bytes: ArraySlice<UInt8>) throws(USBError) -> GadgetEvent {
        let b = Array(bytes)
        let type = b.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self) }
        switch type {
        case 0: return .nothing
        case 1:
            // enum usb_device_speed, which is USB/IP's numbering too.
            let speed = b.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            return .connected(UInt8(exactly: speed).flatMap(USBSpeed.init(rawValue:)) ?? .unknown)
        case 2: return .disconnected
        case 3:
            guard let setup = ControlSetup(bytes: b) else { return .nothing }
            return .setup(setup)
        case 4: return .suspended
        default: throw USBError(.malformedAnswer, operation: "read(GadgetFS)", detail: "there is no event \(type)")
        }
    }
}
