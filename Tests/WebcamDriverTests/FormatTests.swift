// What a camera with two streaming interfaces offers, and which of them a request means.

import EmulatedWebcam
import CameraInterface
import Testing
import USB
import USBEmulation
import UVC
import Wire

@testable import WebcamDriver

@Suite struct FormatTests {
    private func interfaces() throws -> [StreamingInterface] {
        var options = EmulatedWebcamOptions()
        options.offersH264 = true
        let bytes = try EmulatedWebcam(options: options).descriptors
        let configuration = try #require(DescriptorSet(parsing: bytes.device + bytes.configurations[0]).configurations.first)
        return try #require(VideoFunction.all(in: configuration, speed: .high).first).streamingInterfaces
    }

    @Test func theFormatsOfAllInterfacesAreOffered() throws {
        let names = CameraCalls.formats(try interfaces()).map(\.format)
        #expect(Set(names) == ["mjpeg", "yuy2", "nv12", "h264"])
    }

    @Test func whatTwoInterfacesOfferIsSaidOnce() throws {
        let both = try interfaces()
        #expect(CameraCalls.formats(both + both) == CameraCalls.formats(both))
    }

    @Test func theInterfaceThatHasTheFormatIsChosen() throws {
        let both = try interfaces()
        #expect(try both.choose(StreamRequest(format: "h264", width: 320, height: 240).wish).interface == 1)
        #expect(try both.choose(StreamRequest(format: "yuy2").wish).interface == 0)
        // What is left open is chosen as it is among one interface's formats.
        #expect(try both.choose(StreamRequest().wish).choice == both[0].choose(StreamRequest().wish))
    }

    @Test func whatNoneOfThemHasIsRefusedWithAllThatThereIs() throws {
        let both = try interfaces()
        let refusal = #expect(throws: StreamChoiceError.self) { try both.choose(StreamRequest(format: "vp8").wish) }
        #expect(refusal?.description.contains("mjpeg") == true && refusal?.description.contains("h264") == true)
    }
}
