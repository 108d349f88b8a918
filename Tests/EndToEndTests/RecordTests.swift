// `userdriver record` and `snap --burst` against an emulated camera: what clients see is what the
// film holds.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

/// `record --stats json`'s last line.
private struct RecordFacts: Decodable {
    struct File: Decodable {
        var path: String
        var frames: Int
        var bytes: Int
        var seconds: Double
    }
    var frames: Int
    var lost: Int
    var torn: Int
    var restarts: Int
    var files: [File]
}

extension EndToEndTests {
    @Suite(
        .enabled(
            if: FileManager.default.isExecutableFile(atPath: Programs.folder + "/userdriver-mux")
                && FileManager.default.isExecutableFile(atPath: "/usr/bin/ffprobe"),
            "ffprobe or userdriver-mux is not there: run `make build-record`, and install ffmpeg"))
    struct Recordings {
        private struct Packet: Decodable, Hashable {
            var presentationTime: String
            var dataHash: String
            var time: Double { Double(presentationTime) ?? .nan }

            enum CodingKeys: String, CodingKey {
                case presentationTime = "pts_time"
                case dataHash = "data_hash"
            }
        }

        /// A film's frames, by ffprobe.
        private func probe(_ path: String) async throws -> [Packet] {
            struct Answer: Decodable { var packets: [Packet] }
            let result = try await Running(
                path: "/usr/bin/ffprobe", name: "ffprobe",
                arguments: [
                    "-v", "error", "-select_streams", "v:0", "-show_data_hash", "adler32", "-show_entries", "packet=pts_time,data_hash",
                    "-of", "json", path,
                ], environment: [:]
            ).finish()
            #expect(result.errors.isEmpty, "\(path): \(result.errors)")
            return try JSONDecoder().decode(Answer.self, from: result.output).packets
        }

        private static func hash(_ bytes: [UInt8]) -> String {
            var (a, b): (UInt32, UInt32) = (1, 0)
            for byte in bytes {
                a = (a + UInt32(byte)) % 65_521
                b = (b + a) % 65_521
            }
            let digits = String(b << 16 | a, radix: 16)
            return "adler32:" + String(repeating: "0", count: 8 - digits.count) + digits
        }

        /// Frames that another client got, by their bytes, with the camera's times in seconds.
        private actor Seen {
            var times: [(hash: String, time: Double)] = []
            func add(_ hash: String, _ time: UInt64) { times.append((hash, Double(time) / 1e9)) }
        }

        /// Watches the stream until it is cancelled.
        private func watch(_ bench: Bench, _ request: CameraRequest, into seen: Seen) -> Task<Void, any Error> {
            let client = bench.client
            return Task {
                for try await event in client.camera().frames(request) {
                    guard case .frame(let frame) = event, !frame.isDamaged, let bytes = frame.copy() else { continue }
                    await seen.add(Self.hash(bytes), frame.captured)
                }
            }
        }

        private static let form = CameraRequest(format: "mjpeg", width: 320, height: 240, fps: 30)
        private static let words = ["--format", "mjpeg", "--size", "320x240", "--fps", "30", "--stats", "json"]

        private func record(_ bench: Bench, _ arguments: [String]) throws -> Running {
            try Programs.start("userdriver", ["record"] + arguments + Self.words, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
        }

        /// The film has what the other client saw between its first and its last frame, at the same
        /// times; or each in the next place that is free, where a film has a place every so many
        /// seconds.
        private func compare(_ film: [Packet], _ seen: Seen, tolerance: Double, places: Double = 0) async throws {
            let all = await seen.times
            let times = Dictionary(all.map { ($0.hash, $0.time) }, uniquingKeysWith: { first, _ in first })
            let known = film.filter { times[$0.dataHash] != nil }
            let first = try #require(known.first)
            let last = try #require(known.last)
            let start = try #require(times[first.dataHash]) - first.time
            var free = -Double.infinity
            for packet in film {
                if let time = times[packet.dataHash] {
                    #expect(abs(packet.time + start - max(time, free)) <= tolerance, "\(packet)")
                }
                if places > 0 { free = packet.time + start + places }
            }
            let range = (times[first.dataHash] ?? 0)...(times[last.dataHash] ?? 0)
            let recorded = Set(film.map(\.dataHash))
            let missing = all.filter { range.contains($0.time) && !recorded.contains($0.hash) }
            #expect(missing.isEmpty, "frames that another client got: \(missing.count) of \(all.count)")
            #expect(known.count > film.count / 2, "the other client saw most of it")
        }

        @Test(arguments: ["mkv", "mp4", "avi"]) func `a film has the frames that were delivered, when they were`(type: String) async throws
        {
            let bench = try await Bench.start()
            let seen = Seen()
            let watcher = watch(bench, Self.form, into: seen)
            _ = try await bench.waitForDevice { $0.streams.contains { $0.frames > 5 } }
            let path = "\(bench.runtime)/film.\(type)"
            let result = try await record(bench, ["-o", path, "--duration", "3s"]).finish()
            watcher.cancel()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: RecordFacts.self)
            let film = try await probe(path)
            #expect(film.count == facts.frames && facts.frames > 0 && facts.torn == 0)
            #expect(facts.files.map(\.frames) == [facts.frames])
            // AVI has places for thirty frames a second: of frames that come in a burst, as from a
            // camera that was held up, each takes the next.
            try await compare(film, seen, tolerance: type == "avi" ? 0.034 : 0.0011, places: type == "avi" ? 1.0 / 30 : 0)
            try await bench.stop()
        }

