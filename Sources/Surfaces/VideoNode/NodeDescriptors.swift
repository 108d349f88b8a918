// A node's descriptors (USB Device Class Definition for Video Devices 1.1, chapter 3), which this project writes and nobody else: nothing
// that a device sent goes on to the kernel's parser but names, numbers and sizes that were understood.

public import USB
import USBEmulation
import UVC

enum NodeInterface {
    static let control: UInt8 = 0
    static let streaming: UInt8 = 1
    static let endpoint = EndpointAddress(rawValue: 0x81)
    static let status = EndpointAddress(rawValue: 0x82)
}

/// Identifiers of terminals and units.
enum NodeEntity {
    static let interface: UInt8 = 0
    static let camera: UInt8 = 1
    static let processing: UInt8 = 2
    static let output: UInt8 = 3
}

/// What a node is: a camera with a name, a serial number, formats and controls.
public struct NodeFacts: Hashable, Sendable {
    /// The product's name, which programs show.
    public var name: String
    public var serial: String
    public var formats: NodeFormats
    public var controls: NodeControls
    /// The camera has a button, and tells when it is pressed.
    public var hasButton: Bool

    /// What it is attached at, where it is not the pictures that say so.
    public var wantedSpeed: USBSpeed?

    public init(name: String, serial: String, formats: NodeFormats, controls: NodeControls, hasButton: Bool = false, speed: USBSpeed? = nil)
    {
        self.hasButton = hasButton
        self.name = name
        self.serial = serial
        wantedSpeed = speed
        self.formats = formats
        self.controls = controls
    }

    /// Whether it has anything to say by itself: every control may change, since other programs have the camera, too.
    var hasStatus: Bool { hasButton || controls.controls.contains(where: \.isReadable) }

    /// High speed carries some 40 MB/s; what has uncompressed pictures of more is SuperSpeed, where the kernel also asks for twice as much at once.
    public var speed: USBSpeed { wantedSpeed ?? (formats.mostBytesASecond > 40_000_000 ? .super : .high) }
}

struct NodeDescriptors {
    /// The video gadget of the kernel's own, by the numbers it has there (`drivers/usb/gadget/legacy/webcam.c`): `uvcvideo` knows no odd
    /// habits of it. With the real camera's numbers come the workarounds for the real camera.
    static let vendorID: UInt16 = 0x1d6b
    static let productID: UInt16 = 0x0102
    /// `dwClockFrequency`: PTS and SCR count at this rate.
    static let clockFrequency: UInt32 = 48_000_000

    let facts: NodeFacts
    private var isSuper: Bool { facts.speed == .super }

    var all: EmulatedDescriptors {
        let function = functionBytes
        var configuration = DescriptorBytes()
        configuration.add8(9, 0x02)
        configuration.add16(UInt16(clamping: 9 + function.count))
        // bNumInterfaces, bConfigurationValue, iConfiguration, bmAttributes: self-powered, bMaxPower.
        configuration.add8(2, 1, 0, 0xc0, 0)
        configuration.bytes += function
        return EmulatedDescriptors(
            speed: facts.speed, device: device, configurations: [configuration.bytes],
            strings: [1: "UserDriver", 2: Self.text(facts.name, "Camera"), 3: Self.text(facts.serial, "0")],
            bos: isSuper ? objectStore : nil)
    }

    /// A string descriptor has room for 126 units of UTF-16; control characters have no business in a name.
    private static func text(_ text: String, _ otherwise: String) -> String {
        let plain = String(text.unicodeScalars.prefix(60).filter { $0.value >= 0x20 && $0.value != 0x7f }.map(Character.init))
        return plain.isEmpty ? otherwise : plain
    }

    private var device: [UInt8] {
        var bytes = DescriptorBytes()
        bytes.add8(18, 0x01)
        bytes.add16(isSuper ? 0x0300 : 0x0200)
        // Miscellaneous device with interface associations; 64 bytes on endpoint 0, or two to the ninth.
        bytes.add8(0xef, 0x02, 0x01, isSuper ? 9 : 64)
        bytes.add16(Self.vendorID, Self.productID, 0x0100)
        // iManufacturer, iProduct, iSerialNumber, bNumConfigurations.
        bytes.add8(1, 2, 3, 1)
        return bytes.bytes
    }

