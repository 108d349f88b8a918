// Probe and commit with devices that behave, and with devices that do not.
import Synchronization
import Testing
import USB
import UVC

@Suite struct StreamNegotiationTests {
    @Test(arguments: [(0x0100, 26), (0x0110, 34), (0x0150, 48), (0x0000, 26), (0xffff, 48)] as [(UInt16, Int)])
    func theBlocksLengthFollowsTheVersion(version: UInt16, length: Int) {
        #expect(StreamingParameters.length(uvcVersion: version) == length)
    }

    @Test func fieldsLieWhereTheStandardPutsThem() throws {
        let bytes: [UInt8] = [
            0x01, 0x00,  // bmHint
            0x02, 0x03,  // bFormatIndex, bFrameIndex
            0x15, 0x16, 0x05, 0x00,  // dwFrameInterval 333,333
            0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,  // wKeyFrameRate wPFrameRate wCompQuality wCompWindowSize wDelay
            0x00, 0x20, 0x1c, 0x00,  // dwMaxVideoFrameSize 1,843,200
            0x00, 0x0c, 0x00, 0x00,  // dwMaxPayloadTransferSize 3,072
            0x80, 0x8d, 0x5b, 0x00,  // dwClockFrequency 6,000,000
            0x03, 0x01, 0x00, 0x02,  // bmFramingInfo bPreferedVersion bMinVersion bMaxVersion
            0x21, 0x22, 0x23, 0x24,  // bUsage bBitDepthLuma bmSettings bMaxNumberOfRefFramesPlus1
            0x25, 0x26,  // bmRateControlModes
            0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,  // bmLayoutPerStream
        ]
        let parameters = try #require(StreamingParameters(bytes: bytes))
        #expect(parameters.hint == 1 && parameters.formatIndex == 2 && parameters.frameIndex == 3)
        #expect(parameters.frameInterval == 333_333 && parameters.compressionQuality == 0x0908 && parameters.delay == 0x0d0c)
        #expect(parameters.maxVideoFrameSize == 1_843_200 && parameters.maxPayloadTransferSize == 3_072)
        #expect(parameters.clockFrequency == 6_000_000 && parameters.framingInfo == 3 && parameters.maxVersion == 2)
        #expect(parameters.usage == 0x21 && parameters.rateControlModes == 0x2625 && parameters.layoutPerStream == 0x3837_3635_3433_3231)
        for length in [26, 34, 48] {
            #expect(parameters.encoded(length: length) == Array(bytes.prefix(length)))
            let short = try #require(StreamingParameters(bytes: Array(bytes.prefix(length))))
            #expect(short.maxPayloadTransferSize == 3_072)
            #expect(short.clockFrequency == (length >= 34 ? 6_000_000 : 0))
        }
        #expect(StreamingParameters(bytes: Array(bytes.prefix(30)))?.clockFrequency == 6_000_000)
        for length in 0..<26 { #expect(StreamingParameters(bytes: Array(bytes.prefix(length))) == nil) }
        #expect(StreamingParameters(bytes: bytes + bytes)?.layoutPerStream == parameters.layoutPerStream)
    }

    /// Each time-out takes five seconds, and whoever waits is told, or the camera reset, after the first that is confirmed.
    @Test func anUnresponsiveDeviceIsNotAskedOneQuestionAfterTheOther() async {
        let device = FakeDevice { _, _ throws(USBError) in throw USBError(.timedOut, operation: "control") }
        let interface = testInterface()
        let error = await #expect(throws: USBError.self) {
            let choice = try interface.choose(StreamWish(), quirks: [])
            _ = try await StreamNegotiation(device: device, interface: interface, uvcVersion: 0x0110).negotiate(choice)
        }
        #expect(error?.code == .timedOut)
        #expect(device.requests.count == 2)
    }

