// Every camera whose descriptors we have: what is in it, what is odd in it, and what is left of it when its bytes are damaged.

import Testing
import USB
import UVC

@Suite(.enabled(if: DescriptorFiles.areHere, DescriptorFiles.reason))
struct DescriptorFilesTests {
    /// What a reader of the bytes that shares no code with ours counted.
    struct Camera: Sendable, CustomTestStringConvertible {
        let name: String
        let functions: Int
        let entities: Int
        /// Each streaming interface's formats with the number of their frames.
        let streams: [[String]]
        var testDescription: String { name }

        init(_ name: String, functions: Int = 1, entities: Int, streams: [[String]]) {
            self.name = name
            self.functions = functions
            self.entities = entities
            self.streams = streams
        }
    }

    static let cameras: [Camera] = [
        Camera("045e-00f8-microsoft-lifecam-nx-6000", entities: 4, streams: [["mjpeg 9"]]),
        Camera("045e-07be-microsoft-lifecam-front", entities: 6, streams: [["yuy2 9", "mjpeg 6"], ["h264 22"]]),
        Camera("045e-0810-microsoft-lifecam-hd-3000", entities: 5, streams: [["yuy2 12", "mjpeg 11"]]),
        Camera("046d-0825-logitech_c270-raw", entities: 7, streams: [["yuy2 19", "mjpeg 19"]]),
        Camera("046d-082d-hd-pro-webcam-c920", entities: 9, streams: [["yuy2 19", "h264 17", "mjpeg 17"]]),
        Camera("046d-085e-logitech-brio", entities: 11, streams: [["yuy2 19", "mjpeg 20", "nv12 4"], ["grey 1"]]),
        Camera("046d-0893-logitech_streamcam-raw", entities: 9, streams: [["yuy2 10", "mjpeg 10"]]),
        Camera("046d-0991-quickcam-pro-for-notebooks", entities: 10, streams: [["mjpeg 7", "yuy2 8"]]),
        Camera("04f2-b221-integrated-camera", entities: 4, streams: [["yuy2 8", "mjpeg 7"]]),
        Camera("04f2-b251-usb2-0-1-3m-uvc-webcam", entities: 4, streams: [["yuy2 7"]]),
        Camera("04f2-b42a-front-camera", entities: 4, streams: [["yuy2 8", "mjpeg 8"]]),
        Camera("04f2-b74f-integrated-camera", functions: 2, entities: 12, streams: [["mjpeg 10", "yuy2 10"], ["grey 2"]]),
        Camera("058f-5608-usb-2-0-pc-camera", entities: 5, streams: [["yuy2 5"]]),
        Camera("05a3-9230-usb-2-0-camera", entities: 4, streams: [["mjpeg 6", "yuy2 6"]]),
        Camera("05ac-8501-built-in-isight", entities: 3, streams: [["uyvy 3"]]),
        Camera("05ac-8600-ibridge", functions: 3, entities: 9, streams: [["mjpeg 2"], ["h264 2"], ["mjpeg 2"]]),
        Camera("0770-1010-dmv", entities: 4, streams: [["yuy2 1"]]),
        Camera("07ca-0553-live-gamer-ultra-video", entities: 4, streams: [["yuy2 7", "yv12 8", "nv12 8", "bgr24 7", "p010 7"]]),
        Camera("0bda-5602-integrated-webcam", entities: 5, streams: [["yuy2 10", "mjpeg 10"]]),
        Camera("0bda-5691-integrated-webcam-hd", functions: 2, entities: 10, streams: [["mjpeg 5", "yuy2 6"], ["yuy2 1"]]),
        Camera("0c45-6340-trust_webcam-raw", entities: 4, streams: [["yuy2 6"]]),
        Camera("0fd9-0066-elgato-systems-gmbh", entities: 3, streams: [["nv12 1", "nv12 1", "i420 1"]]),
        Camera("1532-0e05-razer-kiyo-pro", entities: 5, streams: [["yuy2 4", "mjpeg 4", "h264 4", "nv12 4"]]),
        // Seven frames each, of which the last repeats the index of the first.
        Camera("1778-0214-ipevo-point-2-view", entities: 4, streams: [["yuy2 6", "mjpeg 6"]]),
        Camera("1871-0516-usb2-0-camera", entities: 4, streams: [["yuy2 5"]]),
        Camera("199e-8302", entities: 4, streams: [["grbg8 2"]]),
        Camera("1b3f-1167-general-webcam", entities: 5, streams: [["mjpeg 9", "yuy2 7", "h264 8"]]),
        Camera("1e4e-0100-purethermal-fw-v1-2-2", entities: 10, streams: [["uyvy 1", "y16 2", "grey 1", "rgb565 1", "bgr24 1"]]),
        Camera("2207-0018-customer_dual-raw", functions: 2, entities: 8, streams: [["mjpeg 1"], ["h265 5"]]),
        Camera("2935-0004", entities: 4, streams: [["yuy2 21"]]),
        Camera("32e4-9422-elp_h264-raw", entities: 6, streams: [["mjpeg 8", "yuy2 6"], ["h264 8"]]),
        Camera("349c-3307-customer-raw", entities: 3, streams: [["mjpeg 4"]]),
    ]

