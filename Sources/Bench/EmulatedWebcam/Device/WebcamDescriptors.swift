// The camera's descriptors (USB Device Class Definition for Video Devices 1.1, chapter 3).

import USB
import USBEmulation

enum WebcamInterface {
    static let control: UInt8 = 0
    /// The first streaming interface and its endpoint; further ones are numbered on.
    static let streaming: UInt8 = 1
    static let statusEndpoint = EndpointAddress(rawValue: 0x81)
    static let streamingEndpoint = streamingEndpoint(0)
    static func streamingEndpoint(_ index: Int) -> EndpointAddress { EndpointAddress(rawValue: 0x82 + UInt8(index)) }
}

/// Identifiers of terminals and units.
enum WebcamEntity {
    static let interface: UInt8 = 0
    static let camera: UInt8 = 1
    static let processing: UInt8 = 2
    static let output: UInt8 = 3
}

struct WebcamDescriptors {
    let options: EmulatedWebcamOptions

    /// pid.codes gives 1209:0001 to anybody for tests; it is nobody's product.
    static let vendorID: UInt16 = 0x1209
    static let productID: UInt16 = 0x0001
    /// `dwClockFrequency`: PTS and SCR count at this rate.
    static let clockFrequency: UInt32 = 48_000_000

    var all: EmulatedDescriptors {
        var configuration = Bytes()
        let function = functionBytes
        configuration.append8(9, 0x02)
        configuration.append16(UInt16(9 + function.count))
        // bNumInterfaces, bConfigurationValue, iConfiguration, bmAttributes: bus-powered, bMaxPower: 500 mA.
        configuration.append8(1 + UInt8(options.interfaces.count), 1, 0, 0x80, 250)
        configuration.bytes += function
        return EmulatedDescriptors(
            speed: .high, device: device, configurations: [configuration.bytes],
            strings: [1: "UserDriver", 2: options.name, 3: options.serial])
    }

    private var device: [UInt8] {
        var bytes = Bytes()
        bytes.append8(18, 0x01)
        bytes.append16(0x0200)
        // Miscellaneous device with interface associations; 64 bytes on endpoint 0.
        bytes.append8(0xef, 0x02, 0x01, 64)
        bytes.append16(Self.vendorID, Self.productID, 0x0100)
        // iManufacturer, iProduct, iSerialNumber, bNumConfigurations.
        bytes.append8(1, 2, options.serial.isEmpty ? 0 : 3, 1)
        return bytes.bytes
    }

    private var functionBytes: [UInt8] {
        var bytes = Bytes()
        // Interface association: two interfaces or more from 0, a video interface collection.
        bytes.append8(8, 0x0b, WebcamInterface.control, 1 + UInt8(options.interfaces.count), 0x0e, 0x03, 0x00, 2)
        appendControlInterface(&bytes)
        for index in options.interfaces.indices { appendStreamingInterface(index, &bytes) }
        return bytes.bytes
    }

    private func appendControlInterface(_ bytes: inout Bytes) {
        bytes.append8(9, 0x04, WebcamInterface.control, 0, 1, 0x0e, 0x01, 0x00, 2)
        var units = Bytes()
        // Camera terminal (§3.7.2.3): no optical zoom; 3 bytes of bmControls.
        units.append8(18, 0x24, 0x02, WebcamEntity.camera)
        units.append16(0x0201)
        units.append8(0, 0)
        units.append16(0, 0, 0)
        units.append8(3)
        units.append24(WebcamControl.bitmap(of: WebcamEntity.camera))
        // Processing unit (§3.7.2.5): source camera, no digital multiplier, 2 bytes of bmControls, no string, no analog video standard.
        // UVC 1.0 has no field for the last.
        let isOld = options.faults.has(.probe34)
        units.append8(isOld ? 11 : 12, 0x24, 0x05, WebcamEntity.processing, WebcamEntity.camera)
        units.append16(0)
        units.append8(2)
        units.append16(UInt16(truncatingIfNeeded: WebcamControl.bitmap(of: WebcamEntity.processing)))
        units.append8(0)
        if !isOld { units.append8(0) }
        // Output terminal (§3.7.2.2): USB streaming.
        units.append8(9, 0x24, 0x03, WebcamEntity.output)
        units.append16(0x0101)
        units.append8(0, WebcamEntity.processing, 0)
        // Header (§3.7.2): the streaming interfaces of the collection.
        let length = 12 + options.interfaces.count
        bytes.append8(UInt8(length), 0x24, 0x01)
        bytes.append16(isOld ? 0x0100 : 0x0110, UInt16(length + units.bytes.count))
        bytes.append32(Self.clockFrequency)
        bytes.append8(UInt8(options.interfaces.count))
        for index in options.interfaces.indices { bytes.append8(WebcamInterface.streaming + UInt8(index)) }
        bytes.bytes += units.bytes
        // Status interrupt endpoint: 16 bytes, every 2^7 microframes (16 ms); then its class-specific descriptor.
        bytes.append8(7, 0x05, WebcamInterface.statusEndpoint.rawValue, 0x03)
        bytes.append16(16)
        bytes.append8(8)
        bytes.append8(5, 0x25, 0x03)
        bytes.append16(16)
    }

