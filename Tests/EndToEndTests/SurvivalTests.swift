// The stream survives its driver, however that dies.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite struct Survival {
        /// Streams 300 frames, and ends the driver `times` times while they come: each time after thirty frames of its own.
        private func stream(
            _ bench: Bench, endingDriverWith signal: Int32, times: Int
        ) async throws -> (facts: StreamFacts, said: String) {
            let client = try bench.startUserdriver("stream", "--frames", "300", "--stats", "json")
            try await bench.waitForDevice { $0.streams.contains { $0.clients > 0 } }
            var frames = 0
            var ended = 0
            for try await event in bench.client.camera().frames() {
                switch event {
                case .frame: frames += 1
                case .driverRestarted: frames = 0
                default: break
                }
                if frames == 30 {
                    guard ended < times else { break }
                    kill(try await bench.client.device().pid, signal)
                    ended += 1
                    frames += 1
                }
            }
            let result = try await client.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            return (try result.lastLine(as: StreamFacts.self), result.errors)
        }

        /// Frames that a restart has cost, one number for each death that cost any.
        private func costs(_ said: String) -> [Int] {
            said.split(separator: "\n").filter { $0.contains("missing: the driver restarted") }
                .compactMap { $0.split(separator: " ").first.flatMap { Int($0) } }
        }

        /// The camera needs 300 ms to start, so a driver that started it again would miss some ten frames each time. A machine that is too busy to
        /// run the successor within the queue's time misses some all the same.
        @Test(arguments: [[], ["--bulk"]]) func `a stream goes on through three deaths of its driver`(variant: [String]) async throws {
            let bench = try await Bench.start(emulate: variant)
            let (facts, said) = try await stream(bench, endingDriverWith: SIGKILL, times: 3)
            #expect(facts.frames == 300)
            #expect(facts.restarts == 3)
            #expect(facts.torn == 0)
            #expect(costs(said).count < 3, "at least one death costs nothing: \(said)")
            let crashes = try await bench.client.crashes()
            #expect(crashes.count == 3)
            #expect(crashes.allSatisfy { $0.signal == SIGKILL && $0.cause.contains("SIGKILL") })
            try await bench.stop()
        }

        @Test func `the port's death is a short absence`() async throws {
            let bench = try await Bench.start()
            let client = try bench.startUserdriver("stream", "--frames", "120", "--stats", "json")
            try await bench.waitForDevice { $0.streams.contains { $0.frames > 10 } }
            let daemon = try #require(await bench.daemonProcess).child.processID
            let port = try #require(Self.children(of: daemon).first { Self.name(of: $0) == "usbip-proxy" })
            kill(port, SIGKILL)
            let result = try await client.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == 120)
            #expect(facts.torn == 0)
            try await bench.stop()
        }

        @Test func `without a standby one process does, and the stream goes on all the same`() async throws {
            let bench = try await Bench.start(daemon: ["--no-standby"])
            let daemon = try #require(await bench.daemonProcess).child.processID
            let (facts, _) = try await stream(bench, endingDriverWith: SIGKILL, times: 2)
            #expect(facts.frames == 300 && facts.restarts == 2 && facts.torn == 0)
            #expect(Self.children(of: daemon).count { Self.name(of: $0) == "webcam-driver" } == 1)
            try await bench.stop()
        }

        private static func name(of process: Int32) -> String {
            FileManager.default.contents(atPath: "/proc/\(process)/comm").map { String(decoding: $0, as: UTF8.self) }?
                .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        }

        private static func children(of process: Int32) -> [Int32] {
            let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []  // always there on Linux
            return entries.compactMap(Int32.init).filter { child in
                guard let status = FileManager.default.contents(atPath: "/proc/\(child)/status") else { return false }
                return String(decoding: status, as: UTF8.self).contains("PPid:\t\(process)\n")
            }
        }

        @Test func `a crash leaves a report with a backtrace that names functions`() async throws {
            let bench = try await Bench.start()
            let (facts, _) = try await stream(bench, endingDriverWith: SIGSEGV, times: 1)
            #expect(facts.frames == 300)
            #expect(facts.restarts == 1)
            #expect(facts.torn == 0)
            let crash = try #require(try await bench.client.crashes().first)
            #expect(crash.signal == SIGSEGV)
            #expect(crash.backtrace.count > 1, "\(crash.backtrace)")
            // The driver in its bundle has kept them.
            #expect(crash.backtrace.contains { $0.hasSuffix("(webcam-driver)") && !$0.hasPrefix("0x") }, "\(crash.backtrace)")
            let shown = try await bench.userdriver("crashes", "show", "1")
            #expect(shown.status == .exited(status: 0))
            #expect(shown.text.contains("SIGSEGV"))
            #expect(shown.text.contains("isochronous endpoint 2 IN"), "\(shown.text)")
            #expect(crash.driverVersion != nil && crash.descriptors?.isEmpty == false)
            let captured = try #require(crash.captured)
            let capture = try await bench.userdriver("crashes", "show", "1", "--capture", "-")
            #expect(capture.status == .exited(status: 0))
            // A section header, little endian; a transfer is two packets of 96 bytes at least.
            #expect(capture.output.prefix(4).elementsEqual([0x0a, 0x0d, 0x0d, 0x0a]))
            #expect(capture.output.count > captured * 96)
            let none = try await bench.userdriver("crashes", "show", "2", "--capture", "-")
            #expect(none.status == .exited(status: 1) && none.errors.contains("There is no crash 2"))
            try await bench.stop()
        }

        @Test func `a live capture goes on when the driver is replaced`() async throws {
            let bench = try await Bench.start()
            let file = bench.runtime + "/usb.pcapng"
            let capture = try bench.startUserdriver("capture", "-o", file, "--transfers", "700")
            let (facts, _) = try await stream(bench, endingDriverWith: SIGKILL, times: 1)
            #expect(facts.frames == 300 && facts.torn == 0)
            let ended = try await capture.finish(timeout: .seconds(60))
            #expect(ended.status == .exited(status: 0), "\(ended.errors)")
            #expect(ended.errors.contains("700 transfers"), "\(ended.errors)")
            let bytes = try #require(FileManager.default.contents(atPath: file))
            #expect(bytes.prefix(4).elementsEqual([0x0a, 0x0d, 0x0d, 0x0a]) && bytes.count > 700 * 96)
            try await bench.stop()
        }

        @Test func `a driver that hangs is ended and replaced`() async throws {
            let bench = try await Bench.start()
            let (facts, _) = try await stream(bench, endingDriverWith: SIGSTOP, times: 1)
            #expect(facts.frames == 300)
            #expect(facts.restarts == 1)
            #expect(facts.torn == 0)
            let crash = try #require(try await bench.client.crashes().first)
            #expect(crash.cause.contains("no progress") || crash.cause.contains("no heartbeat"), "\(crash.cause)")
            try await bench.stop()
        }

        @Test func `a driver that ends at once each time opens the circuit, and restart closes it`() async throws {
            let folder = "/tmp/udt-\(UUID().uuidString.prefix(8))"
            let bundle = folder + "/webcam.driver"
            try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }  // a leftover in a temporary folder fails nobody
            let manifest = try String(contentsOfFile: Programs.folder + "/webcam.driver/driver.yaml", encoding: .utf8)
            // Unsigned and without the executable's digest: it may be changed.
            try manifest.split(separator: "\n").filter { !$0.hasPrefix("sha256:") }.joined(separator: "\n").write(
                toFile: bundle + "/driver.yaml", atomically: true, encoding: .utf8)
            try FileManager.default.copyItem(atPath: "/bin/false", toPath: bundle + "/webcam-driver")
            try FileManager.default.copyItem(atPath: Programs.folder + "/webcam.driver/interfaces", toPath: bundle + "/interfaces")
            let bench = try await Bench.start(daemon: ["--drivers", folder, "--allow-unsigned"], awaitRunning: false)
            let failed = try await bench.waitForDevice(timeout: .seconds(90)) { $0.state == .failed }
            #expect(failed.reason != nil)
            #expect(failed.pid == 0)
            let refused = try await bench.userdriver("stream", "--frames", "1", "--seconds", "2")
            #expect(refused.status != .exited(status: 0))
            // Fixed, and asked for again.
            try FileManager.default.removeItem(atPath: bundle + "/webcam-driver")
            try FileManager.default.copyItem(atPath: Programs.folder + "/webcam.driver/webcam-driver", toPath: bundle + "/webcam-driver")
            let restarted = try await bench.userdriver("restart")
            #expect(restarted.status == .exited(status: 0), "\(restarted.errors)")
            try await bench.waitForDevice { $0.state == .running }
            try await bench.stop()
        }

        @Test func `the supervisor's death leaves no orphan, and clients find the next one`() async throws {
            let bench = try await Bench.start()
            let client = try bench.startUserdriver("stream", "--frames", "120", "--stats", "json")
            let device = try await bench.waitForDevice { $0.streams.contains { $0.frames > 10 } }
            let driver = Witness(of: device.pid)
            let daemon = try #require(await bench.daemonProcess)
            try daemon.child.kill(SIGKILL)
            _ = try await daemon.finish()
            try await driver.ended()
            try await bench.restartDaemon()
            let result = try await client.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == 120)
            #expect(facts.torn == 0)
            try await bench.stop()
        }

        @Test func `a camera that is unplugged and plugged in again goes on for whoever watches`() async throws {
            let bench = try await Bench.start()
            let client = try bench.startUserdriver("stream", "--frames", "120", "--stats", "json")
            try await bench.waitForDevice { $0.streams.contains { $0.frames > 10 } }
            _ = try await #require(bench.emulator).stop(SIGKILL)
            try await bench.waitForDevice { $0.state == .absent }
            let (emulator, _) = try await Bench.startEmulator(port: bench.port)
            let result = try await client.finish()
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(facts.frames == 120)
            #expect(facts.torn == 0)
            #expect(result.errors.lowercased().contains("unplugged") || result.errors.lowercased().contains("absent"), "\(result.errors)")
            _ = try await emulator.stop()
            try await bench.stopDaemon()
        }

    }
}