    /// Some know nothing of GET_DEF, and let it time out.
    @Test func aDeviceThatLetsOneQuestionTimeOutIsNegotiatedWith() async throws {
        let answering = camera()
        let device = FakeDevice { setup, data throws(USBError) in
            guard setup.request != 0x87 else { throw USBError(.timedOut, operation: "control") }
            return try answering.answer(setup, data)
        }
        let interface = testInterface()
        let agreed = try await StreamNegotiation(device: device, interface: interface, uvcVersion: 0x0110)
            .negotiate(try interface.choose(StreamWish(), quirks: []))
        #expect(agreed.parameters.maxPayloadTransferSize == 1_000)
    }

    /// A camera that takes what it is sent, and answers with sizes filled in.
    private func camera(
        speed: USBSpeed = .high, answers: @escaping @Sendable (inout StreamingParameters) -> Void = { _ in }
    ) -> FakeDevice {
        let held = HeldParameters()
        return FakeDevice(speed: speed) { setup, data throws(USBError) in
            switch (setup.request, setup.value) {
            case (0x01, 0x0100):
                held.set(StreamingParameters(bytes: data) ?? StreamingParameters())
                return []
            case (0x01, 0x0200): return []
            case (0x81, 0x0100), (0x82, 0x0100), (0x83, 0x0100), (0x87, 0x0100):
                var parameters = held.value
                parameters.maxVideoFrameSize = 614_400
                parameters.maxPayloadTransferSize = 1_000
                if setup.request == 0x83 { parameters.compressionQuality = 7_500 }
                answers(&parameters)
                return parameters.encoded(length: Int(setup.length))
            default: throw USBError.stalled
            }
        }
    }

    private final class HeldParameters: Sendable {
        private let parameters = Mutex(StreamingParameters())
        var value: StreamingParameters { parameters.withLock { $0 } }
        func set(_ value: StreamingParameters) { parameters.withLock { $0 = value } }
    }

    private func negotiate(
        _ device: FakeDevice, _ wish: StreamWish = StreamWish(format: "mjpeg", width: 640, height: 480, rate: 30), bulk: Bool = false,
        version: UInt16 = 0x0110, quirks: VideoQuirks = []
    ) async throws -> NegotiatedStream {
        let interface = testInterface(bulk: bulk)
        return try await StreamNegotiation(device: device, interface: interface, uvcVersion: version, quirks: quirks)
            .negotiate(interface.choose(wish))
    }

    @Test func aGoodCameraIsProbedAndCommitted() async throws {
        let device = camera()
        let stream = try await negotiate(device)
        #expect(stream.anomalies == [])
        #expect(stream.choice.description == "mjpeg 640×480 at 30 fps")
        #expect(stream.frameCapacity == 614_400)
        #expect(stream.alternateSetting?.number == 4)  // 1,024 bytes for payloads of 1,000
        #expect(device.alternateSettings == [0])
        let committed = try #require(device.sent(VideoSelector.commit).first.flatMap(StreamingParameters.init))
        #expect(committed == stream.parameters)
        #expect(committed.compressionQuality == 7_500)  // the best it has
        #expect(device.sent(VideoSelector.probe).allSatisfy { $0.count == 34 })
        #expect(device.requests.allSatisfy { $0.setup.index == 1 })  // the interface
        #expect(device.requests.filter { $0.setup.request == 0x01 }.allSatisfy { $0.setup.requestType == 0x21 })
    }

    @Test(arguments: [(0x0100, 26), (0x0110, 34), (0x0150, 48)] as [(UInt16, Int)])
    func everyBlockHasTheVersionsLength(version: UInt16, length: Int) async throws {
        let device = camera()
        _ = try await negotiate(device, version: version)
        #expect(device.requests.allSatisfy { Int($0.setup.length) == length })
        let old = camera()
        _ = try await negotiate(old, version: version, quirks: .version10)
        #expect(old.requests.allSatisfy { $0.setup.length == 26 })
    }

    @Test func quirksKeepQuestionsFromBeingAsked() async throws {
        let device = camera()
        _ = try await negotiate(device, quirks: [.noProbeDefaults, .noProbeMinMax])
        #expect(device.requests.map(\.setup.request) == [0x01, 0x81, 0x01])
    }

