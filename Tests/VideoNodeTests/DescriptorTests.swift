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
