// What is typed for a recording, and what is made of times, formats and reports that may be
// anything.

import ArgumentParser
import Testing
import UserDriverClient

@testable import UserDriverCLI

@Suite struct RecordingWordsTests {
    @Test(
        arguments: [
            ("90", 90), ("90s", 90), ("2.5", 2.5), ("500ms", 0.5), ("10m", 600), ("10min", 600), ("1h30m", 5400), ("1h1m1s", 3661),
            ("2H", 7200),
        ] as [(String, Double)]) func `times are typed as people say them`(_ text: String, _ seconds: Double)
    {
        #expect(RecordingTime(argument: text)?.seconds == seconds)
    }

    @Test(arguments: ["", "m", "10x", "1m1h", "1m1m", "1h30", "-5", "1e9", "nan", "inf", "9999999999h", "1..2s", " 5"])
    func `other times are refused`(_ text: String) { #expect(RecordingTime(argument: text) == nil) }

    @Test(arguments: [
        ("film.mkv", FilmContainer.mkv), ("a.b/film.MP4", .mp4), ("film.tar.avi", .avi),
    ]) func `the name says the container`(_ path: String, _ container: FilmContainer) throws {
        #expect(try FilmContainer(path: path) == container)
    }

    @Test(arguments: ["", "film", ".mkv", "mkv", "film.mov", "film.mkv/", "a.mkv/film"]) func `other names are refused`(_ path: String) {
        #expect(throws: ValidationError.self) { try FilmContainer(path: path) }
    }

    @Test func `what a container can't hold is refused with the one that can`() {
        #expect(FilmContainer.mp4.problem(with: "YUY2", path: "my film.mp4")?.contains("record to 'my film.mkv'") == true)
        #expect(FilmContainer.avi.problem(with: "h264", path: "film.avi")?.contains("film.mkv") == true)
        #expect(FilmContainer.mkv.problem(with: "vp8", path: "film.mkv")?.contains("--format") == true)
        for (format, container) in [("mjpeg", FilmContainer.mp4), ("MJPG", .avi), ("hevc", .mp4), ("nv12", .avi), ("grey", .mkv)] {
            #expect(container.problem(with: format, path: "film." + container.rawValue) == nil)
        }
        let error = #expect(throws: (any Error).self) {
            _ = try UserDriverCommand.parseAsRoot(["record", "-o", "film.mp4", "--format", "yuy2"])
        }
        #expect(error.map { ExitStatus.status(for: $0) } == ExitStatus.usage)
    }

    @Test(arguments: [
        ["record", "-o", "film.webm"], ["record", "--duration", "0"], ["record", "--segment", "10ms"],
        ["record", "--duration", "5s", "--until-stopped"], ["snap", "-o", "a.jpg", "--burst", "2"],
        ["snap", "-o", "-", "--interval", "1s"],
        ["snap", "-o", "a-%d.jpg", "--burst", "0"], ["snap", "-o", "a-%d-%d.jpg", "--burst", "2"],
    ]) func `mistakes of usage end with 2`(_ arguments: [String]) {
        let error = #expect(throws: (any Error).self) { _ = try UserDriverCommand.parseAsRoot(arguments) }
        #expect(error.map { ExitStatus.status(for: $0) } == ExitStatus.usage)
    }

    @Test func `files and pictures are numbered`() throws {
        let names = FilmNames(path: "a.b/my film.mkv")
        #expect([0, 1, 23_456].map { names[$0] } == ["a.b/my film.mkv", "a.b/my film-0001.mkv", "a.b/my film-23456.mkv"])
        let pictures = try PictureNames(path: "day %03d.png")
        #expect([1, 1234].map { pictures[$0] } == ["day 001.png", "day 1234.png"])
        let error = #expect(throws: ValidationError.self) { try PictureNames(path: "a.b/photo.jpg") }
        #expect(error?.message.contains("a.b/photo-%03d.jpg") == true)
    }

    @Test func `rates become fractions`() {
        let rates = [30, 29.97, 23.976, 7.5, 0.5, 0, -1, .nan, .infinity, 1e300].map { FilmRate($0) }
        #expect(
            rates.map { "\($0.numerator)/\($0.denominator)" } == [
                "30/1", "30000/1001", "24000/1001", "7500/1000", "500/1000", "0/1", "0/1", "0/1", "0/1", "0/1",
            ])
    }

    @Test func `times that a driver can't mean do not reach the film`() {
        var clock = FilmClock()
        let now: UInt64 = 100_000_000_000
        #expect(clock.time(captured: 1, now: now) == now, "the first frame is not from long ago")
        #expect(clock.time(captured: now + 5, now: now + 10) == now + 5)
        #expect(clock.time(captured: now + 5, now: now + 20) == now + 20, "no time comes twice")
        #expect(clock.time(captured: .max, now: now + 30) == now + 30)
        #expect(clock.time(captured: 0, now: now + 30) == now + 31)
    }

    @Test func `reports that are none are not heard`() {
        #expect(Muxer.Report("saved 3 1000") == .saved(frames: 3, bytes: 1000))
        #expect(Muxer.Report("failed 28 3 1000 No space left") == .failed(errno: 28, frames: 3, bytes: 1000, words: "No space left"))
        for line in ["", "saved", "saved x 1", "saved 1", "done 99999999999999999999 1", "failed 1 2", "hello 1 2"] {
            #expect(Muxer.Report(line) == nil, "\(line)")
        }
    }

    @Test func `coded video begins where it can be decoded`() throws {
        let form = StreamDescription(format: "H264", width: 64, height: 48, fps: 30)
        var coded = CodedVideo()
        let sets: [UInt8] = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3]
        #expect(FilmFrame([0, 0, 1, 0x41, 9], of: form, at: 1, coded: &coded) == nil, "nothing is known yet")
        let key = try #require(FilmFrame(sets + [0, 0, 1, 0x65, 8, 8], of: form, at: 2, coded: &coded))
        #expect(key.isKey && key.parameters == [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3])
        let other = try #require(FilmFrame([0, 0, 1, 0x41, 9], of: form, at: 3, coded: &coded))
        #expect(!other.isKey && other.parameters == key.parameters && other.form.format == "h264")
        for bytes in [[], [0, 0, 1], [0, 0], [0, 0, 0, 1], [UInt8](repeating: 0, count: 1000), [0, 0, 1, 0, 0, 1, 0x67]] as [[UInt8]] {
            _ = CodedVideo().taking(bytes)
        }
    }

    @Test func `uncompressed frames have the length of their picture`() {
        let form = StreamDescription(format: "yuy2", width: 4, height: 2, fps: 30)
        var coded = CodedVideo()
        #expect(FilmFrame([UInt8](repeating: 1, count: 15), of: form, at: 1, coded: &coded) == nil)
        #expect(FilmFrame([UInt8](repeating: 1, count: 99), of: form, at: 1, coded: &coded)?.bytes.count == 16)
    }
}

extension CodedVideo {
    fileprivate func taking(_ bytes: [UInt8]) -> Bool {
        var video = self
        return video.take(bytes, as: .h264)?.isKey ?? video.take(bytes, as: .h265)?.isKey ?? false
    }
}