    @Test func aBulkCameraStaysInItsSetting() async throws {
        let device = camera { $0.maxPayloadTransferSize = 16_384 }
        let stream = try await negotiate(device, bulk: true)
        #expect(device.alternateSettings == [])
        #expect(stream.alternateSetting == nil)
        #expect(stream.assemblerSettings(speed: .high).maxPayloadSize == 16_384)
    }

    @Test func optionalQuestionsMayStall() async throws {
        let held = HeldParameters()
        let device = FakeDevice { setup, data throws(USBError) in
            switch (setup.request, setup.value) {
            case (0x01, 0x0100):
                held.set(StreamingParameters(bytes: data) ?? StreamingParameters())
                return []
            case (0x01, 0x0200): return []
            case (0x81, 0x0100):
                var parameters = held.value
                parameters.maxVideoFrameSize = 614_400
                parameters.maxPayloadTransferSize = 3_072
                return parameters.encoded(length: 34)
            default: throw USBError.stalled
            }
        }
        #expect(try await negotiate(device).alternateSetting?.number == 6)
    }

    @Test func aTwoByteMaximumIsTheQuality() async throws {
        let held = HeldParameters()
        let device = FakeDevice { setup, data throws(USBError) in
            switch (setup.request, setup.value) {
            case (0x01, 0x0100):
                held.set(StreamingParameters(bytes: data) ?? StreamingParameters())
                return []
            case (0x83, 0x0100): return [0x10, 0x27]  // 10,000
            case (0x81, 0x0100):
                var parameters = held.value
                parameters.maxVideoFrameSize = 614_400
                parameters.maxPayloadTransferSize = 3_072
                return parameters.encoded(length: 34)
            default: return []
            }
        }
        #expect(try await negotiate(device).parameters.compressionQuality == 10_000)
    }

    @Test func aCameraThatWantsItsOwnSizesBackGetsThem() async throws {
        let held = HeldParameters()
        let device = FakeDevice { setup, data throws(USBError) in
            switch (setup.request, setup.value) {
            case (0x01, 0x0100):
                guard let sent = StreamingParameters(bytes: data), sent.maxVideoFrameSize != 0, data.count == 26 else {
                    throw USBError.stalled
                }
                held.set(sent)
                return []
            case (0x01, 0x0200): return []
            case (0x81, 0x0100):
                var parameters = held.value
                parameters.maxVideoFrameSize = 614_400
                parameters.maxPayloadTransferSize = 1_000
                return parameters.encoded(length: 26)
            default: throw USBError.stalled
            }
        }
        // It says 1.5 and has a block of 1.0.
        let stream = try await negotiate(device, version: 0x0150)
        #expect(stream.parameters.formatIndex == 2)
        #expect(device.sent(VideoSelector.commit).map(\.count) == [26])
        #expect(stream.anomalies.count == 1)
    }