        @Test func `ten deaths of the driver cost the film no frame that anybody got`() async throws {
            let bench = try await Bench.start()
            let seen = Seen()
            let watcher = watch(bench, Self.form, into: seen)
            let path = bench.runtime + "/film.mkv"
            let recorder = try record(bench, ["-o", path])
            var frames = 0
            var deaths = 0
            for try await event in bench.client.camera().frames(Self.form) {
                switch event {
                case .frame: frames += 1
                case .driverRestarted: frames = 0
                default: break
                }
                guard frames == 10 else { continue }
                guard deaths < 10 else { break }
                kill(try await bench.client.device().pid, SIGKILL)
                deaths += 1
                frames += 1
            }
            let result = try await recorder.stop(SIGINT)
            watcher.cancel()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: RecordFacts.self)
            let film = try await probe(path)
            #expect(film.count == facts.frames && facts.restarts == 10 && facts.torn == 0, "\(facts)")
            #expect(facts.files.count == 1, "it is one film")
            try await compare(film, seen, tolerance: 0.0011)
            try await bench.stop()
        }

        /// The only muxer that writes a file in this folder.
        private func muxer(in folder: String) -> Int32? {
            let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return entries.compactMap(Int32.init).first { pid in
                let comm = try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)
                return comm == "userdriver-mux\n"
                    && (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/3"))?.hasPrefix(folder) == true
            }
        }

        /// Returns once a file is as long as this; woken by each write.
        private func waitForFile(_ path: String, bytes: Int) async throws {
            try await offPool {
                let watcher = inotify_init1(Int32(IN_CLOEXEC))
                defer { close(watcher) }
                let folder = String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
                inotify_add_watch(watcher, folder, UInt32(IN_MODIFY | IN_CREATE))
                let deadline = ContinuousClock.now + .seconds(60)
                while true {
                    let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
                    if let size, size >= bytes { return }
                    guard ContinuousClock.now < deadline else { throw Timeout(what: path, seen: "\(size ?? -1) bytes") }
                    var entry = pollfd(fd: watcher, events: Int16(POLLIN), revents: 0)
                    poll(&entry, 1, 1000)
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    if entry.revents != 0 { _ = read(watcher, &buffer, buffer.count) }
                }
            }
        }

        @Test(arguments: ["mkv", "mp4", "avi"]) func `a recorder that is killed leaves a film that plays`(type: String) async throws {
            let bench = try await Bench.start()
            let path = "\(bench.runtime)/film.\(type)"
            let recorder = try record(bench, ["-o", path])
            try await waitForFile(path, bytes: 300_000)
            let finisher = Witness(of: try #require(muxer(in: bench.runtime)))
            _ = try await recorder.stop(SIGKILL)
            // It finishes the film by itself.
            try await finisher.ended()
            #expect(try await probe(path).count > 5)
            try await bench.stop()
        }

        @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func `a signal ends the film, and is no failure`(signal: Int32) async throws {
            let bench = try await Bench.start()
            let path = bench.runtime + "/film.mp4"
            let recorder = try record(bench, ["-o", path, "--until-stopped"])
            try await waitForFile(path, bytes: 100_000)
            let result = try await recorder.stop(signal)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: RecordFacts.self)
            #expect(try await probe(path).count == facts.frames)
            try await bench.stop()
        }

