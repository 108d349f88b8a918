// The controls really change the picture, and files take the scene's place.

import Glibc
import Pictures
import Testing

@testable import EmulatedWebcam

@Suite struct PictureControlTests {
    /// Frame 3 of a camera with some controls set, without what is written over it, as YUY2 in RGB.
    func picture(_ change: (inout EmulatedWebcamOptions) -> Void = { _ in }, _ controls: (TestBus) -> Void = { _ in }) throws -> Picture {
        let bus = try TestBus {
            $0.startupMilliseconds = 0
            $0.showsOverlay = false
            $0.stampsFrames = false
            change(&$0)
        }
        controls(bus)
        bus.start(format: 2, frame: 2)
        let frames = TestBus.frames(bus.packets(for: 4 * 33_333_300))
        let frame = try #require(frames.last)
        return try frame.withUnsafeBytes { try Picture(format: .yuy2, width: 320, height: 240, bytes: $0) }
    }

    func mean(_ picture: Picture, _ value: (Int, Int, Int) -> Int) -> Double {
        var sum = 0
        for offset in stride(from: 0, to: picture.pixels.count, by: 3) {
            sum += value(Int(picture.pixels[offset]), Int(picture.pixels[offset + 1]), Int(picture.pixels[offset + 2]))
        }
        return Double(sum) / Double(picture.pixels.count / 3)
    }

    func light(_ picture: Picture) -> Double { mean(picture) { ($0 + $1 + $2) / 3 } }
    func colour(_ picture: Picture) -> Double { mean(picture) { max($0, $1, $2) - min($0, $1, $2) } }
    /// How much neighbours differ.
    func detail(_ picture: Picture) -> Double {
        var sum = 0
        for y in 0..<picture.height {
            for x in 1..<picture.width { sum += abs(Int(picture[x, y].green) - Int(picture[x - 1, y].green)) }
        }
        return Double(sum) / Double(picture.width * picture.height)
    }