    /// USB 3.2 §9.6.2: USB 2.0 extension without link power management, and what SuperSpeed takes.
    private var objectStore: [UInt8] {
        var bytes = DescriptorBytes()
        bytes.add8(5, 0x0f)
        bytes.add16(22)
        bytes.add8(2)
        bytes.add8(7, 0x10, 0x02)
        bytes.add32(0)
        // bmAttributes; speeds: high and SuperSpeed; all functions from high speed on; U1 and U2 exit latency.
        bytes.add8(10, 0x10, 0x03, 0)
        bytes.add16(0x000c)
        bytes.add8(2, 0)
        bytes.add16(0)
        return bytes.bytes
    }

    private var functionBytes: [UInt8] {
        var bytes = DescriptorBytes()
        // Interface association: two interfaces from 0, a video interface collection.
        bytes.add8(8, 0x0b, NodeInterface.control, 2, 0x0e, 0x03, 0x00, 0)
        addControlInterface(&bytes)
        addStreamingInterface(&bytes)
        return bytes.bytes
    }

    private func addControlInterface(_ bytes: inout DescriptorBytes) {
        bytes.add8(9, 0x04, NodeInterface.control, 0, facts.hasStatus ? 1 : 0, 0x0e, 0x01, 0x00, 0)
        var units = DescriptorBytes()
        // Camera terminal (§3.7.2.3): no optical zoom; 3 bytes of bmControls.
        units.add8(18, 0x24, 0x02, NodeEntity.camera)
        units.add16(0x0201)
        units.add8(0, 0)
        units.add16(0, 0, 0)
        units.add8(3)
        units.add24(facts.controls.bitmap(of: .cameraTerminal))
        // Processing unit (§3.7.2.5): source camera, no digital multiplier, 2 bytes of bmControls, no string, no analog video standard.
        units.add8(12, 0x24, 0x05, NodeEntity.processing, NodeEntity.camera)
        units.add16(0)
        units.add8(2)
        units.add16(UInt16(truncatingIfNeeded: facts.controls.bitmap(of: .processingUnit)))
        units.add8(0, 0)
        // Output terminal (§3.7.2.2): USB streaming.
        units.add8(9, 0x24, 0x03, NodeEntity.output)
        units.add16(0x0101)
        units.add8(0, NodeEntity.processing, 0)
        // Header (§3.7.2): one streaming interface.
        bytes.add8(13, 0x24, 0x01)
        bytes.add16(0x0110, UInt16(13 + units.bytes.count))
        bytes.add32(Self.clockFrequency)
        bytes.add8(1, NodeInterface.streaming)
        bytes.bytes += units.bytes
        if facts.hasStatus { addStatusEndpoint(&bytes) }
    }

    /// Status interrupt endpoint (§3.8.2): every 2^7 microframes (16 ms), and what the class says of it.
    private func addStatusEndpoint(_ bytes: inout DescriptorBytes) {
        let size = UInt16(NodeStatus.packetSize)
        bytes.add8(7, 0x05, NodeInterface.status.rawValue, 0x03)
        bytes.add16(size)
        bytes.add8(8)
        // Endpoint companion (USB 3.2 §9.6.7): no bursts; bytes in an interval.
        if isSuper {
            bytes.add8(6, 0x30, 0, 0)
            bytes.add16(size)
        }
        bytes.add8(5, 0x25, 0x03)
        bytes.add16(size)
    }

