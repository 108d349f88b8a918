// Programs of a session see the camera through PipeWire.

import CLinux
import Foundation
import Glibc
import Pictures
import Spawn
import Synchronization
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite(
        .serialized, .enabled(if: PipeWirePrograms.isBuilt, "userdriver-pipewire is not built: run make build-pipewire"),
        .enabled(if: PipeWirePrograms.areInstalled, "PipeWire, WirePlumber and GStreamer's plugin are not all installed"))
    struct PipeWire {
        /// What the camera wrote into a recording's pictures; an issue for each that is not whole.
        private func stamps(_ pictures: [Data], _ format: String) -> [FrameStamp] {
            pictures.enumerated().compactMap { index, picture in
                let reading = picture.withUnsafeBytes { FrameStamp.read(format: format, bytes: $0) }
                guard case .whole(let stamp) = reading else {
                    Issue.record("picture \(index) of \(pictures.count) is not whole: \(reading)")
                    return nil
                }
                return stamp
            }
        }

        /// How many of the camera's pictures a recording lacks in its middle.
        private func missing(_ stamps: [FrameStamp]) -> UInt64 {
            zip(stamps, stamps.dropFirst()).reduce(0) { $0 + $1.0.framesMissing(before: $1.1) }
        }

        // MARK: - What programs find

        @Test func `a camera has two nodes, with what it can do`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let (raw, jpeg) = (try await session.node(PipeWireSession.raw), try await session.node(PipeWireSession.jpeg))
            #expect(raw.properties["media.class"] == "Video/Source" && raw.properties["media.role"] == "Camera")
            #expect(raw.properties["node.description"] == "UserDriver Emulated Webcam")
            #expect(raw.properties["device.vendor.id"] == "0x1209" && raw.properties["device.product.id"] == "0x0001")
            // Lists of cameras are made of what has the role.
            #expect(jpeg.properties["media.class"] == "Video/Source" && jpeg.properties["media.role"] == nil)
            let offered = try await bench.client.camera().formats()
            #expect(Set(jpeg.formats) == Set(offered.filter { $0.format == "mjpeg" }.map { "mjpg \($0.width)x\($0.height)" }))
            for (name, theirs) in [("yuy2", "YUY2"), ("nv12", "NV12")] {
                let sizes = offered.filter { $0.format == name }.map { "\(theirs) \($0.width)x\($0.height)" }
                #expect(!sizes.isEmpty && Set(raw.formats.filter { $0.hasPrefix(theirs) }) == Set(sizes))
            }
            // Sizes that the camera has in MJPEG only are there all the same.
            #expect(raw.formats.contains("I420 1280x720"))
            let brightness = try #require(raw.controls["brightness"]?["type"] as? [String: Any])
            #expect(brightness["min"] as? Int == -64 && brightness["max"] as? Int == 64 && brightness["default"] as? Int == 0)
            #expect(raw.controls["brightness"]?["id"] as? String == "brightness")
            #expect(raw.controls["power_line_frequency"]?["params"] as? Bool == true)
            #expect(raw.values["contrast"] == 50 && raw.values["power_line_frequency"] == 1)
            // Nobody watches, so the camera rests.
            #expect(try await bench.client.device().streams.allSatisfy { $0.clients == 0 })
            try await session.stop()
        }

        @Test func `controls are set by number and by name, and shown as they then are`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let id = try await session.node(PipeWireSession.raw).id
            let monitor = try session.start("pw-dump", "--monitor", "--no-colors")
            let set = "{ brightness: 17, params: [ \"power_line_frequency\" 2 \"nonsense\" 7 ] }"
            _ = try await session.start("pw-cli", "set-param", "\(id)", "Props", set).finish()
            try await monitor.waitForOutput { $0.contains("\"brightness\": 17") && $0.contains("\"power_line_frequency\",\n") }
            _ = try await session.start("pw-cli", "set-param", "\(id)", "Props", "{ contrast: 999999, gain: 33.0 }").finish()
            try await monitor.waitForOutput { $0.contains("\"gain\": 33") }
            _ = try await monitor.stop()
            let camera = bench.client.camera()
            #expect(try await camera.control("brightness").value == 17)
            #expect(try await camera.control("power_line_frequency").value == 2)
            // What can't be is refused and said.
            #expect(try await camera.control("contrast").value == 50)
            #expect(try await session.node(PipeWireSession.jpeg).values["power_line_frequency"] == 2)
            #expect(session.surface.errors.contains("contrast was not set to 999999"))
            try await session.stop()
        }

        // MARK: - Pictures

        @Test(arguments: [("NV12", 640, 480), ("YUY2", 320, 240)])
        func `uncompressed pictures are the camera's, each one whole`(format: String, width: Int, height: Int) async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let caps = "video/x-raw,format=\(format),width=\(width),height=\(height),framerate=30/1"
            let result = try await session.record(PipeWireSession.raw, caps, count: 100, to: "pictures").finish()
            #expect(result.status == .exited(status: 0) && !result.errors.contains("ERROR"), "\(result.errors)")
            let stamps = stamps(try session.pictures(of: "pictures"), format)
            #expect(stamps.count == 100)
            #expect(zip(stamps, stamps.dropFirst()).allSatisfy { $0.number < $1.number })
            // The camera stops with the last program.
            try await bench.waitForDevice { $0.streams.allSatisfy { $0.clients == 0 } }
            try await session.stop()
        }

        @Test func `JPEGs are the camera's, byte for byte`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let result = try await session.record(
                PipeWireSession.jpeg, "image/jpeg,width=640,height=480,framerate=30/1", count: 100, to: "pictures"
            ).finish()
            #expect(result.status == .exited(status: 0) && !result.errors.contains("ERROR"), "\(result.errors)")
            #expect(stamps(try session.pictures(of: "pictures"), "mjpeg").count == 100)
            try await session.stop()
        }

        @Test func `H.264 has a node of its own, and is the camera's, byte for byte`() async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50", "--h264"])
            let session = try await PipeWireSession.start(bench)
            try await session.waitForNodes([PipeWireSession.h264])
            let node = try await session.node(PipeWireSession.h264)
            #expect(node.properties["media.class"] == "Video/Source" && node.properties["media.role"] == nil)
            let offered = try await bench.client.camera().formats().filter { $0.format == "h264" }
            #expect(!offered.isEmpty && Set(node.formats) == Set(offered.map { "h264 \($0.width)x\($0.height)" }))
            let caps = "video/x-h264,stream-format=byte-stream,alignment=au,width=320,height=240,framerate=30/1"
            let result = try await session.record(PipeWireSession.h264, caps, count: 60, to: "pictures").finish()
            #expect(result.status == .exited(status: 0) && !result.errors.contains("ERROR"), "\(result.errors)")
            #expect(stamps(try session.pictures(of: "pictures"), "h264").count == 60)
            try await session.stop()
        }

        @Test func `what the camera has in MJPEG only is decoded for who wants it uncompressed`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let caps = "video/x-raw,format=I420,width=1280,height=720"
            let result = try await session.record(PipeWireSession.raw, caps, count: 30, to: "pictures").finish()
            #expect(result.status == .exited(status: 0) && !result.errors.contains("ERROR"), "\(result.errors)")
            let pictures = try session.pictures(of: "pictures")
            #expect(pictures.count == 30)
            // The same picture as the camera's JPEG has it.
            let frame = try await bench.userdriver("snap", "--format", "mjpeg", "--size", "1280x720", "-o", session.folder + "/one.jpg")
            #expect(frame.status == .exited(status: 0), "\(frame.errors)")
            let jpeg = try #require(FileManager.default.contents(atPath: session.folder + "/one.jpg"))
            let expected = try Picture(jpeg: [UInt8](jpeg)).bytes(as: .i420)
            let seen = [UInt8](try #require(pictures.last))
            #expect(seen.count == expected.count)
            // The emulated camera's picture moves in a few places only.
            let near = zip(seen, expected).count { abs(Int($0) - Int($1)) <= 8 }
            #expect(near * 10 > expected.count * 7, "\(near) of \(expected.count) samples are near")
            try await session.stop()
        }

        @Test func `several programs share a camera, and one size follows the other`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let caps = "image/jpeg,width=640,height=480,framerate=30/1"
            let programs = try (0..<3).map { try session.record(PipeWireSession.jpeg, caps, count: 90, to: "program\($0)") }
            for (index, program) in programs.enumerated() {
                let result = try await program.finish()
                #expect(result.status == .exited(status: 0), "\(result.errors)")
                #expect(stamps(try session.pictures(of: "program\(index)"), "mjpeg").count == 90)
            }
            for (width, height) in [(1280, 720), (320, 240), (640, 480)] {
                let other = "image/jpeg,width=\(width),height=\(height)"
                let result = try await session.record(PipeWireSession.jpeg, other, count: 10, to: "w\(width)").finish()
                #expect(result.status == .exited(status: 0), "\(result.errors)")
                #expect(stamps(try session.pictures(of: "w\(width)"), "mjpeg").count == 10)
            }
            try await session.stop()
        }

        @Test func `a program that is stopped keeps nobody from the pictures, and gets whole ones when it goes on`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let caps = "image/jpeg,width=640,height=480,framerate=30/1"
            let stopped = try session.record(PipeWireSession.jpeg, caps, count: 60, to: "stopped")
            try await session.waitForPictures(10, of: "stopped")
            kill(stopped.pid, SIGSTOP)
            let result = try await session.record(PipeWireSession.jpeg, caps, count: 90, to: "other").finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let others = stamps(try session.pictures(of: "other"), "mjpeg")
            #expect(others.count == 90)
            // The first pictures may have been waited for in vain.
            #expect(missing(others) <= 10, "\(missing(others)) of its pictures are missing")
            kill(stopped.pid, SIGCONT)
            let end = try await stopped.finish()
            #expect(end.status == .exited(status: 0), "\(end.errors)")
            #expect(stamps(try session.pictures(of: "stopped"), "mjpeg").count == 60)
            try await session.stop()
        }

        @Test func `a program that wants another size than the one that streams elsewhere has its pictures once that has ended`()
            async throws
        {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let elsewhere = try session.record(PipeWireSession.jpeg, "image/jpeg,width=1280,height=720", count: 10_000, to: "elsewhere")
            try await session.waitForPictures(5, of: "elsewhere")
            let program = try session.record(PipeWireSession.raw, "video/x-raw,format=NV12,width=320,height=240", count: 30, to: "pictures")
            try await session.surface.waitForOutput(errors: true) { $0.contains("is not streaming") }
            #expect(session.surface.errors.contains("1280"), "\(session.surface.errors)")
            #expect(try session.pictures(of: "pictures").isEmpty)
            _ = try await elsewhere.stop(SIGKILL)
            let result = try await program.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(stamps(try session.pictures(of: "pictures"), "nv12").count == 30)
            try await session.stop()
        }

        @Test func `who watches is told by name, and can be cut off`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let caps = "image/jpeg,width=640,height=480,framerate=30/1"
            let stayer = try session.record(PipeWireSession.jpeg, caps, count: 300, to: "stayer")
            let guest = try session.record(PipeWireSession.jpeg, caps, count: 100_000, to: "guest")
            try await session.waitForPictures(10, of: "stayer")
            try await session.waitForPictures(10, of: "guest")
            let device = try await bench.waitForDevice { $0.viewers?.count == 2 }
            #expect(Set(device.viewers?.map(\.pid) ?? []) == [stayer.pid, guest.pid])
            #expect(
                device.viewers?.allSatisfy { $0.through == "userdriver-pipe" && $0.program.hasPrefix("gst-launch") } == true, "\(device)")
            let listed = try await bench.userdriver("watchers")
            #expect(listed.text.contains("\(guest.pid)") && listed.text.contains("userdriver-pipe"), "\(listed.text)")
            let revoked = try await bench.userdriver("revoke", "\(guest.pid)")
            #expect(revoked.status == .exited(status: 0), "\(revoked.errors)")
            try await bench.waitForDevice { $0.viewers?.map(\.pid) == [stayer.pid] }
            // GStreamer waits for a picture that does not come.
            let seen = try session.pictures(of: "guest").count
            let result = try await stayer.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(stamps(try session.pictures(of: "stayer"), "mjpeg").count == 300)
            // What it had taken and not written yet.
            #expect(try session.pictures(of: "guest").count <= seen + 3)
            _ = try await guest.stop(SIGKILL)
            try await bench.waitForDevice { $0.viewers == nil }
            try await session.stop()
        }

        // MARK: - Deaths

        @Test(
            .timeLimit(.minutes(5)),
            arguments: [(PipeWireSession.jpeg, "image/jpeg", "mjpeg"), (PipeWireSession.raw, "video/x-raw,format=NV12", "nv12")])
        func `no program ends, and no picture is missing, through ten deaths of the driver`(node: String, caps: String, format: String)
            async throws
        {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let form = CameraRequest(format: format, width: 320, height: 240, fps: 30)
            let (result, lost) = try await bench.losses(in: form) {
                let program = try session.record(node, caps + ",width=320,height=240,framerate=30/1", count: 600, to: "pictures")
                try await session.waitForPictures(5, of: "pictures")
                var (frames, ended) = (0, 0)
                for try await event in bench.client.camera().frames(form) {
                    if case .frame = event { frames += 1 }
                    if case .driverRestarted = event { frames = 0 }
                    guard frames == 30 else { continue }
                    guard ended < 10 else { break }
                    kill(try await bench.client.device().pid, SIGKILL)
                    ended += 1
                    frames += 1
                }
                return try await program.finish()
            }
            #expect(result.status == .exited(status: 0) && !result.errors.contains("ERROR"), "\(result.errors)")
            let stamps = stamps(try session.pictures(of: "pictures"), format)
            #expect(stamps.count == 600)
            // On a busy machine GStreamer may be too slow for some, and the service says for how many.
            try await bench.waitForDevice { $0.streams.allSatisfy { $0.clients == 0 } }
            let passed = session.passed
            #expect(missing(stamps) <= lost + passed, "\(missing(stamps)) are missing; the ring lacked \(lost), \(passed) passed it by")
            #expect(try await bench.client.crashes().count >= 10)
            try await session.stop()
        }

        @Test func `a program that streams goes on after the daemon, and after a replug`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            let program = try session.record(
                PipeWireSession.jpeg, "image/jpeg,width=640,height=480,framerate=30/1", count: 200, to: "pictures")
            try await session.waitForPictures(10, of: "pictures")
            try await bench.stopDaemon()
            let before = try session.pictures(of: "pictures").count
            try await bench.restartDaemon()
            try await session.waitForPictures(before + 20, of: "pictures")
            let port = try bench.port
            _ = try await bench.emulator?.stop(SIGKILL)
            try await bench.waitForDevice { $0.state == .absent }
            let (emulator, _) = try await Bench.startEmulator(port: port)
            let result = try await program.finish()
            #expect(result.status == .exited(status: 0) && !result.errors.contains("ERROR"), "\(result.errors)")
            #expect(stamps(try session.pictures(of: "pictures"), "mjpeg").count == 200)
            try await session.stop()
            _ = try await emulator.stop()
        }

        @Test func `cameras are back after PipeWire is`() async throws {
            let bench = try await Bench.start()
            let session = try await PipeWireSession.start(bench)
            try await session.restartPipeWire()
            try await session.waitForNodes()
            let result = try await session.record(PipeWireSession.jpeg, "image/jpeg,width=640,height=480", count: 10, to: "pictures")
                .finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(stamps(try session.pictures(of: "pictures"), "mjpeg").count == 10)
            try await session.stop()
        }

        @Test func `without PipeWire it waits, and says so once`() async throws {
            let bench = try await Bench.start()
            let folder = try Bench.makeRuntime()
            let environment = ["XDG_RUNTIME_DIR": folder, "USERDRIVER_RUNTIME_DIR": bench.runtime, "HOME": folder]
            let surface = try Programs.start("userdriver-pipewire", [], environment: environment)
            try await surface.waitForOutput(errors: true) { $0.contains("PipeWire is not running.\n") }
            let result = try await surface.stop()
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
            try? FileManager.default.removeItem(atPath: folder)  // a leftover in a temporary folder fails nobody
            try await bench.stop()
        }
    }
}