    struct Garbage: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var spoil: @Sendable (inout StreamingParameters) -> Void
        var capacity = 614_400
        var setting: UInt8? = 4
    }

    @Test(arguments: [
        Garbage(testDescription: "frame size 0", spoil: { $0.maxVideoFrameSize = 0 }),
        Garbage(testDescription: "frame size beyond reason", spoil: { $0.maxVideoFrameSize = .max }),
        Garbage(testDescription: "payload size 0", spoil: { $0.maxPayloadTransferSize = 0 }, setting: 6),
        Garbage(testDescription: "payload size beyond reason", spoil: { $0.maxPayloadTransferSize = 0x7fff_ffff }, setting: 6),
        Garbage(testDescription: "payload size sign-extended", spoil: { $0.maxPayloadTransferSize = 0xffff_8000 }, setting: 6),
        Garbage(testDescription: "format 0", spoil: { $0.formatIndex = 0 }),
        Garbage(testDescription: "format and frame out of range", spoil: { ($0.formatIndex, $0.frameIndex) = (200, 200) }),
        Garbage(testDescription: "interval 0", spoil: { $0.frameInterval = 0 }),
        Garbage(testDescription: "interval beyond reason", spoil: { $0.frameInterval = .max }),
    ])
    func garbageIsRepairedAndSaid(garbage: Garbage) async throws {
        let device = camera(answers: garbage.spoil)
        let stream = try await negotiate(device)
        #expect(stream.choice.description == "mjpeg 640×480 at 30 fps")
        #expect(stream.frameCapacity == garbage.capacity)
        #expect(stream.alternateSetting?.number == garbage.setting)
        #expect(stream.anomalies.count == 1)
        let committed = try #require(device.sent(VideoSelector.commit).first.flatMap(StreamingParameters.init))
        #expect(committed.formatIndex == 2 && committed.frameIndex == 1 && committed.frameInterval == 333_333)
    }

    @Test func everythingAtOnceIsRepairedToo() async throws {
        for byte in [0, 0xff] as [UInt8] {
            let device = FakeDevice { setup, _ throws(USBError) in [UInt8](repeating: byte, count: Int(setup.length)) }
            let stream = try await negotiate(device)
            #expect(stream.frameCapacity == 614_400)
            #expect(stream.alternateSetting?.number == 6)
            #expect(stream.anomalies.count == 4)
        }
    }

    @Test func anUncompressedFramesSizeIsKnownBetter() async throws {
        let device = camera { $0.maxVideoFrameSize = 1_000 }
        let stream = try await negotiate(device, StreamWish(format: "yuy2", width: 640, height: 480))
        #expect(stream.frameCapacity == 614_400)
        #expect(stream.assemblerSettings(speed: .high).content == .uncompressed(length: 614_400))
    }

    @Test func theQuirkComputesBandwidth() async throws {
        let device = camera { $0.maxPayloadTransferSize = 3_072 }
        let stream = try await negotiate(device, StreamWish(format: "yuy2", width: 640, height: 480, rate: 30), quirks: .fixBandwidth)
        // 614,400 bytes 31 times a second in 8,000 microframes, and a header: 2,392.
        #expect(stream.parameters.maxPayloadTransferSize == 2_392)
        #expect(stream.alternateSetting?.number == 6)
        let slow = try await negotiate(
            camera { $0.maxPayloadTransferSize = 3_072 }, StreamWish(format: "yuy2", width: 640, height: 480, rate: 15),
            quirks: .fixBandwidth)
        #expect(slow.alternateSetting?.bytesPerInterval == 2_048)
    }

    @Test func theDevicesOwnChoiceIsTaken() async throws {
        let device = camera { ($0.frameIndex, $0.frameInterval) = (2, 666_666) }
        let stream = try await negotiate(device)
        #expect(stream.choice.description == "mjpeg 1280×720 at 15 fps")
        #expect(stream.anomalies.count == 1)
    }

    @Test func aShortAnswerIsAnError() async throws {
        let device = FakeDevice { setup, _ throws(USBError) in setup.request == 0x81 ? [1, 2, 3] : [] }
        await #expect {
            try await negotiate(device)
        } throws: {
            ($0 as? USBError)?.code == .malformedAnswer && "\($0)".contains("GET_CUR(VS_PROBE)")
        }
    }

    @Test func aRefusedCommitIsNamed() async throws {
        let device = FakeDevice { setup, _ throws(USBError) in
            if setup.value == 0x0200 { throw USBError.stalled }
            return StreamingParameters(formatIndex: 2, frameIndex: 1, frameInterval: 333_333).encoded(length: Int(setup.length))
        }
        await #expect {
            try await negotiate(device)
        } throws: {
            ($0 as? USBError)?.code == .stall && "\($0)".contains("SET_CUR(VS_COMMIT)")
        }
    }

    @Test(arguments: [1, 2]) func aCameraThatStumblesIsAskedAgain(refusals: Int) async throws {
        let left = Mutex(refusals)
        let held = HeldParameters()
        let device = FakeDevice { setup, data throws(USBError) in
            if setup.request == 0x01, setup.value == 0x0100 {
                held.set(StreamingParameters(bytes: data) ?? StreamingParameters())
                return []
            }
            let refuses =
                setup.request == 0x81
                && left.withLock { left in
                    left -= 1
                    return left >= 0
                }
            if refuses { throw USBError.stalled }
            return held.value.encoded(length: Int(setup.length))
        }
        let stream = try await negotiate(device, quirks: [.noProbeDefaults, .noProbeMinMax])
        #expect(stream.choice.description == "mjpeg 640×480 at 30 fps")
        #expect(stream.anomalies.contains { $0.contains(refusals == 1 ? "once" : "twice") })
        #expect(device.sent(VideoSelector.commit).count == 1)
    }

    @Test func aDeviceThatIsGoneEndsItAtOnce() async throws {
        let device = FakeDevice { _, _ throws(USBError) in throw USBError(.noDevice, operation: "control") }
        await #expect { try await negotiate(device) } throws: { ($0 as? USBError)?.code == .noDevice }
        #expect(device.requests.count == 1)
    }

    @Test func packetsTimesFollowSpeedAndInterval() async throws {
        var stream = try await negotiate(camera())
        #expect(stream.assemblerSettings(speed: .high).packetInterval == 125_000)
        #expect(stream.assemblerSettings(speed: .full).packetInterval == 1_000_000)
        stream.alternateSetting?.interval = 4
        #expect(stream.assemblerSettings(speed: .high).packetInterval == 1_000_000)
        stream.alternateSetting?.interval = 255
        #expect(stream.assemblerSettings(speed: .high).packetInterval == 125_000 << 15)
        #expect(stream.assemblerSettings(speed: .high, quirks: [.streamNoFrameID, .mjpegNoEndOfFrame]).ignoresFrameID)
    }

    /// A camera that takes blocks of some lengths only. `answersLength`: to GET_LEN, which not all know.
    private func camera(takes lengths: Set<Int>, answersLength: Bool) -> FakeDevice {
        let answering = camera()
        return FakeDevice { setup, data throws(USBError) in
            if setup.request == 0x85, answersLength, let length = lengths.min() { return [UInt8(length), 0] }
            if setup.request == 0x01, !lengths.contains(data.count) { throw USBError.stalled }
            return try answering.answer(setup, data)
        }
    }

    @Test(arguments: [(0x0100, 34), (0x0110, 26), (0x0150, 34), (0x0150, 26), (0x0100, 48)] as [(UInt16, Int)], [true, false])
    func aBlockOfAnotherLengthIsFoundAndRemembered(camera facts: (version: UInt16, length: Int), answersLength: Bool) async throws {
        let device = camera(takes: [facts.length], answersLength: answersLength)
        let interface = testInterface()
        let negotiation = StreamNegotiation(device: device, interface: interface, uvcVersion: facts.version)
        let choice = try interface.choose(StreamWish(format: "mjpeg", width: 640, height: 480, rate: 30))
        let stream = try await negotiation.negotiate(choice)
        #expect(stream.choice == choice)
        #expect(device.sent(VideoSelector.commit).map(\.count) == [facts.length])
        #expect(stream.anomalies.count == 1)
        let refused = device.sent(VideoSelector.probe).filter { $0.count != facts.length }.count
        #expect(try await negotiation.negotiate(choice).anomalies == [], "the second time it is known")
        #expect(device.sent(VideoSelector.probe).filter { $0.count != facts.length }.count == refused)
    }

    @Test func aLengthThatNoBlockHasIsNotTried() async throws {
        for answer in [[0, 0], [0xff, 0xff], [25, 0], [1], []] as [[UInt8]] {
            let device = FakeDevice { setup, _ throws(USBError) in
                if setup.request == 0x85 { return answer }
                throw USBError.stalled
            }
            await #expect { try await negotiate(device) } throws: {
                ($0 as? USBError)?.code == .stall && "\($0)".contains("SET_CUR(VS_PROBE)")
            }
            #expect(device.sent(VideoSelector.probe).allSatisfy { [26, 34, 48].contains($0.count) })
        }
    }

    // MARK: Bandwidth

    /// A camera whose payloads follow from what is asked, on a bus that has room for so many bytes a microframe.
    private func camera(room: Int, refusal: USBError.Code = .noBandwidth) -> FakeDevice {
        let answering = camera { parameters in
            // MJPEG a quarter of YUY2; format 1 is YUY2.
            let bytes = [1: 614_400, 2: 1_843_200, 3: 4_147_200][Int(parameters.frameIndex)] ?? 0
            let perInterval = bytes / max(1, Int(parameters.frameInterval) / 1250)
            parameters.maxPayloadTransferSize = UInt32(min(3_072, parameters.formatIndex == 1 ? perInterval : perInterval / 4))
        }
        return FakeDevice(settings: { setting throws(USBError) in
            let bytes = setting == 0 ? 0 : [192, 384, 512, 1024, 2048, 3072][Int(setting) - 1]
            if bytes > room { throw USBError(refusal, operation: "USBDEVFS_SETINTERFACE(1, \(setting))") }
        }) { setup, data throws(USBError) in try answering.answer(setup, data) }
    }

    private func narrower(
        room: Int, _ wish: StreamWish, refusal: USBError.Code = .noBandwidth
    ) async throws -> (StreamChoice, FakeDevice) {
        let device = camera(room: room, refusal: refusal)
        let interface = testInterface()
        let negotiation = StreamNegotiation(device: device, interface: interface, uvcVersion: 0x0110)
        let stream = try await negotiation.negotiate(interface.choose(wish))
        let error = USBError(refusal, operation: "USBDEVFS_SETINTERFACE(1, 6)")
        return (try await negotiation.narrower(than: stream, meeting: wish, refusal: error), device)
    }

    @Test(arguments: [USBError.Code.noBandwidth, .stall])
    func whatDoesNotFitIsRefusedWithWhatDoes(refusal: USBError.Code) async throws {
        await #expect {
            _ = try await narrower(room: 1024, StreamWish(format: "yuy2", width: 640, height: 480, rate: 30), refusal: refusal)
        } throws: { error in
            let text = "\(error)"
            return (error as? USBError)?.code == .noBandwidth && text.hasPrefix("yuy2 640×480 at 30 fps: ")
                && text.contains("3072 bytes of each microframe, and 1024 are available") && text.contains("mjpeg 640×480 at 30 fps")
                && !text.contains("USBDEVFS")
        }
    }

    /// Linux's EHCI driver takes every alternate setting, and refuses its transfers.
    @Test func whatCanBeSelectedAndNotCarriedDoesNotFit() async throws {
        let device = camera(room: .max)
        let interface = testInterface()
        let negotiation = StreamNegotiation(device: device, interface: interface, uvcVersion: 0x0110)
        let wish = StreamWish(format: "yuy2", width: 640, height: 480, rate: 30)
        let stream = try await negotiation.negotiate(interface.choose(wish))
        let refusal = USBError(.noBandwidth, operation: "USBDEVFS_SUBMITURB")
        let tried = Mutex<[Int]>([])
        await #expect {
            _ = try await negotiation.narrower(than: stream, meeting: wish, refusal: refusal) { setting in
                tried.withLock { $0.append(setting.bytesPerInterval) }
                #expect(device.alternateSettings.last == setting.number, "it is tried while it is selected")
                return setting.bytesPerInterval <= 1024
            }
        } throws: { "\($0)".contains("3072 bytes of each microframe, and 1024 are available; these fit: ") }
        #expect(tried.withLock { $0 } == [2048, 1024] && device.alternateSettings.last == 0)
    }

    /// `dwMaxPayloadTransferSize` is binding: what the wish leaves open gives way, the rate before the size.
    @Test(arguments: [
        (StreamWish(format: "yuy2", width: 640, height: 480), 2048, "yuy2 640×480 at 15 fps"),
        (StreamWish(), 1024, "mjpeg 1280×720 at 15 fps"),
    ])
    func aWishThatLeavesSomethingOpenIsMetWithLess(wish: StreamWish, room: Int, offer: String) async throws {
        let (choice, device) = try await narrower(room: room, wish)
        #expect(choice.description == offer)
        #expect(device.alternateSettings.last == 0, "the interface is left idle")
    }

    @Test func aDeviceThatRefusesEverySettingGetsItsOwnError() async throws {
        await #expect { _ = try await narrower(room: 0, StreamWish(format: "yuy2"), refusal: .stall) } throws: {
            ($0 as? USBError)?.code == .stall && "\($0)".contains("USBDEVFS_SETINTERFACE")
        }
    }
}