        @Test func `a muxer that is killed costs the recording no frame`() async throws {
            let bench = try await Bench.start()
            let path = bench.runtime + "/film.mkv"
            let recorder = try record(bench, ["-o", path])
            try await waitForFile(path, bytes: 1)
            // The muxer says each second what is safe. One that dies before it has said so once has
            // its film begun anew, under the same name.
            var frames = 0
            for try await event in bench.client.camera().frames(Self.form) {
                if case .frame = event { frames += 1 }
                if frames == 90 { break }
            }
            kill(try #require(muxer(in: bench.runtime)), SIGKILL)
            try await waitForFile(bench.runtime + "/film-0001.mkv", bytes: 100_000)
            let result = try await recorder.stop(SIGINT)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(result.errors.contains("continuing in"), "\(result.errors)")
            let facts = try result.lastLine(as: RecordFacts.self)
            let counts = [try await probe(path).count, try await probe(bench.runtime + "/film-0001.mkv").count]
            #expect(counts.reduce(0, +) == facts.frames && facts.files.map(\.frames) == counts)
            try await bench.stop()
        }

        @Test(.enabled(if: geteuid() == 0, "a small file system is mounted by root"), arguments: ["mkv", "mp4", "avi"])
        func `a full disk is said, and what was saved plays`(type: String) async throws {
            let bench = try await Bench.start()
            let folder = bench.runtime + "/small"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            // Only those who are born in there see the small file system; what is left of it is
            // copied out.
            let script = """
                mount -t tmpfs -o size=1m none \(folder) && \
                \(Programs.folder)/userdriver record -o \(folder)/film.\(type) \(Self.words.joined(separator: " "))
                status=$?; cp \(folder)/* \(bench.runtime)/; exit $status
                """
            let result = try await Running(
                path: "/usr/bin/unshare", name: "unshare", arguments: ["-m", "--propagation", "private", "/bin/bash", "-c", script],
                environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime]
            ).finish()
            #expect(result.status == .exited(status: 1), "\(result.errors)")
            #expect(result.errors.contains("the disk is full. ") && result.errors.contains("film.\(type) plays: "), "\(result.errors)")
            let facts = try result.lastLine(as: RecordFacts.self)
            let film = try await probe("\(bench.runtime)/film.\(type)")
            #expect(film.count == facts.files.first?.frames && film.count > 5)
            try await bench.stop()
        }

        @Test func `files that may not grow are followed by others`() async throws {
            let bench = try await Bench.start()
            let script = """
                ulimit -f 400; exec \(Programs.folder)/userdriver record -o \(bench.runtime)/film.mkv \(Self.words.joined(separator: " "))
                """
            let recorder = try Running(
                path: "/bin/bash", name: "bash", arguments: ["-c", script], environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
            try await waitForFile(bench.runtime + "/film-0002.mkv", bytes: 1000)
            let result = try await recorder.stop(SIGINT)
            let facts = try result.lastLine(as: RecordFacts.self)
            #expect(facts.files.count >= 3 && facts.files.allSatisfy { $0.bytes <= 400 * 1024 })
            var count = 0
            for file in facts.files { count += try await probe(file.path).count }
            #expect(count == facts.frames)
            try await bench.stop()
        }

        @Test func `what can't be recorded is refused before a file is touched`() async throws {
            let bench = try await Bench.start()
            let path = bench.runtime + "/film.mp4"
            try Data("mine".utf8).write(to: URL(fileURLWithPath: path))
            let taken = try await bench.userdriver("record", "-o", path)
            #expect(taken.status == .exited(status: 1) && taken.errors.contains("--force"), "\(taken.errors)")
            let raw = try await bench.userdriver("record", "-o", path, "--force", "--format", "yuy2")
            #expect(raw.status == .exited(status: 2) && raw.errors.contains("film.mkv"), "\(raw.errors)")
            let nowhere = try await bench.userdriver("record", "-o", "/nonexistent/film.mkv")
            #expect(nowhere.status == .exited(status: 1) && nowhere.errors.contains("/nonexistent/film.mkv"), "\(nowhere.errors)")
            #expect(FileManager.default.contents(atPath: path) == Data("mine".utf8))
            try await bench.stop()
        }
    }

    @Suite struct PictureSeries {
        @Test func `a burst is frames that follow each other, and a series keeps its rhythm`() async throws {
            let bench = try await Bench.start()
            let burst = try await bench.userdriver("snap", "-o", bench.runtime + "/b-%02d.jpg", "--format", "mjpeg", "--burst", "12")
            #expect(burst.status == .exited(status: 0), "\(burst.errors)")
            let series = try await bench.userdriver(
                "snap", "-o", bench.runtime + "/s-%d.png", "--burst", "3", "--interval", "300ms", "--size", "320x240")
            #expect(series.status == .exited(status: 0), "\(series.errors)")
            let names = try FileManager.default.contentsOfDirectory(atPath: bench.runtime).sorted().filter { $0.contains("-") }
            #expect(names == (1...12).map { $0 < 10 ? "b-0\($0).jpg" : "b-\($0).jpg" } + (1...3).map { "s-\($0).png" })
            let pictures = names.map { FileManager.default.contents(atPath: bench.runtime + "/" + $0) }
            #expect(Set(pictures).count == 15, "no picture is there twice")
            try await bench.stop()
        }
    }
}
