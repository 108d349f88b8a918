// A wish becomes one of a camera's offers, or a sentence that says what there is.
import Testing
import USB
import UVC

@Suite struct StreamChoiceTests {
    @Test(arguments: [
        (StreamWish(), "mjpeg 1280×720 at 30 fps"),
        (StreamWish(format: "yuy2"), "yuy2 640×480 at 30 fps"),
        (StreamWish(format: "YUY2", width: 1280, height: 720), "yuy2 1280×720 at 10 fps"),
        (StreamWish(format: "MJPG", width: 1920, height: 1080), "mjpeg 1920×1080 at 30 fps"),
        (StreamWish(width: 1920, height: 1080), "mjpeg 1920×1080 at 30 fps"),
        (StreamWish(width: 640), "mjpeg 640×480 at 30 fps"),
        (StreamWish(rate: 60), "mjpeg 640×480 at 60 fps"),
        (StreamWish(rate: 15), "mjpeg 1280×720 at 15 fps"),
        (StreamWish(rate: 5), "yuy2 1920×1080 at 5 fps"),
        (StreamWish(format: "h264"), "h264 640×480 at 30 fps"),
    ])
    func wishesAreMet(wish: StreamWish, offer: String) throws {
        let choice = try testInterface().choose(wish)
        #expect(choice.description == offer)
    }

    @Test(arguments: [
        StreamWish(format: "nv12"), StreamWish(format: "mjpeg", width: 320, height: 240), StreamWish(format: "mjpeg", rate: 25),
        StreamWish(width: 641), StreamWish(rate: 0), StreamWish(rate: -1), StreamWish(rate: .nan), StreamWish(rate: .infinity),
        StreamWish(format: ""), StreamWish(width: .min, height: .max),
    ])
    func whatIsNotThereIsRefusedWithWhatIs(wish: StreamWish) {
        #expect {
            try testInterface().choose(wish)
        } throws: { error in
            let text = "\(error)"
            return text.contains("does not offer") && text.contains("mjpeg 640×480 (60, 30 fps)") && text.contains("yuy2")
        }
    }

    @Test func aRateIsMetByItsBroadcastNeighbour() throws {
        var interface = testInterface()
        interface.formats = [
            VideoFormat(
                index: 1, kind: .mjpeg,
                frames: [VideoFrame(index: 1, width: 64, height: 64, defaultInterval: 333_667, intervals: .discrete([333_667, 1_000_000]))])
        ]
        #expect(try interface.choose(StreamWish(rate: 30)).interval == 333_667)
        #expect(throws: StreamChoiceError.self) { try interface.choose(StreamWish(rate: 20)) }
    }

    @Test func continuousIntervalsMeetAnyRateBetween() throws {
        var interface = testInterface()
        let intervals = FrameIntervals.continuous(minimum: 166_666, maximum: 10_000_000, step: 0)
        interface.formats = [
            VideoFormat(
                index: 1, kind: .mjpeg,
                frames: [VideoFrame(index: 1, width: 64, height: 64, defaultInterval: 166_666, intervals: intervals)])
        ]
        #expect(try interface.choose(StreamWish(rate: 24)).interval == 416_666)
        #expect(try interface.choose(StreamWish()).interval == 333_333)
        #expect(throws: StreamChoiceError.self) { try interface.choose(StreamWish(rate: 120)) }
    }

    @Test func theQuirkLeavesOnlyDefaultIntervals() throws {
        let choice = try testInterface().choose(StreamWish(format: "mjpeg", width: 640, height: 480), quirks: .restrictFrameRate)
        #expect(choice.interval == 166_666)
    }

    @Test func aCameraWithoutFramesSaysSo() {
        var interface = testInterface()
        interface.formats = [VideoFormat(index: 1, kind: .stream(subtype: 0x0a))]
        #expect { try interface.choose(StreamWish()) } throws: { "\($0)".contains("no format that has frames") }
        interface.formats = []
        #expect(throws: StreamChoiceError.self) { try interface.choose(StreamWish()) }
    }

    @Test(arguments: [(0, 1), (1, 1), (192, 1), (193, 2), (1000, 4), (3072, 6), (3073, 6), (Int.max, 6)] as [(Int, UInt8)])
    func theSmallestSufficientSettingIsChosen(size: Int, setting: UInt8) {
        #expect(testInterface().alternateSetting(forPayloadSize: size)?.number == setting)
    }

    @Test func settingsNeedNotBeInOrder() {
        var interface = testInterface()
        interface.alternateSettings.reverse()
        #expect(interface.alternateSetting(forPayloadSize: 400)?.bytesPerInterval == 512)
        #expect(testInterface(bulk: true).alternateSetting(forPayloadSize: 400) == nil)
    }
}
