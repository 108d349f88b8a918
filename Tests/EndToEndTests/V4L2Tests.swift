// Ordinary programs see the camera as /dev/videoN, through the library that `userdriver v4l2` loads
// into them.

import CLinux
import Foundation
import Glibc
import Spawn
import Synchronization
import Testing
import UserDriverClient
import Wire

/// What there is to test with.
enum V4L2Programs {
    static let libraryIsBuilt = FileManager.default.fileExists(atPath: Programs.folder + "/userdriver-v4l2.so")

    static func has(_ program: String) -> Bool { access("/usr/bin/" + program, X_OK) == 0 }
}

extension EndToEndTests {
    @Suite(.enabled(if: V4L2Programs.libraryIsBuilt, "userdriver-v4l2.so is not built: run make build"))
    struct V4L2 {
        /// The test's own program, beside the tests.
        private static let client: String = {
            var path = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink("/proc/self/exe", &path, path.count)
            let test = String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return test[..<(test.lastIndex(of: "/") ?? test.startIndex)] + "/v4l2-client"
        }()

        private func start(_ bench: Bench, _ program: [String], options: [String] = []) throws -> Running {
            try Programs.start("userdriver", ["v4l2"] + options + ["--"] + program, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
        }

        private func run(_ bench: Bench, _ program: String..., options: [String] = []) async throws -> Programs.Result {
            try await start(bench, program, options: options).finish(timeout: .seconds(120))
        }

        /// One line of the client's: how many pictures it took, how many numbers were missing, how
        /// many pictures were not whole.
        private struct Taken: Equatable {
            var pictures: Int
            var missing: UInt64
            var spoiled: Int

            static func all(in text: String) -> [Taken] {
                text.split(separator: "\n").compactMap { line in
                    let words = line.split(separator: " ")
                    guard words.count == 6, words[0] == "pictures", let pictures = Int(words[1]), let missing = UInt64(words[3]),
                        let spoiled = Int(words[5])
                    else { return nil }
                    return Taken(pictures: pictures, missing: missing, spoiled: spoiled)
                }
            }
        }

        private static let form = CameraRequest(format: "mjpeg", width: 640, height: 480, fps: 30)

        // MARK: - The library, by a program that says what it gets

        @Test(arguments: ["block", "poll", "select", "epoll", "edge"])
        func `pictures come whole and without a gap, however they are waited for`(how: String) async throws {
            let bench = try await Bench.start()
            let (result, lost) = try await bench.losses(in: Self.form) {
                try await run(bench, Self.client, "stream", "/dev/video0", "60", how, "mjpeg", "640", "480")
            }
            let taken = try #require(Taken.all(in: result.text).first, "\(result.text)\(result.errors)")
            #expect(taken.pictures == 60 && taken.spoiled == 0)
            #expect(taken.missing <= lost, "\(result.text)")
            #expect(!result.text.contains("says nothing"), "\(result.text)")
            try await bench.stop()
        }

        @Test func `descriptors are duplicated, and mean something else once they are replaced`() async throws {
            let bench = try await Bench.start()
            let result = try await run(bench, Self.client, "dup", "/dev/video0")
            #expect(Taken.all(in: result.text).map(\.pictures) == [5], "\(result.text)\(result.errors)")
            #expect(
                result.text.contains("replaced 1 0\nno camera yes") || result.text.contains("replaced 1 1\nno camera yes"), "\(result.text)"
            )
            try await bench.stop()
        }

        @Test func `a process that was forked off streams by itself, and leaves its parent's stream alone`() async throws {
            let bench = try await Bench.start()
            let result = try await run(bench, Self.client, "fork", "/dev/video0")
            #expect(Taken.all(in: result.text).map(\.pictures) == [5, 5], "\(result.text)\(result.errors)")
            #expect(result.text.contains("a parent's buffers: Device or resource busy\nasks yes"), "\(result.text)")
            try await bench.stop()
        }

        @Test func `a process that shares memory until it executes another closes nothing of its parent's`() async throws {
            let bench = try await Bench.start()
            let result = try await run(bench, Self.client, "vfork", "/dev/video0")
            #expect(Taken.all(in: result.text).map(\.pictures) == [5], "\(result.text)\(result.errors)")
            try await bench.stop()
        }

        @Test func `one size after the other can be had without a pause`() async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50"])
            let result = try await run(bench, Self.client, "change", "/dev/video0")
            let taken = Taken.all(in: result.text)
            #expect(taken.map(\.pictures) == [2, 2, 2, 2, 2, 2], "\(result.text)\(result.errors)")
            #expect(taken.allSatisfy { $0.spoiled == 0 })
            try await bench.stop()
        }