    private func appendStreamingInterface(_ number: Int, _ bytes: inout Bytes) {
        let bulk = options.variant == .bulk
        let offered = options.interfaces[number]
        let interface = WebcamInterface.streaming + UInt8(number)
        let endpoint = WebcamInterface.streamingEndpoint(number).rawValue
        bytes.append8(9, 0x04, interface, 0, bulk ? 1 : 0, 0x0e, 0x02, 0x00, 0)
        var formats = Bytes()
        for (index, format) in offered.enumerated() { append(format, index: UInt8(index + 1), to: &formats) }
        // Input header (§3.9.2.1): no still capture; a button is one of general purpose, of the first interface; MJPEG's quality can be asked for
        // (bmaControls D2).
        let length = 13 + offered.count
        bytes.append8(UInt8(length), 0x24, 0x01, UInt8(offered.count))
        bytes.append16(UInt16(length + formats.bytes.count))
        let button: UInt8 = options.hasButton && number == 0 ? 1 : 0
        bytes.append8(endpoint, 0, WebcamEntity.output, 0, button, button, 1)
        for format in offered { bytes.append8(format == .mjpeg ? 0x04 : 0x00) }
        bytes.bytes += formats.bytes
        if bulk {
            bytes.append8(7, 0x05, endpoint, 0x02)
            bytes.append16(512)
            bytes.append8(0)
            return
        }
        for (index, step) in AlternateSettings.ladder.enumerated() {
            bytes.append8(9, 0x04, interface, UInt8(index + 1), 1, 0x0e, 0x02, 0x00, 0)
            // Isochronous, asynchronous; one opportunity every microframe.
            bytes.append8(7, 0x05, endpoint, 0x05)
            bytes.append16(UInt16(step.size | (step.transactions - 1) << 11))
            bytes.append8(1)
        }
    }

    private func append(_ format: WebcamFormat, index: UInt8, to bytes: inout Bytes) {
        let modes = WebcamMode.all(of: format, options.repertoire)
        let defaultFrame = UInt8((modes.firstIndex { $0.height == 480 } ?? 0) + 1)
        switch format {
        case .mjpeg:
            // bmFlags: samples vary in size; no aspect ratio, not interlaced, free to copy.
            bytes.append8(11, 0x24, 0x06, index, UInt8(modes.count), 0, defaultFrame, 0, 0, 0, 0)
        case .yuy2, .nv12, .grey:
            bytes.append8(27, 0x24, 0x04, index, UInt8(modes.count))
            bytes.bytes += Array((format == .yuy2 ? "YUY2" : format == .nv12 ? "NV12" : "Y800").utf8)
            bytes.append8(0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71)
            bytes.append8(format == .yuy2 ? 16 : format == .nv12 ? 12 : 8, defaultFrame, 0, 0, 0, 0)
        case .h264:
            // Frame-based (Frame-based payload document §3.1.1), of variable size.
            bytes.append8(28, 0x24, 0x10, index, UInt8(modes.count))
            bytes.bytes += Array("H264".utf8)
            bytes.append8(0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71)
            bytes.append8(0, defaultFrame, 0, 0, 0, 0, 1)
        }
        for (frame, mode) in modes.enumerated() {
            if format == .h264 {
                appendFrameBased(mode, index: UInt8(frame + 1), to: &bytes)
                continue
            }
            bytes.append8(UInt8(26 + 4 * mode.intervals.count), 0x24, format == .mjpeg ? 0x07 : 0x05, UInt8(frame + 1), 0)
            bytes.append16(UInt16(mode.width), UInt16(mode.height))
            bytes.append32(bitRate(mode, mode.intervals[mode.intervals.count - 1]), bitRate(mode, mode.intervals[0]))
            bytes.append32(UInt32(mode.maximumFrameBufferSize), mode.defaultInterval)
            bytes.append8(UInt8(mode.intervals.count))
            for interval in mode.intervals { bytes.append32(interval) }
        }
        // Colour matching (§3.9.2.6): sRGB primaries, BT.709 transfer, SMPTE 170M (BT.601) matrix. Optional.
        guard options.repertoire == .full else { return }
        bytes.append8(6, 0x24, 0x0d, 1, 1, 4)
    }

    /// Frame-based payload document §3.1.2.
    private func appendFrameBased(_ mode: WebcamMode, index: UInt8, to bytes: inout Bytes) {
        bytes.append8(UInt8(26 + 4 * mode.intervals.count), 0x24, 0x11, index, 0)
        bytes.append16(UInt16(mode.width), UInt16(mode.height))
        bytes.append32(bitRate(mode, mode.intervals[mode.intervals.count - 1]), bitRate(mode, mode.intervals[0]), mode.defaultInterval)
        bytes.append8(UInt8(mode.intervals.count))
        // dwBytesPerLine: none.
        bytes.append32(0)
        for interval in mode.intervals { bytes.append32(interval) }
    }

    private func bitRate(_ mode: WebcamMode, _ interval: UInt32) -> UInt32 {
        UInt32(clamping: mode.maximumFrameSize(interval: interval) * 8 * 10_000_000 / Int(interval))
    }
}

/// Bytes in the making, little endian.
struct Bytes {
    var bytes: [UInt8] = []
    mutating func append8(_ values: UInt8...) { bytes += values }
    mutating func append16(_ values: UInt16...) { for value in values { bytes += [UInt8(value & 0xff), UInt8(value >> 8)] } }
    mutating func append24(_ value: UInt32) { for shift in [0, 8, 16] { bytes.append(UInt8((value >> UInt32(shift)) & 0xff)) } }
    mutating func append32(_ values: UInt32...) {
        for value in values { for shift in [0, 8, 16, 24] { bytes.append(UInt8((value >> UInt32(shift)) & 0xff)) } }
    }
}