    private func addStreamingInterface(_ bytes: inout DescriptorBytes) {
        bytes.add8(9, 0x04, NodeInterface.streaming, 0, 1, 0x0e, 0x02, 0x00, 0)
        var formats = DescriptorBytes()
        for (index, format) in facts.formats.formats.enumerated() { add(format, index: UInt8(index + 1), to: &formats) }
        // Input header (§3.9.2.1): no still capture; a button is one of general purpose (bTriggerSupport, bTriggerUsage), which is what hosts make
        // a key of, whatever the camera's own is for; nothing to be asked for but a rate.
        let count = facts.formats.formats.count
        bytes.add8(UInt8(13 + count), 0x24, 0x01, UInt8(count))
        bytes.add16(UInt16(clamping: 13 + count + formats.bytes.count))
        let button: UInt8 = facts.hasButton ? 1 : 0
        bytes.add8(NodeInterface.endpoint.rawValue, 0, NodeEntity.output, 0, button, button, 1)
        for _ in 0..<count { bytes.add8(0) }
        bytes.bytes += formats.bytes
        bytes.add8(7, 0x05, NodeInterface.endpoint.rawValue, 0x02)
        bytes.add16(isSuper ? 1024 : 512)
        bytes.add8(0)
        // Endpoint companion (USB 3.2 §9.6.7): no bursts, no streams.
        if isSuper { bytes.add8(6, 0x30, 0, 0, 0, 0) }
    }

    private func add(_ format: NodeFormats.Format, index: UInt8, to bytes: inout DescriptorBytes) {
        let count = UInt8(clamping: format.frames.count)
        let defaultFrame = facts.formats.defaultFrame(of: format)
        let frameSubtype: UInt8
        switch format.payload {
        case .mjpeg:
            // bmFlags: samples vary in size; no aspect ratio, not interlaced, free to copy.
            bytes.add8(11, 0x24, 0x06, index, count, 0, defaultFrame, 0, 0, 0, 0)
            frameSubtype = 0x07
        case .uncompressed:
            bytes.add8(27, 0x24, 0x04, index, count)
            bytes.bytes += format.guid
            bytes.add8(UInt8(clamping: format.bitsPerPixel), defaultFrame, 0, 0, 0, 0)
            frameSubtype = 0x05
        case .frameBased:
            // Frame Based Payload 1.1 §3.1.1: no bits for a pixel, no aspect ratio, not interlaced, free to copy, frames of variable size.
            bytes.add8(28, 0x24, 0x10, index, count)
            bytes.bytes += format.guid
            bytes.add8(0, defaultFrame, 0, 0, 0, 0, 1)
            frameSubtype = 0x11
        }
        for (number, frame) in format.frames.enumerated() {
            bytes.add8(UInt8(26 + 4 * frame.intervals.count), 0x24, frameSubtype, UInt8(number + 1), 0)
            bytes.add16(UInt16(frame.width), UInt16(frame.height))
            let size = format.byteCount(frame)
            func bitRate(_ interval: UInt32) -> UInt32 { UInt32(clamping: size * 8 * 10_000_000 / Int(max(1, interval))) }
            bytes.add32(bitRate(frame.intervals.last ?? 333_333), bitRate(frame.intervals.first ?? 333_333))
            if format.payload == .frameBased {
                // Frame Based Payload 1.1 §3.1.2: the interval comes first, dwBytesPerLine (none) last, and no size of a buffer.
                bytes.add32(facts.formats.defaultInterval(of: frame))
                bytes.add8(UInt8(frame.intervals.count))
                bytes.add32(0)
            } else {
                bytes.add32(UInt32(clamping: size), facts.formats.defaultInterval(of: frame))
                bytes.add8(UInt8(frame.intervals.count))
            }
            for interval in frame.intervals { bytes.add32(interval) }
        }
        // Colour matching (§3.9.2.6): sRGB primaries, BT.709 transfer, SMPTE 170M (BT.601) matrix.
        bytes.add8(6, 0x24, 0x0d, 1, 1, 4)
    }
}

/// Descriptors in the making, little endian.
private struct DescriptorBytes {
    var bytes: [UInt8] = []
    mutating func add8(_ values: UInt8...) { bytes += values }
    mutating func add16(_ values: UInt16...) { for value in values { bytes += [UInt8(value & 0xff), UInt8(value >> 8)] } }
    mutating func add24(_ value: UInt32) { for shift in [0, 8, 16] { bytes.append(UInt8((value >> UInt32(shift)) & 0xff)) } }
    mutating func add32(_ values: UInt32...) {
        for value in values { for shift in [0, 8, 16, 24] { bytes.append(UInt8((value >> UInt32(shift)) & 0xff)) } }
    }
}