        @Test func `pictures can be read, in pieces`() async throws {
            let bench = try await Bench.start()
            let result = try await run(bench, Self.client, "read", "/dev/video0")
            #expect(result.text == String(repeating: "read 1000 152600\n", count: 3), "\(result.text)\(result.errors)")
            try await bench.stop()
        }

        @Test func `what can't be is refused as the kernel refuses it`() async throws {
            let bench = try await Bench.start()
            let result = try await run(bench, Self.client, "refuse", "/dev/video0")
            let expected = [
                "QBUF \(EINVAL)", "STREAMON \(EINVAL)", "EXPBUF \(ENOTTY)", "null \(EFAULT)", "beyond \(EINVAL)", "S_FMT \(EBUSY)",
                "stopped \(EINVAL)", "waited \(EINVAL)", "device 1",
            ]
            #expect(result.text.split(separator: "\n").map(String.init) == expected, "\(result.errors)")
            try await bench.stop()
        }

        @Test func `a control's change is an urgent event`() async throws {
            let bench = try await Bench.start()
            let result = try await run(bench, Self.client, "events", "/dev/video0")
            #expect(result.text == "before 0\nafter 1 urgent\nbrightness 7\ntaken 0\n", "\(result.errors)")
            #expect(try await bench.client.camera().control("brightness").value == 7)
            try await bench.stop()
        }

        @Test func `a second program may have what streams already, and is told that it can't have another size`() async throws {
            let bench = try await Bench.start()
            let first = try start(bench, [Self.client, "stream", "/dev/video0", "300", "poll", "mjpeg", "640", "480"])
            try await first.waitForOutput { $0.contains("streaming") }
            let other = try await run(bench, Self.client, "stream", "/dev/video0", "5", "poll", "mjpeg", "320", "240")
            #expect(other.status == .exited(status: 1))
            #expect(other.text == "STREAMON: Device or resource busy\n")
            #expect(other.errors.hasPrefix("userdriver: /dev/video0: The device is streaming"), "\(other.errors)")
            let same = try await run(bench, Self.client, "stream", "/dev/video0", "5", "poll", "mjpeg", "640", "480")
            #expect(Taken.all(in: same.text).map(\.pictures) == [5], "\(same.text)\(same.errors)")
            let taken = Taken.all(in: try await first.finish().text)
            #expect(taken.map(\.pictures) == [300] && taken.allSatisfy { $0.spoiled == 0 })
            try await bench.stop()
        }

        @Test func `a camera that does not come back is no device any more`() async throws {
            let bench = try await Bench.start()
            let program = try start(
                bench, [Self.client, "stream", "/dev/video0", "100000", "poll", "mjpeg", "640", "480"], options: ["--patience", "200ms"])
            try await program.waitForOutput { $0.contains("streaming") }
            _ = try await bench.emulator?.stop(SIGKILL)
            let result = try await program.finish()
            #expect(result.text.contains("DQBUF: No such device"), "\(result.text)\(result.errors)")
            #expect(result.errors.hasPrefix("userdriver: /dev/video0: "), "\(result.errors)")
            try await bench.stopDaemon()
            try FileManager.default.removeItem(atPath: bench.runtime)
        }

        // MARK: - Deaths

        /// Ends the driver `times` times, each after thirty frames of its own.
        private func endDriver(of bench: Bench, times: Int) async throws {
            var (frames, ended) = (0, 0)
            for try await event in bench.client.camera().frames() {
                switch event {
                case .frame: frames += 1
                case .driverRestarted: frames = 0
                default: break
                }
                guard frames == 30 else { continue }
                guard ended < times else { break }
                kill(try await bench.client.device().pid, SIGKILL)
                ended += 1
                frames += 1
            }
        }

