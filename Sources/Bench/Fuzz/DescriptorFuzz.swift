// Fuzzes the parsers of descriptors: a device with its configurations, the video functions in them, strings, the object store.

import USB
import UVC

enum DescriptorFuzz: FuzzTarget {
    static let name = "descriptors"

    static func run(_ bytes: [UInt8]) {
        let set = DescriptorSet(parsing: bytes)
        precondition(set.anomalies.count <= DescriptorAnomalies.limit, "complaints are bounded")
        for configuration in set.configurations { checkFunctions(of: configuration, bytes) }
        for speed in [USBSpeed.full, .high, .superPlus] {
            for configuration in set.configurations {
                for endpoint in configuration.interfaces.flatMap(\.endpoints) { check(endpoint, speed: speed) }
                for function in VideoFunction.all(in: configuration, speed: speed, allowingVendorClass: true) { check(function) }
            }
        }
        let store = BinaryObjectStore(parsing: bytes)
        precondition(store.capabilities.count <= bytes.count / 3, "a capability has at least three bytes")
        precondition((StringDescriptor.text(bytes) ?? "").utf16.count <= 127, "a string has at most 127 units")
    }

    private static func checkFunctions(of configuration: ConfigurationDescriptor, _ bytes: [UInt8]) {
        let functions = configuration.functions
        precondition(functions.flatMap(\.interfaces).sorted() == configuration.interfaceNumbers, "an interface is in one function")
        let information = USBDeviceInformation(path: "", speed: .high, descriptors: bytes)
        for function in functions.prefix(8) {
            precondition(information.restricted(to: function).descriptors.count <= bytes.count, "a function has no more than the device")
        }
    }

    private static func check(_ endpoint: EndpointDescriptor, speed: USBSpeed) {
        precondition(endpoint.bytesPerInterval(speed: speed) >= 0)
        precondition(endpoint.intervalNanoseconds(speed: speed) != 0)
    }

    private static func check(_ function: VideoFunction) {
        precondition(function.anomalies.count <= DescriptorAnomalies.limit)
        precondition(Set(function.entities.map(\.id)).count == function.entities.count, "an id names one entity")
        for entity in function.entities { precondition(entity.controlNames.count <= 255 * 8) }
        for stream in function.streamingInterfaces {
            precondition(Set(stream.formats.map(\.index)).count == stream.formats.count, "an index names one format")
            for format in stream.formats { check(format) }
        }
    }

    private static func check(_ format: VideoFormat) {
        precondition(!format.name.isEmpty)
        precondition(format.frames.isEmpty || format.frame(index: format.defaultFrameIndex) != nil, "the default frame exists")
        for frame in format.frames {
            precondition(frame.width > 0 && frame.height > 0 && frame.defaultInterval > 0 && frame.intervals.shortest > 0)
            precondition(frame.intervals.longest >= frame.intervals.shortest)
            precondition((frame.intervals.shortest...frame.intervals.longest).contains(frame.intervals.nearest(to: frame.defaultInterval)))
            precondition(format.frameBytes(width: frame.width, height: frame.height) ?? 0 >= 0)
        }
    }

    static let seeds: [[UInt8]] = [device + camera, superSpeedCamera, store, StringDescriptor.encode("Kamera")]

    private static let device: [UInt8] = [18, 1, 0, 2, 0xef, 2, 1, 64, 0x6d, 0x04, 0x25, 0x08, 0, 1, 1, 2, 3, 1]

