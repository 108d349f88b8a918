// Every camera whose descriptors we have offers a stream by default, whatever it then answers.

import Testing
import USB
import UVC

@Suite(.enabled(if: DescriptorFiles.areHere, DescriptorFiles.reason))
struct RealCameraTests {
    private func functions(_ name: String) throws -> [VideoFunction] {
        let set = DescriptorSet(parsing: try DescriptorFiles.load(name).bytes)
        return set.configurations.flatMap { VideoFunction.all(in: $0, speed: .high, allowingVendorClass: true) }
    }

    @Test(arguments: DescriptorFiles.names)
    func everyStreamHasADefault(name: String) throws {
        for function in try functions(name) {
            for interface in function.streamingInterfaces where interface.formats.contains(where: { !$0.frames.isEmpty }) {
                let choice = try interface.choose(StreamWish())
                #expect(choice.frame.width > 0 && choice.interval > 0)
                // What was chosen can be asked for by its own words.
                let again = try interface.choose(
                    StreamWish(format: choice.format.name, width: choice.frame.width, height: choice.frame.height, rate: choice.rate))
                #expect(again.interval == choice.interval && again.frame.width == choice.frame.width)
            }
        }
    }

    @Test(arguments: DescriptorFiles.names, [0x00, 0xff, 0x5a] as [UInt8])
    func noAnswerIsTooAbsurd(name: String, byte: UInt8) async throws {
        let device = FakeDevice { setup, _ throws(USBError) in [UInt8](repeating: byte, count: Int(setup.length)) }
        for function in try functions(name) {
            for interface in function.streamingInterfaces where interface.formats.contains(where: { !$0.frames.isEmpty }) {
                let choice = try interface.choose(StreamWish())
                let stream = try await StreamNegotiation(device: device, interface: interface, uvcVersion: function.uvcVersion)
                    .negotiate(choice)
                #expect(stream.frameCapacity > 0 && stream.frameCapacity <= 256 << 20)
                #expect((stream.alternateSetting == nil) == (interface.isBulk || interface.alternateSettings.isEmpty))
                #expect(!stream.anomalies.isEmpty)
            }
            let controls = VideoControls(device: device, function: function)
            for definition in controls.announced {
                let control = try await controls.control(definition.name)
                #expect(control.minimum <= control.maximum && control.step >= 1)
                if control.isWritable { _ = try control.accepted(control.defaultValue) }
            }
        }
    }
}
