// Recordings frame by frame: what went into the queue is what a reader of films finds, at its time,
// whatever dies meanwhile.

import CLinux
import Foundation
import Glibc
import Pictures
import Spawn
import Testing
import Threads
import UserDriverClient

@testable import UserDriverCLI

@Suite(
    .serialized, .timeLimit(.minutes(5)),
    .enabled(if: ProbedFilm.canBeMade, "ffprobe or userdriver-mux is not there: run `make build-record`, and install ffmpeg"))
struct FilmWriterTests {
    /// Where films are written; gone with the test.
    private final class Place {
        let folder: String
        init() throws {
            var template = Array("/tmp/userdriver-film-XXXXXX".utf8CString)
            folder = String(cString: try #require(mkdtemp(&template)))
        }
        deinit { try? FileManager.default.removeItem(atPath: folder) }  // a leftover in a temporary folder fails nobody
        var files: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder).sorted()) ?? [] }
    }

    /// As the command does: a muxer that has gone is no signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    /// Things said by a writer.
    private let said = Monitored<[String]>([])

    private func writer(_ path: String, _ queue: FilmQueue, segment: UInt64? = nil, program: String? = ProbedFilm.muxer) throws
        -> FilmWriter
    {
        let said = said
        return FilmWriter(
            .init(
                program: try #require(program), names: FilmNames(path: path), container: try FilmContainer(path: path), overwrites: false,
                segment: segment, say: { line in said.change { $0.append(line) } }), queue: queue)
    }

    private func start(_ writer: FilmWriter) throws -> WorkerThread { try WorkerThread(name: "film") { writer.run() } }

    /// Frames that are told apart by their bytes, every 33 ms, give or take, and once not for two
    /// seconds.
    private func frames(_ count: Int, format: String = "mjpeg", width: Int = 64, height: Int = 48) throws -> [FilmFrame] {
        let form = StreamDescription(format: format, width: width, height: height, fps: 30)
        var coded = CodedVideo()
        var time = clinux_monotonic_ns()
        return try (0..<count).map { index in
            var picture = try Picture(width: width, height: height, red: UInt8(index % 256), green: UInt8(index / 256), blue: 99)
                .encoded(as: .jpeg(quality: 90))
            if let raw = RawFormat(rawValue: format) {
                picture = (0..<raw.byteCount(width: width, height: height)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ index) }
            }
            time += 33_333_333 + UInt64(index % 7) * 500_000 + (index == count / 2 ? 2_000_000_000 : 0)
            return try #require(FilmFrame(picture, of: form, at: time, coded: &coded))
        }
    }

    private func record(_ frames: [FilmFrame], to path: String, segment: UInt64? = nil) throws -> FilmWriter {
        let queue = try FilmQueue()
        let writer = try writer(path, queue, segment: segment)
        let thread = try start(writer)
        for frame in frames { try queue.put(frame) }
        queue.close()
        thread.join()
        if let failure = queue.failure { throw failure }
        return writer
    }

    @Test(arguments: [
        ("mkv", "mjpeg"), ("mp4", "mjpeg"), ("avi", "mjpeg"), ("mkv", "yuy2"), ("avi", "yuy2"), ("mkv", "nv12"), ("avi", "nv12"),
        ("mkv", "uyvy"), ("mkv", "i420"), ("avi", "i420"), ("mkv", "grey"), ("avi", "grey"),
    ]) func `every frame is in the film, unchanged and at its time`(_ type: String, _ format: String) throws {
        let place = try Place()
        let path = "\(place.folder)/film.\(type)"
        let frames = try frames(50, format: format)
        let parts = try record(frames, to: path).parts
        let film = try ProbedFilm(path)
        #expect(film.complaints.isEmpty, "\(film.complaints)")
        #expect(film.frames.map(\.hash) == frames.map { ProbedFilm.hash($0.bytes) })
        // AVI has places for thirty frames a second.
        let tolerance = type == "avi" ? 0.018 : 0.001
        let start = try #require(film.frames.first).time
        for (probed, frame) in zip(film.frames, frames) {
            #expect(abs(probed.time - start - Double(frame.time - frames[0].time) / 1e9) <= tolerance)
        }
        #expect(parts.map(\.frames) == [50] && parts.map(\.path) == [path])
        #expect(parts.first?.bytes == Int64(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? -1))
        #expect(place.files == ["film.\(type)"], "nothing else is written")
    }

    @Test func `what was coded before can be played from the first frame on`() throws {
        let place = try Place()
        let source = place.folder + "/source.h264"
        let made = try ProbedFilm.run([
            "/usr/bin/ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=128x96:rate=30", "-frames:v", "40", "-c:v", "libx264",
            "-g", "10", "-bf", "0", "-x264-params", "sliced-threads=0:aud=1", "-f", "h264", source,
        ])
        guard let bytes = FileManager.default.contents(atPath: source).map([UInt8].init), !bytes.isEmpty else {
            // This ffmpeg has no encoder: there is nothing to record.
            #expect(made.errors.contains("libx264"), "\(made.errors)")
            return
        }
        // An access unit delimiter begins each frame.
        let mark: [UInt8] = [0, 0, 0, 1, 9]
        let starts = bytes.indices.filter { bytes[$0...].starts(with: mark) } + [bytes.count]
        let form = StreamDescription(format: "h264", width: 128, height: 96, fps: 30)
        var coded = CodedVideo()
        let frames = try zip(starts, starts.dropFirst()).enumerated().map { index, range in
            try #require(
                FilmFrame(Array(bytes[range.0..<range.1]), of: form, at: 1_000_000_000 + UInt64(index) * 33_333_333, coded: &coded))
        }
        #expect(frames.count == 40 && frames.count(where: \.isKey) == 4)
        for type in ["mkv", "mp4"] {
            let path = "\(place.folder)/film.\(type)"
            _ = try record(frames, to: path, segment: 600_000_000)
            let decoded = try (0...1).map { number in
                try ProbedFilm.run([
                    "/usr/bin/ffmpeg", "-v", "error", "-i", FilmNames(path: path)[number], "-f", "framecrc", "-fps_mode", "passthrough",
                    "-",
                ])
            }
            #expect(decoded.allSatisfy { $0.errors.isEmpty }, "\(decoded.map(\.errors))")
            let counts = decoded.map { String(decoding: $0.output, as: UTF8.self).split(separator: "\n").count { !$0.hasPrefix("#") } }
            #expect(counts == [20, 20], "a file begins where a frame stands alone")
        }
    }

    @Test func `segments end between two frames, and none is lost`() throws {
        let place = try Place()
        let frames = try frames(100)
        let parts = try record(frames, to: place.folder + "/film.mkv", segment: 1_000_000_000).parts
        #expect(parts.count >= 4 && place.files == (1..<parts.count).map { "film-000\($0).mkv" } + ["film.mkv"])
        #expect(parts.allSatisfy { $0.seconds < 1 })
        let hashes = try parts.flatMap { try ProbedFilm($0.path).frames.map(\.hash) }
        #expect(hashes == frames.map { ProbedFilm.hash($0.bytes) })
    }

    @Test func `another form and a long pause go on in another file`() throws {
        let place = try Place()
        var frames = try frames(10) + frames(10, width: 96) + frames(10, width: 96)
        for index in 20..<30 { frames[index].time += 3_600_000_000_000 }
        let parts = try record(frames, to: place.folder + "/film.avi").parts
        #expect(parts.map(\.frames) == [10, 10, 10])
    }

    @Test func `a file that is there is never overwritten`() throws {
        let place = try Place()
        let taken = place.folder + "/film-0001.mkv"
        #expect(FileManager.default.createFile(atPath: taken, contents: Data("mine".utf8)))
        let parts = try record(try frames(60), to: place.folder + "/film.mkv", segment: 1_000_000_000).parts
        #expect(FileManager.default.contents(atPath: taken) == Data("mine".utf8))
        #expect(parts.dropFirst().first?.path.hasSuffix("film-0002.mkv") == true)
        #expect(throws: (any Error).self) { try record(try frames(2), to: taken) }
    }

    /// The process that has this file as its descriptor 3.
    private static func muxer(of path: String) -> Int32? {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap(Int32.init).first { pid in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/3")) == path
                && (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) == "userdriver-mux\n"
        }
    }

    @Test(arguments: ["mkv", "mp4", "avi"]) func `a muxer that is killed costs no frame, and what it wrote plays`(_ type: String) throws {
        let place = try Place()
        let queue = try FilmQueue()
        let writer = try writer("\(place.folder)/film.\(type)", queue)
        let thread = try start(writer)
        let frames = try frames(90)
        for death in 0..<2 {
            for frame in frames[death * 30..<(death + 1) * 30] { try queue.put(frame) }
            // Some of it is safe by now, and some may not be.
            let isSafe = writer.saved.wait { parts -> Bool? in parts.count > death ? true : nil }
            #expect(isSafe == true)
            let current = try #require(writer.parts.last?.path)
            kill(try #require(Self.muxer(of: current)), SIGKILL)
        }
        for frame in frames[60...] { try queue.put(frame) }
        queue.close()
        thread.join()
        #expect(queue.failure == nil)
        let parts = writer.parts
        #expect(parts.count == 3)
        var hashes: [String] = []
        for part in parts {
            let film = try ProbedFilm(part.path)
            #expect(film.complaints.isEmpty && film.frames.count == part.frames, "\(part): \(film.complaints)")
            hashes += film.frames.map(\.hash)
        }
        #expect(hashes == frames.map { ProbedFilm.hash($0.bytes) })
        #expect(said.withLock { $0 }.count { $0.hasPrefix("the muxer died (SIGKILL): continuing in ") } == 2)
    }

    @Test(arguments: ["/bin/false", "/nonexistent/userdriver-mux"]) func `a muxer that never works is said, and leaves no file`(
        _ program: String
    ) throws {
        let place = try Place()
        let queue = try FilmQueue()
        let thread = try start(try writer(place.folder + "/film.mkv", queue, program: program))
        for frame in try frames(3) {
            do { try queue.put(frame) } catch { break }
        }
        queue.close()
        thread.join()
        #expect(queue.failure != nil)
        #expect(place.files.isEmpty)
    }

    /// A muxer by itself, and what it is sent.
    private func mux(_ input: [UInt8], _ words: [String], into path: String) throws -> (end: ChildProcess.End?, report: String) {
        var ends: [Int32] = [-1, -1]
        var reports: [Int32] = [-1, -1]
        #expect(clinux_pipe(&ends) == 0 && clinux_pipe(&reports) == 0)
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        let child = try ChildProcess(
            path: try #require(ProbedFilm.muxer),
            .init(arguments: ["userdriver-mux"] + words, descriptors: [ends[0], reports[1], nil, file]))
        for descriptor in [ends[0], reports[1], file] { close(descriptor) }
        _ = input.withUnsafeBytes { Terminal.writeAll($0, to: ends[1]) }
        close(ends[1])
        var said: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = read(reports[0], &buffer, buffer.count), count > 0 { said += buffer[..<count] }
        close(reports[0])
        return (try child.wait(timeout: .seconds(60)), String(decoding: said, as: UTF8.self))
    }

    private func header(_ length: UInt32, _ flags: UInt32, _ time: Int64) -> [UInt8] {
        withUnsafeBytes(of: length.littleEndian, Array.init) + withUnsafeBytes(of: flags.littleEndian, Array.init)
            + withUnsafeBytes(of: time.littleEndian, Array.init)
    }

    @Test func `whatever a muxer is sent, it ends by itself`() throws {
        let place = try Place()
        let path = place.folder + "/film"
        let picture = try Picture(width: 64, height: 48, red: 1, green: 2, blue: 3).encoded(as: .jpeg(quality: 90))
        func frame(_ time: Int64, _ bytes: [UInt8], flags: UInt32 = 1) -> [UInt8] { header(UInt32(bytes.count), flags, time) + bytes }
        var random = SystemRandomNumberGenerator()
        let noise = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        let annexB: [UInt8] = [0, 0, 0, 1, 0x67] + noise[..<40] + [0, 0, 0, 1, 0x68] + noise[40..<60] + [0, 0, 0, 1, 0x65] + noise
        let inputs: [[UInt8]] = [
            [], [1, 2, 3], header(0, 0, 0), header(.max, 0, 0), header(100, 1, 0) + [1], frame(0, picture) + header(50, 1, 1),
            frame(.max, picture) + frame(.min, picture) + frame(0, picture),
            frame(0, picture) + frame(1 << 62, picture) + frame(5, picture),
            frame(0, noise) + frame(1, noise), frame(0, annexB, flags: 3) + frame(0, annexB) + frame(1, annexB),
            frame(0, [0], flags: 2) + frame(0, [0]), noise,
        ]
        for container in ["mkv", "mp4", "avi"] {
            for format in ["mjpeg", "h264", "h265", "yuy2", "nonsense"] {
                for (index, input) in inputs.enumerated() {
                    let (end, report) = try mux(input, [container, format, "64", "48", "30", "1", "0"], into: path)
                    guard case .exited(let status) = end else {
                        Issue.record("\(container) \(format) input \(index): \(String(describing: end)) \(report)")
                        continue
                    }
                    #expect(status == 0 || report.contains("failed "), "\(container) \(format) input \(index): \(report)")
                }
            }
        }
        #expect(try mux([], ["mkv"], into: path).end == .exited(status: 2))
        // Cut off in the middle of a frame: what came before plays.
        _ = try mux(
            frame(0, picture) + frame(40_000_000, picture) + header(50, 1, 1), ["mkv", "mjpeg", "64", "48", "30", "1", "0"], into: path)
        #expect(try ProbedFilm(path).frames.count == 2)
    }
}