        /// The library may miss no frame that the ring had; that the ring had all of them is for
        /// other tests, and for a machine that is not too busy.
        @Test(.timeLimit(.minutes(5))) func `no program ends, and no picture is missing, through ten deaths of the driver`() async throws {
            let bench = try await Bench.start()
            let (result, lost) = try await bench.losses(in: Self.form) {
                let client = try start(bench, [Self.client, "stream", "/dev/video0", "700", "poll", "mjpeg", "640", "480"])
                var others: [(name: String, running: Running)] = []
                if V4L2Programs.has("ffmpeg") {
                    let words = ["ffmpeg", "-v", "error", "-f", "v4l2", "-input_format", "mjpeg", "-i", "/dev/video0", "-frames:v", "500"]
                    others.append(("ffmpeg", try start(bench, words + ["-c", "copy", "-f", "framecrc", "-"])))
                }
                if V4L2Programs.has("gst-launch-1.0") {
                    let form = "image/jpeg,width=640,height=480,framerate=30/1"
                    let words = ["gst-launch-1.0", "-q", "v4l2src", "device=/dev/video0", "num-buffers=500", "!", form, "!", "fakesink"]
                    others.append(("gst", try start(bench, words)))
                }
                try await client.waitForOutput { $0.contains("streaming") }
                try await endDriver(of: bench, times: 10)
                for (name, running) in others {
                    let result = try await running.finish()
                    #expect(result.status == .exited(status: 0), "\(name): \(result.errors)")
                    if name == "ffmpeg" { #expect(result.text.split(separator: "\n").count { !$0.hasPrefix("#") } == 500) }
                }
                return try await client.finish()
            }
            #expect(result.status == .exited(status: 0))
            #expect(result.errors.isEmpty, "\(result.errors)")
            let taken = try #require(Taken.all(in: result.text).first, "\(result.text)")
            #expect(taken.pictures == 700 && taken.spoiled == 0)
            #expect(taken.missing <= lost, "\(result.text)")
            #expect(try await bench.client.crashes().count >= 10)
            try await bench.stop()
        }

        // MARK: - Ordinary programs

        @Test(.enabled(if: V4L2Programs.has("v4l2-ctl"), "v4l2-ctl is not installed"))
        func `v4l2-ctl lists, streams and sets`() async throws {
            let bench = try await Bench.start()
            let list = try await run(bench, "v4l2-ctl", "--list-devices")
            #expect(list.text.contains("UserDriver Emulated Webcam (usb-1209:0001:EMU0001):\n\t/dev/video0"), "\(list.text)\(list.errors)")
            let formats = try await run(bench, "v4l2-ctl", "-d", "/dev/video0", "--list-formats-ext")
            let offered = try await bench.client.camera().formats()
            #expect(formats.text.components(separatedBy: "Size: Discrete").count - 1 == offered.count)
            #expect(formats.text.components(separatedBy: "Interval: Discrete").count - 1 == offered.reduce(0) { $0 + $1.fps.count })
            let stream = try await run(bench, "v4l2-ctl", "--stream-mmap", "--stream-count=30", "--stream-to=/dev/null")
            #expect(stream.status == .exited(status: 0), "\(stream.errors)")
            let set = try await run(bench, "v4l2-ctl", "--set-ctrl=contrast=61", "--get-ctrl=contrast,auto_exposure")
            #expect(set.text.hasPrefix("contrast: 61\nauto_exposure: 3"), "\(set.text)\(set.errors)")
            #expect(try await bench.client.camera().control("contrast").value == 61)
            try await bench.stop()
        }

        @Test(.enabled(if: V4L2Programs.has("v4l2-compliance"), "v4l2-compliance is not installed"))
        func `v4l2-compliance finds two things, both meant`() async throws {
            let bench = try await Bench.start()
            let result = try await run(bench, "v4l2-compliance", "-d", "/dev/video0", "-s")
            // A format's words change with kernels; and two files of one camera may both stream
            // here.
            let meant = ["fmtdesc.description mismatch", "q2.reqbufs(node->node2, 1) != EBUSY"]
            let found = result.text.split(separator: "\n").filter { $0.contains("fail:") }
            #expect(found.allSatisfy { line in meant.contains(where: line.contains) }, "\(result.text)")
            #expect(result.text.contains("Total for userdriver device /dev/video0"))
            try await bench.stop()
        }

        @Test(
            .enabled(if: V4L2Programs.has("ffmpeg"), "ffmpeg is not installed"), arguments: [("mjpeg", "1280x720"), ("yuyv422", "320x240")])
        func `ffmpeg takes pictures`(format: String, size: String) async throws {
            let bench = try await Bench.start()
            let result = try await run(
                bench, "ffmpeg", "-v", "error", "-f", "v4l2", "-input_format", format, "-video_size", size, "-i", "/dev/video0",
                "-frames:v", "10", "-c", "copy", "-f", "framecrc", "-")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(result.text.split(separator: "\n").count { !$0.hasPrefix("#") } == 10, "\(result.text)")
            #expect(result.text.contains("#dimensions 0: \(size)"), "\(result.text)")
            try await bench.stop()
        }

        @Test(.enabled(if: V4L2Programs.has("gst-launch-1.0"), "GStreamer is not installed"), arguments: ["0", "1"])
        func `GStreamer takes pictures, with libv4l2 and without`(libv4l2: String) async throws {
            let bench = try await Bench.start()
            let result = try await run(
                bench, "env", libv4l2 == "1" ? "GST_V4L2_USE_LIBV4L2=1" : "NOTHING=", "gst-launch-1.0", "-q", "v4l2src",
                "device=/dev/video0", "num-buffers=20", "!", "video/x-raw,format=YUY2,width=320,height=240", "!", "fakesink")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(!result.errors.contains("ERROR"), "\(result.errors)")
            try await bench.stop()
        }

        @Test(.enabled(if: V4L2Programs.has("fswebcam"), "fswebcam is not installed"))
        func `fswebcam takes a picture`() async throws {
            let bench = try await Bench.start()
            let picture = bench.runtime + "/picture.jpg"
            let result = try await run(bench, "fswebcam", "-q", "-d", "/dev/video0", "-r", "640x480", "--no-banner", picture)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(FileManager.default.contents(atPath: picture)?.starts(with: [0xff, 0xd8]) == true)
            try await bench.stop()
        }

        // MARK: - The command

        @Test func `a program sees the nodes and their files, and its status is the command's`() async throws {
            let bench = try await Bench.start()
            let script = """
                ls /dev/video* && cat /sys/class/video4linux/video0/name /sys/class/video4linux/video0/dev \
                && test -c /dev/video0 && test -r /dev/video0 && ! test -e /dev/video77; echo $?; exit 7
                """
            let result = try await run(bench, "sh", "-c", script)
            #expect(result.text == "/dev/video0\nUserDriver Emulated Webcam\n81:0\n0\n", "\(result.text)\(result.errors)")
            #expect(result.status == .exited(status: 7))
            try await bench.stop()
        }

        @Test func `what can't be run is said, with the other verbs' statuses`() async throws {
            let bench = try await Bench.start()
            let cases: [(words: [String], status: Int32, says: String)] = [
                ([], 2, "Which program?"), (["--"], 2, "Which program?"), (["--", "nonsense"], 1, "There is no program nonsense"),
                (["--", "/etc/passwd"], 4, "is not executable"), (["-d", "nix", "--", "true"], 3, "No device is called"),
                (["--patience", "4000", "--", "true"], 2, "--patience"),
            ]
            for one in cases {
                let result = try await Programs.run(
                    "userdriver", ["v4l2"] + one.words, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
                #expect(result.status == .exited(status: one.status), "\(one.words): \(result.errors)")
                #expect(result.errors.contains(one.says), "\(one.words): \(result.errors)")
                #expect(result.output.isEmpty)
            }
            try await bench.stop()
            let empty = try await Bench.startWithoutDevices()
            let none = try await Programs.run("userdriver", ["v4l2", "--", "true"], environment: ["USERDRIVER_RUNTIME_DIR": empty.runtime])
            #expect(none.status == .exited(status: 3) && none.errors.contains("There is no camera"), "\(none.errors)")
            try await empty.stop()
            let alone = try await Programs.run(
                "userdriver", ["v4l2", "--", "true"], environment: ["USERDRIVER_RUNTIME_DIR": "/nonexistent"])
            #expect(alone.status == .exited(status: 1) && alone.errors.contains("not running"), "\(alone.errors)")
        }

        @Test func `the library is libc's guest: no other library, no name that is not libc's or libv4l2's`() async throws {
            let library = Programs.folder + "/userdriver-v4l2.so"
            let needed = try await Running(path: "/usr/bin/readelf", name: "readelf", arguments: ["-d", library], environment: [:]).finish()
            let libraries = needed.text.split(separator: "\n").filter { $0.contains("(NEEDED)") }
            #expect(libraries.count == 1 && libraries[0].contains("libc.so.6"), "\(libraries)")
            let symbols = try await Running(
                path: "/usr/bin/readelf", name: "readelf", arguments: ["--dyn-syms", "-W", library], environment: [:]
            ).finish()
            for line in symbols.text.split(separator: "\n") where line.contains(" GLOBAL DEFAULT ") && !line.contains(" UND ") {
                let name = try #require(line.split(separator: " ").last.map(String.init))
                #expect(name.hasPrefix("v4l2_") || dlsym(nil, name) != nil || name.hasPrefix("__"), "\(name)")
            }
        }
    }
}
