// Logitech's C270, whose bytes were read from the device: every field that the model has.

import Testing
import USB
import UVC

@Suite(.enabled(if: DescriptorFiles.areHere, DescriptorFiles.reason))
struct DescriptorC270Tests {
    private let function: VideoFunction
    private let stream: StreamingInterface

    init() throws {
        let set = DescriptorSet(parsing: try DescriptorFiles.load("046d-0825-logitech_c270-raw").bytes)
        #expect(set.anomalies == [])
        #expect(set.likelySpeed == .high)
        let configuration = try #require(set.configurations.first)
        let functions = VideoFunction.all(in: configuration, speed: .high)
        #expect(functions.count == 1)
        function = try #require(functions.first)
        stream = try #require(function.streamingInterfaces.first)
    }

    @Test func theFunctionIsRead() {
        #expect(function.controlInterface == 0)
        #expect(function.uvcVersion == 0x0100)
        #expect(function.clockFrequency == 48_000_000)
        #expect(function.interfaceNumbers == [0, 1])
        #expect(
            function.statusEndpoint
                == StatusEndpoint(address: EndpointAddress(rawValue: 0x87), maxPacketSize: 16, interval: 8, maxTransferSize: 16))
        #expect(function.anomalies.map(\.message) == ["Streaming interface 1 announces 3 formats (bNumFormats) but has 2."])
    }

    @Test func theEntitiesAreRead() throws {
        func unit(_ id: UInt8, _ guid: String, count: UInt8, from source: UInt8, _ controls: [UInt8]) throws -> VideoEntity {
            VideoEntity(
                id: id, kind: .extensionUnit(ExtensionUnit(guid: try #require(GUID(guid)), declaredControlCount: count)),
                sources: [source], controls: ControlBits(bytes: controls))
        }
        let expected = [
            VideoEntity(id: 1, kind: .cameraTerminal(CameraTerminal()), controls: ControlBits(bytes: [0x0e, 0, 0])),
            VideoEntity(
                id: 2, kind: .processingUnit(ProcessingUnit(maxMultiplier: 0x4000)), sources: [1],
                controls: ControlBits(bytes: [0x5b, 0x17])),
            try unit(3, "69678ee4-410f-40db-a850-7420d7d8240e", count: 8, from: 2, [0x3f, 0x03]),
            try unit(4, "49e40215-f434-47fe-b158-0e885023e51b", count: 3, from: 2, [0x09, 0x01]),
            try unit(6, "1f5d4ca9-de11-4487-840d-50933c8ec8d1", count: 18, from: 4, [0xff, 0xff, 0x03]),
            try unit(7, "ffe52d21-8030-4e2c-82d9-f587d00540bd", count: 2, from: 4, [0x00, 0x03]),
            VideoEntity(id: 5, kind: .outputTerminal(type: TerminalType.streaming), sources: [4]),
        ]
        #expect(function.entities == expected)
        #expect(
            function.entity(2)?.controlNames == [
                "brightness", "contrast", "saturation", "sharpness", "white_balance_temperature", "backlight_compensation", "gain",
                "power_line_frequency", "white_balance_automatic",
            ])
    }

    @Test func theStreamIsRead() {
        #expect(stream.number == 1)
        #expect(stream.endpoint == EndpointAddress(rawValue: 0x81))
        #expect(stream.terminalLink == 5)
        #expect(!stream.isBulk)
        #expect(!stream.changesFormatByItself)
        #expect(stream.stillImage.method == 1)
        #expect(!stream.stillImage.hasButton)
        #expect(stream.formatControls.map(\.bytes) == [[0], [4], [4]])
        #expect(stream.alternateSettings.map(\.number) == Array(1...11))
        #expect(stream.alternateSettings.map(\.bytesPerInterval) == [192, 384, 512, 640, 800, 944, 1280, 1600, 1984, 2688, 3060])
        #expect(stream.alternateSettings.allSatisfy { $0.type == .isochronous && $0.interval == 1 && $0.endpoint == stream.endpoint })
    }

    @Test func theFormatsAreRead() throws {
        #expect(stream.formats.map(\.index) == [1, 2])
        #expect(stream.formats.map(\.name) == ["yuy2", "mjpeg"])
        #expect(stream.formats.map(\.defaultFrameIndex) == [1, 1])
        #expect(stream.formats.allSatisfy { $0.colorMatching == ColorMatching(primaries: 1, transfer: 1, matrix: 4) })
        guard case .uncompressed(_, bitsPerPixel: 16) = stream.formats[0].kind else {
            Issue.record("YUY2 has sixteen bits a pixel")
            return
        }
        #expect(stream.formats[1].kind == .mjpeg)
    }

    @Test func everyFrameIsRead() {
        // Width, height, and how many of the six intervals 30 25 20 15 10 5 fps there are from the end of the list, in YUY2.
        let sizes: [(Int, Int, Int)] = [
            (640, 480, 6), (160, 120, 6), (176, 144, 6), (320, 176, 6), (320, 240, 6), (352, 288, 6), (432, 240, 6), (544, 288, 6),
            (640, 360, 6), (752, 416, 5), (800, 448, 4), (800, 600, 4), (864, 480, 4), (960, 544, 3), (960, 720, 2), (1024, 576, 2),
            (1184, 656, 2), (1280, 720, 0), (1280, 960, 0),
        ]
        let intervals: [UInt32] = [333_333, 400_000, 500_000, 666_666, 1_000_000, 2_000_000]
        for (place, (width, height, count)) in sizes.enumerated() {
            // The largest two have a list of their own, and the slower of its rates as default.
            let list = count == 0 ? [1_333_333, 2_000_000] : Array(intervals.suffix(count))
            let pixels = UInt32(width * height)
            let lowest: UInt32 = pixels * 16 * 5
            let frame = VideoFrame(
                index: UInt8(place + 1), width: width, height: height, capabilities: 1, minBitRate: place == 0 ? 24_576_000 : lowest,
                maxBitRate: 0, maxFrameBytes: pixels * 2, defaultInterval: count == 0 ? 2_000_000 : list[0], intervals: .discrete(list))
            var uncompressed = stream.formats[0].frames[place]
            uncompressed.maxBitRate = 0
            #expect(uncompressed == frame)
            var compressed = stream.formats[1].frames[place]
            #expect(compressed.intervals == .discrete(intervals))
            #expect(compressed.defaultInterval == 333_333)
            compressed.intervals = frame.intervals
            compressed.defaultInterval = frame.defaultInterval
            compressed.maxBitRate = 0
            #expect(compressed == frame)
        }
        #expect(stream.formats[0].frames[0].maxBitRate == 147_456_000)
        #expect(stream.formats[0].frames[18].maxBitRate == 196_608_000)
        #expect(stream.formats[1].frames[18].maxBitRate == 589_824_000)
    }
}
