// The descriptors are what the specification has, and nothing about them is odd.

import Testing
import USB
import USBEmulation
import UVC

@testable import EmulatedWebcam

@Suite struct DescriptorTests {
    @Test(arguments: EmulatedWebcamOptions.Variant.allCases, [WebcamFormat.allCases, [.yuy2], [.nv12, .mjpeg]])
    func theyParseWithoutOddity(variant: EmulatedWebcamOptions.Variant, formats: [WebcamFormat]) throws {
        var options = EmulatedWebcamOptions()
        options.variant = variant
        options.formats = formats
        let descriptors = WebcamDescriptors(options: options).all
        let set = DescriptorSet(parsing: descriptors.device + descriptors.configurations[0])
        #expect(set.oddities.isEmpty, "\(set.oddities)")
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