    /// UVC 1.1 at high speed: MJPEG, frame-based H.264 with a continuous range, stills; two alternate settings.
    private static let camera: [UInt8] = configuration([
        [8, 0x0b, 0, 2, 0x0e, 3, 0, 0], [9, 4, 0, 0, 1, 0x0e, 1, 0, 0], [13, 0x24, 1, 0x10, 1, 78, 0, 0, 0x6c, 0xdc, 2, 1, 1],
        [18, 0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x2a, 0, 2], [12, 0x24, 5, 2, 1, 0, 0, 2, 3, 4, 0, 0],
        [26, 0x24, 6, 3] + [UInt8](repeating: 7, count: 16) + [2, 1, 2, 1, 0x21, 0], [9, 0x24, 3, 4, 1, 1, 0, 3, 0],
        [7, 5, 0x83, 3, 16, 0, 8], [5, 0x25, 3, 8, 0], [9, 4, 1, 0, 0, 0x0e, 2, 0, 0],
        [15, 0x24, 1, 2, 150, 0, 0x81, 0, 4, 2, 1, 0, 1, 4, 0], [11, 0x24, 6, 1, 1, 1, 1, 0, 0, 0, 0],
        [38, 0x24, 7, 1, 1, 0x80, 2, 0xe0, 1, 0, 0, 0x77, 1, 0, 0, 0xca, 8, 0, 0x60, 9, 0, 0x15, 0x16, 5, 0, 3]
            + [0x15, 0x16, 5, 0, 0x2a, 0x2c, 0x0a, 0, 0x80, 0x84, 0x1e, 0],
        [14, 0x24, 3, 0, 2, 0x80, 2, 0xe0, 1, 0, 5, 0xd0, 2, 0], [6, 0x24, 0x0d, 1, 1, 4],
        [28, 0x24, 0x10, 2, 1] + Array("H264".utf8) + [0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71, 16, 5, 0, 0, 0, 0, 1],
        [38, 0x24, 0x11, 5, 0, 0x80, 7, 0x38, 4, 0, 0, 0x10, 0, 0, 0, 0, 1, 0x15, 0x16, 5, 0, 0, 0, 0x0f, 0, 0]
            + [0x0a, 0x8b, 2, 0, 0x40, 0x42, 0x0f, 0, 0x0a, 0, 0, 0],
        [9, 4, 1, 1, 1, 0x0e, 2, 0, 0], [7, 5, 0x81, 5, 0, 2, 1], [9, 4, 1, 2, 1, 0x0e, 2, 0, 0], [7, 5, 0x81, 5, 0, 0x14, 1],
    ])

    /// UVC 1.5 at SuperSpeed, with the vendor's class: YUY2, H.264 of version 1.5, an encoding unit, companions.
    private static let superSpeedCamera: [UInt8] = configuration([
        [9, 4, 0, 0, 0, 0xff, 1, 1, 0], [13, 0x24, 1, 0x50, 1, 60, 0, 0, 0x6c, 0xdc, 2, 1, 1], [8, 0x24, 2, 1, 1, 4, 0, 0],
        [8, 0x24, 4, 5, 2, 1, 6, 3], [13, 0x24, 7, 6, 5, 2, 3, 3, 8, 0, 1, 0, 0], [9, 0x24, 3, 4, 1, 1, 0, 6, 0],
        [28, 0x41, 1, 9] + [UInt8](repeating: 9, count: 16) + [2, 1, 6, 1, 3, 0, 0, 0], [9, 4, 1, 0, 0, 0xff, 2, 1, 0],
        [14, 0x24, 1, 1, 0, 0, 0x81, 0, 4, 0, 0, 0, 1, 0],
        [27, 0x24, 4, 1, 1] + Array("YUY2".utf8) + [0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71, 16, 1, 0, 0, 0, 0],
        [30, 0x24, 5, 1, 0, 0x80, 2, 0xe0, 1, 0, 0, 0x77, 1, 0, 0, 0xca, 8, 0, 0x60, 9, 0, 0x15, 0x16, 5, 0, 1, 0x15, 0x16, 5, 0],
        [52, 0x24, 0x13, 3, 1, 9] + [UInt8](repeating: 0, count: 46),
        [48, 0x24, 0x14, 9, 0, 5, 0xd0, 2] + [UInt8](repeating: 0, count: 31) + [0x15, 0x16, 5, 0, 1, 0x15, 0x16, 5, 0],
        [9, 4, 1, 1, 1, 0xff, 2, 1, 0], [7, 5, 0x81, 5, 0, 4, 1], [6, 0x30, 15, 1, 0, 0x78], [8, 0x31, 0, 0, 0, 0, 1, 0],
    ])

    private static let store: [UInt8] = [5, 0x0f, 22, 0, 2, 7, 0x10, 2, 2, 0, 0, 0, 10, 0x10, 3, 0, 0x0e, 0, 1, 10, 0xff, 7]

    private static func configuration(_ descriptors: [[UInt8]]) -> [UInt8] {
        let body = descriptors.flatMap { $0 }
        let total = 9 + body.count
        return [9, 2, UInt8(total & 0xff), UInt8(total >> 8), 2, 1, 0, 0x80, 250] + body
    }
}
