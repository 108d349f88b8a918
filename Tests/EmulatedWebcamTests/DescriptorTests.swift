// The descriptors are what the specification has, and nothing about them is odd.

import Testing
import USB
import USBEmulation
import UVC

@testable import EmulatedWebcam

@Suite struct DescriptorTests {
    @Test(arguments: EmulatedWebcamOptions.Variant.allCases, [WebcamFormat.allCases, [.yuy2], [.nv12, .mjpeg]])
    func theyParseWithoutAnomaly(variant: EmulatedWebcamOptions.Variant, formats: [WebcamFormat]) throws {
        var options = EmulatedWebcamOptions()
        options.variant = variant
        options.formats = formats
        let descriptors = WebcamDescriptors(options: options).all
        let set = DescriptorSet(parsing: descriptors.device + descriptors.configurations[0])
        #expect(set.anomalies.isEmpty, "\(set.anomalies)")
    }

    @Test(arguments: EmulatedWebcamOptions.Variant.allCases)
    func theSecondStreamingInterfaceHasAnEndpointAndFormatOfItsOwn(variant: EmulatedWebcamOptions.Variant) throws {
        var options = EmulatedWebcamOptions()
        options.variant = variant
        options.offersH264 = true
        let descriptors = WebcamDescriptors(options: options).all
        let set = DescriptorSet(parsing: descriptors.device + descriptors.configurations[0])
        #expect(set.anomalies.isEmpty, "\(set.anomalies)")
        let configuration = try #require(set.configurations.first)
        let function = try #require(VideoFunction.all(in: configuration, speed: .high).first)
        #expect(function.anomalies.isEmpty, "\(function.anomalies)")
        #expect(function.streamingInterfaces.map(\.number) == [1, 2])
        #expect(function.streamingInterfaces.map(\.endpoint.rawValue) == [0x82, 0x83])
        #expect(function.streamingInterfaces.map { $0.formats.map(\.name) } == [["mjpeg", "yuy2", "nv12"], ["h264"]])
    }

    /// What GadgetFS sends of a configuration.
    @Test func theCompactOnesFitInto256Bytes() throws {
        var options = EmulatedWebcamOptions()
        options.variant = .bulk
        options.formats = [.mjpeg, .yuy2]
        options.repertoire = .compact
        let descriptors = WebcamDescriptors(options: options).all
        #expect(descriptors.configurations[0].count <= 256)
        let set = DescriptorSet(parsing: descriptors.device + descriptors.configurations[0])
        #expect(set.anomalies.isEmpty, "\(set.anomalies)")
        let configuration = try #require(set.configurations.first)
        let function = try #require(VideoFunction.all(in: configuration, speed: .high).first)
        let sizes = function.streamingInterfaces.first?.formats.flatMap { format in
            format.frames.map { "\(format.name) \($0.width)x\($0.height)" }
        }
        #expect(sizes == ["mjpeg 160x120", "mjpeg 640x480", "yuy2 160x120"])
    }

    @Test func theSerialNumberIsTheOptions() {
        var options = EmulatedWebcamOptions()
        options.serial = "TWIN-2"
        #expect(WebcamDescriptors(options: options).all.strings[3] == "TWIN-2")
        options.serial = ""
        let device = WebcamDescriptors(options: options).all.device
        #expect(device[16] == 0)  // iSerialNumber
        #expect(device[8...11] == [0x09, 0x12, 0x01, 0x00])  // idVendor 1209, idProduct 0001
    }
}
