// The video descriptors' fields, one by one.

import Testing
import USB
import UVC

@Suite struct DescriptorParsingTests {
    private let function = DescriptorBytes.function()

    @Test func aSoundCameraHasNothingOdd() {
        #expect(function.anomalies == [])
    }

    @Test func theFunctionIsRead() {
        #expect(function.controlInterface == 0)
        #expect(function.uvcVersion == 0x0110)
        #expect(function.clockFrequency == 48_000_000)
        #expect(function.nameIndex == 7)
        #expect(function.interfaceNumbers == [0, 1])
        #expect(
            function.statusEndpoint
                == StatusEndpoint(address: EndpointAddress(rawValue: 0x83), maxPacketSize: 16, interval: 8, maxTransferSize: 8))
    }

    @Test func terminalsAndUnitsAreRead() throws {
        let guid = try #require(GUID("0f3f95dc-2632-4c4e-92c9-a04782f43bc8"))
        #expect(
            function.entities == [
                VideoEntity(
                    id: 1,
                    kind: .cameraTerminal(
                        CameraTerminal(objectiveFocalLengthMinimum: 10, objectiveFocalLengthMaximum: 30, ocularFocalLength: 20)),
                    controls: ControlBits(bytes: [0x2a, 0x00, 0x02])),
                VideoEntity(
                    id: 2, kind: .processingUnit(ProcessingUnit(maxMultiplier: 300, videoStandards: 4)), sources: [1],
                    controls: ControlBits(bytes: [0x03, 0x04]), nameIndex: 6),
                VideoEntity(
                    id: 3, kind: .extensionUnit(ExtensionUnit(guid: guid, declaredControlCount: 7)), sources: [2],
                    controls: ControlBits(bytes: [0x21])),
                VideoEntity(id: 4, kind: .outputTerminal(type: TerminalType.streaming), sources: [3], associatedTerminal: 1),
            ])
    }

    @Test func controlsHaveTheirStandardNames() {
        #expect(function.entity(1)?.controlNames == ["exposure_auto", "exposure_time_absolute", "focus_absolute", "focus_auto"])
        #expect(function.entity(2)?.controlNames == ["brightness", "contrast", "power_line_frequency"])
        #expect(function.entity(3)?.controlNames == ["1", "6"])
    }

    @Test func theOtherKindsOfEntityAreRead() {
        var control: [UInt8] = [13, 0x24, 0x01, 0x50, 0x01, 51, 0, 0x00, 0x6c, 0xdc, 0x02, 1, 1]
        control += [8, 0x24, 0x02, 1, 0x01, 0x04, 0, 9]  // composite input, iTerminal 9
        control += [8, 0x24, 0x04, 5, 2, 1, 6, 3]  // selector unit 5 with the inputs 1 and 6, iSelector 3
        control += [13, 0x24, 0x07, 6, 5, 2, 3, 0x03, 0x08, 0x00, 0x01, 0x00, 0x00]  // encoding unit 6: bmControls, bmControlsRuntime
        control += [9, 0x24, 0x03, 4, 0x01, 0x01, 0, 6, 0]  // output terminal 4
        let function = DescriptorBytes.function(control: control)
        #expect(
            function.entities == [
                VideoEntity(id: 1, kind: .inputTerminal(type: TerminalType.composite), nameIndex: 9),
                VideoEntity(id: 5, kind: .selectorUnit, sources: [1, 6], nameIndex: 3),
                VideoEntity(
                    id: 6, kind: .encodingUnit(runtimeControls: ControlBits(bytes: [1, 0, 0])), sources: [5],
                    controls: ControlBits(bytes: [0x03, 0x08, 0x00]), nameIndex: 2),
                VideoEntity(id: 4, kind: .outputTerminal(type: TerminalType.streaming), sources: [6]),
            ])
    }

    @Test func aProcessingUnitOfUVC10LacksVideoStandards() {
        let unit: [UInt8] = [11, 0x24, 0x05, 2, 1, 0, 0, 2, 0x7f, 0x17, 9]
        let control = DescriptorBytes.controlHeader + DescriptorBytes.cameraTerminal + unit
        let entity = DescriptorBytes.function(control: control).entity(2)
        #expect(entity?.kind == .processingUnit(ProcessingUnit()))
        #expect(entity?.nameIndex == 9)
        #expect(entity?.controls == ControlBits(bytes: [0x7f, 0x17]))
    }

    @Test func logitechsOwnUnitsAreExtensionUnits() throws {
        // Type 0x41 instead of CS_INTERFACE; behind bmControls come types of controls that nobody needs.
        var unit: [UInt8] = [32, 0x41, 0x01, 12]
        unit += [0x82, 0x06, 0x61, 0x63, 0x70, 0x50, 0xab, 0x49, 0xb8, 0xcc, 0xb3, 0x85, 0x5e, 0x8d, 0x22, 0x50]
        unit += [20, 1, 2, 3, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0]
        let function = DescriptorBytes.function(control: DescriptorBytes.control + unit)
        let entity = try #require(function.entity(12))
        let guid = try #require(GUID("63610682-5070-49ab-b8cc-b3855e8d2250"))
        #expect(entity.kind == .extensionUnit(ExtensionUnit(guid: guid, declaredControlCount: 20, isLogitechDescriptor: true)))
        #expect(entity.sources == [2])
        #expect(entity.controls.set == Array(0..<20))
        #expect(function.anomalies == [])
    }

    @Test func theStreamIsRead() throws {
        let stream = try #require(function.streamingInterfaces.first)
        #expect(stream.number == 1)
        #expect(stream.endpoint == EndpointAddress(rawValue: 0x81))
        #expect(stream.terminalLink == 4)
        #expect(stream.changesFormatByItself)
        #expect(stream.formatControls.map(\.bytes) == [[4], [0]])
        #expect(stream.stillImage.method == 2)
        #expect(stream.stillImage.hasButton)
        #expect(stream.stillImage.buttonUsage == 1)
        let still = StillImageFrame(
            endpoint: EndpointAddress(rawValue: 0), sizes: [.init(width: 640, height: 480), .init(width: 1280, height: 720)])
        #expect(stream.stillImage.frames == [1: still])
    }

    @Test func alternateSettingsAreSortedAndTellTheirBandwidth() throws {
        let stream = try #require(function.streamingInterfaces.first)
        let endpoint = EndpointAddress(rawValue: 0x81)
        #expect(
            stream.alternateSettings == [
                StreamingAlternateSetting(number: 1, endpoint: endpoint, type: .isochronous, bytesPerInterval: 512, interval: 2),
                StreamingAlternateSetting(number: 2, endpoint: endpoint, type: .isochronous, bytesPerInterval: 3072, interval: 1),
            ])
    }

    @Test func formatsAndFramesAreRead() throws {
        let h264 = try #require(PixelFormat(name: "h264"))
        #expect(
            function.streamingInterfaces.first?.formats == [
                VideoFormat(
                    index: 1, kind: .mjpeg, defaultFrameIndex: 1,
                    frames: [
                        VideoFrame(
                            index: 1, width: 640, height: 480, capabilities: 1, minBitRate: 24_576_000, maxBitRate: 147_456_000,
                            maxFrameBytes: 614_400, defaultInterval: 333_333, intervals: .discrete([333_333, 666_666, 2_000_000]))
                    ], colorMatching: ColorMatching(primaries: 1, transfer: 2, matrix: 4), interlaceFlags: 1),
                VideoFormat(
                    index: 2, kind: .frameBased(h264.guid, bitsPerPixel: 16, variableSize: true), defaultFrameIndex: 5,
                    frames: [
                        VideoFrame(
                            index: 5, width: 1920, height: 1080, minBitRate: 1_048_576, maxBitRate: 16_777_216, bytesPerLine: 3840,
                            defaultInterval: 333_333, intervals: .continuous(minimum: 166_666, maximum: 1_000_000, step: 10))
                    ]),
            ])
    }

    @Test func uvc15H264HasALayoutOfItsOwn() throws {
        let format: [UInt8] = [52, 0x24, 0x13, 3, 1, 9] + [UInt8](repeating: 0, count: 46)
        var frame: [UInt8] = [48, 0x24, 0x14, 9]  // bFrameIndex
        frame += [0x00, 0x05, 0xd0, 0x02]  // wWidth 1280, wHeight 720
        frame += [1, 0, 1, 0]  // wSARwidth, wSARheight
        frame += [0x40, 0x42, 40, 0x00, 0x00]  // wProfile, bLevelIDC, wConstrainedToolset
        frame += [UInt8](repeating: 0, count: 14)  // bmSupportedUsages, bmCapabilities, bmSVCCapabilities, bmMVCCapabilities
        frame += [0x00, 0x00, 0x01, 0x00]  // dwMinBitRate 65536
        frame += [0x00, 0x00, 0x10, 0x00]  // dwMaxBitRate 1048576
        frame += [0x15, 0x16, 0x05, 0x00]  // dwDefaultFrameInterval
        frame += [1, 0x15, 0x16, 0x05, 0x00]  // bNumFrameIntervals, dwFrameInterval(1)
        let header = [13] + Array(DescriptorBytes.inputHeader.prefix(13).dropFirst())
        let parsed = try #require(DescriptorBytes.function(streaming: header + format + frame).streamingInterfaces.first?.formats.first)
        #expect(parsed.name == "h264")
        #expect(parsed.kind == .h264(simulcast: false))
        #expect(
            parsed.frames == [
                VideoFrame(
                    index: 9, width: 1280, height: 720, minBitRate: 65_536, maxBitRate: 1_048_576, defaultInterval: 333_333,
                    intervals: .discrete([333_333]))
            ])
    }

    @Test func aBulkStreamHasOneSetting() throws {
        // The endpoint follows the class-specific descriptors in alternate setting 0.
        let function = DescriptorBytes.function(settings: [7, 0x05, 0x81, 0x02, 0x00, 0x02, 0])
        let stream = try #require(function.streamingInterfaces.first)
        #expect(stream.isBulk)
        #expect(stream.alternateSettings.map(\.number) == [0])
        #expect(stream.alternateSettings.map(\.type) == [.bulk])
        #expect(stream.formats.count == 2)
    }

    @Test func descriptorsBehindTheEndpointAreFound() throws {
        let function = DescriptorBytes.function(streaming: [7, 0x05, 0x81, 0x02, 0x00, 0x02, 0] + DescriptorBytes.streaming, settings: [])
        #expect(try #require(function.streamingInterfaces.first).formats.count == 2)
    }

    @Test func aVendorsClassCountsWhenTheCallerSaysSo() {
        var configuration = DescriptorBytes.configuration()
        for index in configuration.interfaces.indices { configuration.interfaces[index].interfaceClass = 0xff }
        #expect(VideoFunction.all(in: configuration, speed: .high).isEmpty)
        #expect(
            VideoFunction.all(in: configuration, speed: .high, allowingVendorClass: true).first?.streamingInterfaces.first?.formats.count
                == 2)
    }
}