    @Test func brightnessContrastAndGamma() throws {
        let normal = try picture()
        #expect(
            light(
                try picture { _ in
                } _: {
                    _ = $0.set(.brightness, 40)
                }) > light(normal) + 20)
        #expect(
            light(
                try picture { _ in
                } _: {
                    _ = $0.set(.brightness, -40)
                }) < light(normal) - 20)
        #expect(
            light(
                try picture { _ in
                } _: {
                    _ = $0.set(.gamma, 200)
                }) > light(normal) + 15)
        #expect(
            detail(
                try picture { _ in
                } _: {
                    _ = $0.set(.contrast, 90)
                }) > detail(normal) * 1.3)
        #expect(
            detail(
                try picture { _ in
                } _: {
                    _ = $0.set(.contrast, 0)
                }) < 0.2)
        #expect(
            light(
                try picture { _ in
                } _: {
                    _ = $0.set(.backlight, 2)
                }) > light(normal) + 5)
    }

    @Test func colours() throws {
        let normal = try picture()
        #expect(
            colour(
                try picture { _ in
                } _: {
                    _ = $0.set(.saturation, 0)
                }) < 4)
        #expect(
            colour(
                try picture { _ in
                } _: {
                    _ = $0.set(.saturation, 180)
                }) > colour(normal) * 1.3)
        let turned = try picture { _ in
        } _: {
            _ = $0.set(.hue, 18000)
        }
        #expect(mean(turned) { r, _, b in r - b } * mean(normal) { r, _, b in r - b } < 0)
        let warm = try picture { _ in
        } _: {
            _ = $0.set(.whiteBalanceAuto, 0) && $0.set(.whiteBalance, 6500)
        }
        #expect(mean(warm) { r, _, b in r - b } > mean(normal) { r, _, b in r - b } + 20)
    }

    @Test func exposureAndGainInManualMode() throws {
        let normal = try picture()
        let long = try picture { _ in
        } _: {
            _ = $0.set(.autoExposureMode, 1) && $0.set(.exposureTime, 400)
        }
        let short = try picture { _ in
        } _: {
            _ = $0.set(.autoExposureMode, 1) && $0.set(.exposureTime, 60)
        }
        #expect(light(long) > light(normal) + 30)
        #expect(light(short) < light(normal) - 30)
    }

    @Test func focusSharpnessAndZoom() throws {
        let normal = try picture()
        let blurred = try picture { _ in
        } _: {
            _ = $0.set(.focusAuto, 0) && $0.set(.focus, 250)
        }
        #expect(detail(blurred) < detail(normal) * 0.6)
        #expect(
            detail(
                try picture { _ in
                } _: {
                    _ = $0.set(.sharpness, 6)
                }) > detail(normal) * 1.1)
        #expect(
            detail(
                try picture { _ in
                } _: {
                    _ = $0.set(.sharpness, 0)
                }) < detail(normal) * 0.9)
        let zoomed = try picture { _ in
        } _: {
            _ = $0.set(.zoom, 400)
        }
        let panned = try picture { _ in
        } _: {
            _ = $0.set(.zoom, 400) && $0.set(.panTilt, 36000, -36000)
        }
        #expect(detail(zoomed) < detail(normal))
        #expect(zoomed != panned)
        // The meadow lies at the bottom right.
        let corner = panned[300, 220]
        #expect(corner.green > corner.blue)
    }

    @Test func privacyIsBlack() throws {
        let dark = try picture {
            $0.showsOverlay = true
        } _: {
            _ = $0.set(.privacy, 1)
        }
        #expect(dark.pixels.allSatisfy { $0 < 3 })
    }

    @Test func theSceneMovesAndTheOverlayIsWritten() throws {
        let bus = try TestBus {
            $0.startupMilliseconds = 0
            $0.stampsFrames = false
        }
        bus.start(format: 2, frame: 2)
        let frames = TestBus.frames(bus.packets(for: 2 * 33_333_300))
        #expect(frames.count == 2)
        #expect(frames[0] != frames[1])
        let bare = try picture()
        let written = try picture { $0.showsOverlay = true }
        #expect(bare != written)
    }

    // MARK: Files

    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = "/tmp/userdriver-test-\(getpid())-\(name)"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        try #require(written == bytes.count)
        return path
    }

    func flat(_ red: UInt8, _ green: UInt8, _ blue: UInt8) throws -> Picture {
        try Picture(width: 40, height: 30, red: red, green: green, blue: blue)
    }

    @Test func aStillTakesTheScenesPlace() throws {
        let path = try file("still.png", try flat(200, 40, 40).encoded(as: .png))
        defer { unlink(path) }
        let shown = try picture { $0.source = path }
        #expect(abs(Int(shown[100, 100].red) - 200) < 6 && abs(Int(shown[100, 100].green) - 40) < 6)
    }

    @Test func jpegsOneAfterAnotherAreLooped() throws {
        let bytes = try flat(220, 30, 30).encoded(as: .jpeg(quality: 90)) + flat(30, 220, 30).encoded(as: .jpeg(quality: 90))
        let path = try file("film.mjpeg", bytes)
        defer { unlink(path) }
        let bus = try TestBus {
            $0.startupMilliseconds = 0
            $0.source = path
        }
        bus.start()
        let frames = TestBus.frames(bus.packets(for: 4 * 33_333_300))
        let reds = try frames.map { Int(try Picture(jpeg: $0)[80, 30].red) }
        #expect(reds.map { $0 > 120 } == [true, false, true, false])
        #expect(frames.map { wholeNumber($0) } == [0, 1, 2, 3])
    }

    @Test(arguments: ["420jpeg", "422", "444", "mono"]) func filmsAreShown(chroma: String) throws {
        var bytes = Array("YUV4MPEG2 W4 H2 F30:1 Ip A1:1 C\(chroma)\n".utf8)
        let chromaCount = ["420jpeg": 2, "422": 4, "444": 8, "mono": 0][chroma] ?? 0
        for luma: UInt8 in [235, 235] {
            bytes += Array("FRAME\n".utf8) + [UInt8](repeating: luma, count: 8) + [UInt8](repeating: 128, count: chromaCount * 2)
        }
        let path = try file("film-\(chroma).y4m", bytes)
        defer { unlink(path) }
        let shown = try picture { $0.source = path }
        #expect(light(shown) > 252)
    }

    @Test func filesOfNonsenseAreRefusedWithTheirName() throws {
        for (name, bytes) in [
            ("empty", []), ("text.txt", Array("hello, this is not a picture".utf8)), ("cut.jpg", [0xff, 0xd8, 0xff]),
            ("jpegs.mjpeg", try flat(1, 2, 3).encoded(as: .jpeg(quality: 90)) + Array("garbage".utf8)),
            ("bad.y4m", Array("YUV4MPEG2 W99999999999999999999 H2 C420\nFRAME\n".utf8)),
            ("huge.y4m", Array("YUV4MPEG2 W20000 H20000\nFRAME\n".utf8)),
            ("none.y4m", Array("YUV4MPEG2 W4 H2\n".utf8)), ("deep.y4m", Array("YUV4MPEG2 W4 H2 C420p10\nFRAME\n".utf8)),
        ] as [(String, [UInt8])] {
            let path = try file(name, bytes)
            defer { unlink(path) }
            #expect { try EmulatedWebcam(options: options(path)) } throws: { "\($0)".contains(name) }
        }
        #expect { try EmulatedWebcam(options: options("/nonexistent.png")) } throws: { "\($0)".contains("/nonexistent.png") }
    }

    func options(_ source: String) -> EmulatedWebcamOptions {
        var options = EmulatedWebcamOptions()
        options.source = source
        return options
    }
}
