import Testing
import USB
import USBEmulation
import UVC
import UserDriverClient

@testable import VideoNode

struct DescriptorTests {
    private func parsed(_ facts: NodeFacts) throws -> (DescriptorSet, VideoFunction) {
        let descriptors = NodeDescriptors(facts: facts).all
        let set = DescriptorSet(parsing: descriptors.device + descriptors.configurations.flatMap { $0 })
        let configuration = try #require(set.configurations.first)
        return (set, try #require(VideoFunction.all(in: configuration, speed: descriptors.speed).first))
    }

    @Test func aNodeOffersWhatTheCameraHasAndWeVouchFor() throws {
        let (set, function) = try parsed(FakeCamera.facts)
        #expect(set.anomalies.isEmpty && function.anomalies.isEmpty)
        let interface = try #require(function.streamingInterfaces.first)
        #expect(function.streamingInterfaces.count == 1 && interface.isBulk)
        #expect(interface.formats.map(\.name) == ["mjpeg", "yuy2"])
        #expect(interface.formats[1].frames.map { [$0.width, $0.height] } == [[64, 48], [160, 120]])
        #expect(interface.formats[0].frames[0].intervals.roundedRates.map { $0.rounded() } == [60, 30, 8])
    }

    @Test func controlsHaveTheirBits() throws {
        let (_, function) = try parsed(FakeCamera.facts)
        #expect(
            VideoControls.announced(by: function).map(\.0.name) == [
                "brightness", "exposure_auto", "exposure_time_absolute", "pan_absolute", "tilt_absolute",
            ])
    }

    /// Frame Based Payload 1.1, tables 3-1 and 3-2.
    @Test func frameBasedFormatsAreWhatTheStandardSays() throws {
        var facts = FakeCamera.facts
        facts.formats = NodeFormats([
            CameraFormat(format: "h264", width: 640, height: 480, fps: [30, 15]),
            CameraFormat(format: "h265", width: 641, height: 3, fps: [25]),
            CameraFormat(format: "mjpeg", width: 320, height: 240, fps: [30]),
        ])
        let (set, function) = try parsed(facts)
        #expect(set.anomalies.isEmpty && function.anomalies.isEmpty)
        let interface = try #require(function.streamingInterfaces.first)
        #expect(interface.formats.map(\.name) == ["mjpeg", "h264", "h265"])
        let format = interface.formats[1]
        #expect(format.frames.map { [$0.width, $0.height] } == [[640, 480]])
        #expect(format.frames[0].intervals.roundedRates.map { $0.rounded() } == [30, 15])
        let bytes = NodeDescriptors(facts: facts).all.configurations[0]
        let start = try #require(bytes.indices.first { bytes[$0...].starts(with: [28, 0x24, 0x10]) })
        #expect(
            bytes[start..<start + 28].elementsEqual([
                28, 0x24, 0x10, 2, 1,  // bLength, CS_INTERFACE, VS_FORMAT_FRAME_BASED, bFormatIndex, bNumFrameDescriptors
                0x48, 0x32, 0x36, 0x34, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71,  // guidFormat: H264
                0, 1, 0, 0, 0, 0, 1,  // bBitsPerPixel, bDefaultFrameIndex, bAspectRatioX, Y, bmInterlaceFlags, bCopyProtect, bVariableSize
            ]))
        let frame = bytes[(start + 28)...].prefix(34)
        let rate = { (interval: Int) in 640 * 480 * 2 * 8 * 10_000_000 / interval }
        let fields: [(Int, Int)] = [
            (34, 1), (0x24, 1), (0x11, 1), (1, 1), (0, 1),  // bLength, CS_INTERFACE, VS_FRAME_FRAME_BASED, bFrameIndex, bmCapabilities
            (640, 2), (480, 2), (rate(666_666), 4), (rate(333_333), 4),  // wWidth, wHeight, dwMinBitRate, dwMaxBitRate
            (333_333, 4), (2, 1), (0, 4),  // dwDefaultFrameInterval, bFrameIntervalType, dwBytesPerLine
            (333_333, 4), (666_666, 4),  // dwFrameInterval
        ]
        #expect(frame.elementsEqual(fields.flatMap { value, size in (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }))
    }

    @Test func theStatusEndpointIsThereForWhatHasSomethingToSay() throws {
        var facts = FakeCamera.facts
        for (hasButton, speed) in [(false, USBSpeed.high), (true, .high), (true, .super)] {
            facts.hasButton = hasButton
            facts.wantedSpeed = speed
            let (set, function) = try parsed(facts)
            #expect(set.anomalies.isEmpty && function.anomalies.isEmpty)
            let endpoint = try #require(function.statusEndpoint)
            #expect(endpoint.address == NodeInterface.status && endpoint.maxPacketSize == 16)
            // A general-purpose button: what uvcvideo makes a key of.
            let still = function.streamingInterfaces[0].stillImage
            #expect((still.hasButton, still.buttonUsage, still.method) == (hasButton, hasButton ? 1 : 0, 0))
        }
        facts.controls = NodeControls([])
        facts.hasButton = false
        #expect(try parsed(facts).1.statusEndpoint == nil)
    }

    @Test func whatIsLargeIsSuperSpeed() throws {
        var facts = FakeCamera.facts
        #expect(facts.speed == .high)
        facts.formats = NodeFormats([CameraFormat(format: "yuy2", width: 1280, height: 720, fps: [30])])
        #expect(facts.speed == .super)
        let descriptors = NodeDescriptors(facts: facts).all
        #expect(descriptors.bos?.count == 22)
        let (set, function) = try parsed(facts)
        #expect(set.anomalies.isEmpty && function.anomalies.isEmpty)
    }

    /// Everything that a daemon could say, or somebody in its place.
    @Test func senselessFormatsMakeNoDescriptors() {
        let sizes = [Int.min, -1, 0, 1, 7, 8192, 8193, 65_536, Int.max]
        let rates: [Double] = [.nan, .infinity, -.infinity, -1, 0, 1e-300, 1e300]
        let offered = sizes.flatMap { width in
            sizes.map { CameraFormat(format: "yuy2", width: width, height: $0, fps: rates) }
        }
        #expect(NodeFormats(offered).formats.isEmpty)
        let many = (0..<3000).map { CameraFormat(format: "mjpeg", width: 2 + $0, height: 2, fps: (1...900).map(Double.init)) }
        let formats = NodeFormats(many)
        #expect(formats.formats[0].frames.count == 64)
        #expect(formats.formats[0].frames.allSatisfy { $0.intervals.count <= 32 })
        let configuration = NodeDescriptors(
            facts: NodeFacts(name: String(repeating: "x\u{0}\n", count: 500), serial: "", formats: formats, controls: NodeControls([]))
        ).all
        #expect(configuration.configurations[0].count < 65_536)
        #expect(configuration.strings.values.allSatisfy { $0.count <= 60 && !$0.isEmpty })
    }

    @Test func serialNumbersAreStableAndTellNodesApart() {
        #expect(NodeSerial.text(camera: "046d:0825:A1B2", index: 1) == "046d-0825-A1B2")
        #expect(NodeSerial.text(camera: "046d:0825:A1B2", index: 2) == "046d-0825-A1B2.2")
        let odd = (0..<3).map { NodeSerial.text(camera: "046d:0825:\(["ä", "ö", " "][$0])", index: 1) }
        #expect(Set(odd).count == 3)
        #expect(NodeSerial.text(camera: String(repeating: "a", count: 900), index: 1).utf8.count < 70)
    }
}