    private static func functions(_ bytes: [UInt8]) -> [VideoFunction] {
        let set = DescriptorSet(parsing: bytes)
        return set.configurations.flatMap { VideoFunction.all(in: $0, speed: set.likelySpeed, allowingVendorClass: true) }
    }

    @Test func everyFileIsInTheTable() {
        #expect(DescriptorFiles.names == Self.cameras.map(\.name).sorted())
    }

    @Test(arguments: cameras)
    func aCameraHasWhatItsBytesSay(camera: Camera) throws {
        let bytes = try DescriptorFiles.load(camera.name).bytes
        let set = DescriptorSet(parsing: bytes)
        #expect(set.device?.vendorID == UInt16(camera.name.prefix(4), radix: 16))
        #expect(set.device?.productID == UInt16(camera.name.dropFirst(5).prefix(4), radix: 16))
        let functions = Self.functions(bytes)
        #expect(functions.count == camera.functions)
        #expect(functions.map(\.entities.count).reduce(0, +) == camera.entities)
        let streams = functions.flatMap(\.streamingInterfaces)
        #expect(streams.map { $0.formats.map { "\($0.name) \($0.frames.count)" } } == camera.streams)
        for stream in streams {
            #expect(!stream.alternateSettings.isEmpty)
            #expect(functions.contains { $0.entity(stream.terminalLink) != nil })
        }
    }

    /// `# anomaly: VS if 1: bNumFormats 3 but 2 format descriptors`, and the like: what somebody else's parser found odd, ours says too.
    @Test(arguments: DescriptorFiles.names)
    func whatTheNotesCallAnAnomalyIsSaid(name: String) throws {
        let file = try DescriptorFiles.load(name)
        let set = DescriptorSet(parsing: file.bytes)
        let messages = (set.anomalies + Self.functions(file.bytes).flatMap(\.anomalies)).map(\.message)
        let signs = [
            ("bNumFormats ", "(bNumFormats)"), ("header wTotalLength", "(wTotalLength)"), ("config wTotalLength", "(wTotalLength)"),
            ("-> MISMATCH", "(wTotalLength)"), ("unknown VS subtype 0xe", "subtype 0x0e"), ("unknown VS subtype 0xf", "subtype 0x0f"),
            ("dwMaxVideoFrameBufferSize", "dwMaxVideoFrameBufferSize"), ("dwClockFrequency 0", "clock frequency is 0"),
            ("dwDefaultFrameInterval", "does not have its default interval"), ("duplicate frame indexes", "has two frames"),
            ("isochronous endpoint in alt 0", "isochronous endpoint in alternate setting 0"), ("bInterfaceProtocol", "bcdUVC 0x0150"),
            ("descriptor type 0xff", "type 0xff"),
        ]
        for note in file.notes {
            for (sign, message) in signs where note.contains(sign) {
                #expect(messages.contains { $0.contains(message) }, "\(note)")
            }
        }
    }

    @Test(arguments: DescriptorFiles.names)
    func everyPrefixIsSurvived(name: String) throws {
        let bytes = try DescriptorFiles.load(name).bytes
        for length in bytes.indices {
            Self.check(Array(bytes.prefix(length)))
        }
    }

    @Test func twentyThousandMutationsAreSurvived() throws {
        let files = try DescriptorFiles.names.map { try DescriptorFiles.load($0).bytes }
        var random = DescriptorMutations(state: 2026)
        for round in 0..<20_000 {
            var bytes = files[round % files.count]
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[at] = [0, 1, 2, 3, 0x7f, 0x80, 0xff].randomElement(using: &random) ?? 0
                case 2: bytes.remove(at: at)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
                }
            }
            Self.check(bytes)
        }
    }

    /// What a driver relies on, whatever the bytes were.
    private static func check(_ bytes: [UInt8]) {
        for function in functions(bytes) {
            var ids: Set<UInt8> = []
            let isEachIDOnce = function.entities.allSatisfy { ids.insert($0.id).inserted }
            if !isEachIDOnce { Issue.record("two entities with one id, in \(bytes)") }
            for format in function.streamingInterfaces.flatMap(\.formats) {
                let isDefaultThere =
                    format.frames.isEmpty ? format.defaultFrameIndex == 0 : format.frame(index: format.defaultFrameIndex) != nil
                if !isDefaultThere { Issue.record("a default frame that does not exist, in \(bytes)") }
                for frame in format.frames
                where frame.width == 0 || frame.height == 0 || frame.defaultInterval == 0 || frame.intervals.shortest == 0 {
                    Issue.record("a frame of nothing, in \(bytes)")
                }
            }
        }
    }
}
