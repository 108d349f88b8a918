// `userdriver up`: one command, everything in the foreground, nothing left behind.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite struct Up {
        /// `up` in a folder of its own.
        private struct Session {
            let runtime: String
            let up: Running

            init(_ arguments: [String] = ["--emulate", "webcam", "--startup-ms", "50"]) async throws {
                runtime = try Bench.makeRuntime()
                up = try Programs.start("userdriver", ["up", "--runtime-dir", runtime] + arguments)
                try await up.waitForOutput { $0.contains("is driven") && $0.contains("Ctrl-C stops everything.") }
            }

            func userdriver(_ arguments: String...) async throws -> Programs.Result {
                try await Programs.run("userdriver", arguments + ["--runtime-dir", runtime])
            }

            /// All that `up` has started, and what that has started.
            func descendants() -> [Witness] {
                var parents: [Int32: Int32] = [:]
                for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
                    guard let pid = Int32(name), let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { continue }
                    // The parent stands second behind the name, which is in parentheses and may hold anything.
                    let fields = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
                    if fields.count > 1, let parent = Int32(fields[1]) { parents[pid] = parent }
                }
                var family: Set<Int32> = [up.pid]
                while let more = parents.first(where: { family.contains($0.value) && !family.contains($0.key) }) { family.insert(more.key) }
                return family.subtracting([up.pid]).map(Witness.init)
            }

            func remove() { try? FileManager.default.removeItem(atPath: runtime) }  // a leftover in a temporary folder fails nobody
        }

        /// `status --json` as the contract has it.
        private static let members: Set = [
            "id", "bus", "vendorId", "productId", "name", "kind", "driver", "state", "pid", "restarts", "streams",
        ]
        private static let possibleMembers: Set = [
            "reason", "warnings", "sandbox", "signer", "drivenSince", "function", "activities", "nodes",
        ]
        private static let streamMembers: Set = ["format", "width", "height", "fps", "frames", "lost"]

        @Test func `what up invites to works, and Ctrl-C leaves nothing behind`() async throws {
            let session = try await Session()
            let said = String(decoding: session.up.output, as: UTF8.self)
            for hint in ["snap --runtime-dir \(session.runtime)", "stream --runtime-dir \(session.runtime)", "emulated webcam at usbip://"]
            {
                #expect(said.contains(hint), "\(said)")
            }
            let photo = session.runtime + "/photo.jpg"
            #expect(try await session.userdriver("snap", "-o", photo).status == .exited(status: 0))
            #expect(FileManager.default.contents(atPath: photo)?.prefix(2) == Data([0xff, 0xd8]))
            let facts = try await session.userdriver("stream", "--frames", "20", "--stats", "json").lastLine(as: StreamFacts.self)
            #expect(facts.frames == 20)
            #expect(facts.torn == 0)
            let family = session.descendants()
            #expect(family.count >= 3, "a daemon, an emulator and a driver")
            let result = try await session.up.stop(SIGINT)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            for process in family { try await process.ended() }
            #expect(Bench.processes(mentioning: session.runtime).isEmpty)
            session.remove()
        }

        @Test func `status is what scripts rely on`() async throws {
            let session = try await Session()
            let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(session.runtime))
            var shown: Programs.Result?
            // Figures of a stream come with the driver's heartbeats.
            for try await event in client.camera().frames() {
                guard case .frame(let frame) = event, frame.sequence > 30 else { continue }
                shown = try await session.userdriver("status", "--json")
                break
            }
            let result = try #require(shown)
            let whole = try #require(try JSONSerialization.jsonObject(with: result.output) as? [String: Any])
            #expect(Set(whole.keys) == ["devices"])
            let device = try #require((whole["devices"] as? [[String: Any]])?.first)
            #expect(Self.members.isSubset(of: device.keys), "\(device.keys)")
            #expect(Set(device.keys).subtracting(Self.members).isSubset(of: Self.possibleMembers), "\(device.keys)")
            #expect(
                device["vendorId"] as? String == "1209" && device["kind"] as? String == "webcam" && device["state"] as? String == "running")
            #expect(device["id"] as? String == "1209:0001:EMU0001" && (device["bus"] as? String)?.hasPrefix("usbip://127.0.0.1:") == true)
            #expect((device["pid"] as? Int ?? 0) > 1 && device["restarts"] as? Int == 0)
            let facts = try #require((device["streams"] as? [[String: Any]])?.first)
            #expect(Self.streamMembers.isSubset(of: facts.keys), "\(facts.keys)")
            #expect(facts["format"] as? String == "mjpeg" && facts["fps"] as? Double ?? 0 > 0)
            #expect(facts["width"] as? Int ?? 0 > 0 && facts["height"] as? Int ?? 0 > 0)
            #expect(facts["frames"] as? Int ?? 0 > 0)
            #expect(try await session.up.stop(SIGINT).status == .exited(status: 0))
            session.remove()
        }

        @Test func `nothing survives up, however it ends`() async throws {
            let session = try await Session()
            let family = session.descendants()
            #expect(family.count >= 3)
            _ = try await session.up.stop(SIGKILL)
            for process in family { try await process.ended() }
            // And the folder can be used again.
            let again = try Programs.start("userdriver", ["up", "--runtime-dir", session.runtime, "--emulate", "webcam"])
            try await again.waitForOutput { $0.contains("is driven") }
            let result = try await again.stop(SIGTERM)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            session.remove()
        }

        @Test func `a second one in the same folder is refused`() async throws {
            let session = try await Session()
            let second = try await session.userdriver("up", "--emulate", "webcam")
            #expect(second.status == .exited(status: 1))
            #expect(second.errors.contains("already") && second.errors.contains("--runtime-dir"), "\(second.errors)")
            #expect(try await session.userdriver("status").status == .exited(status: 0), "the first is unharmed")
            _ = try await session.up.stop(SIGINT)
            session.remove()
        }

        @Test func `what is killed under it comes back`() async throws {
            let session = try await Session()
            let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(session.runtime))
            let driver = Witness(of: try await client.device().pid)
            let daemon = try #require(Bench.processes(mentioning: "userdriverd\0--runtime-dir\0\(session.runtime)").first)
            kill(daemon, SIGKILL)
            try await driver.ended()
            let facts = try await session.userdriver("stream", "--wait", "--frames", "15", "--stats", "json").lastLine(as: StreamFacts.self)
            #expect(facts.frames == 15)
            #expect(try await session.up.stop(SIGINT).status == .exited(status: 0))
            #expect(Bench.processes(mentioning: session.runtime).isEmpty)
            session.remove()
        }

        @Test func `drivers of one's own come first, and unsigned ones only if that is said`() async throws {
            let folder = try Bench.makeRuntime()
            let bundle = folder + "/webcam.driver"
            try FileManager.default.copyItem(atPath: Programs.folder + "/webcam.driver", toPath: bundle)
            try FileManager.default.removeItem(atPath: bundle + "/driver.yaml.sig")
            let session = try await Session([
                "--emulate", "webcam", "--startup-ms", "50", "--drivers", bundle, "--allow-unsigned",
            ])
            let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(session.runtime))
            #expect(try await client.device().warnings.contains("unsigned"))
            #expect(try await session.up.stop(SIGINT).status == .exited(status: 0))
            session.remove()
            try FileManager.default.removeItem(atPath: folder)
        }

        @Test func `a device that somebody else serves is attached`() async throws {
            let (emulator, url) = try await Bench.startEmulator(["--startup-ms", "50", "--serial", "ELSE"])
            let runtime = try Bench.makeRuntime()
            let up = try Programs.start("userdriver", ["up", "--runtime-dir", runtime, "--attach", url])
            try await up.waitForOutput { $0.contains("is driven") }
            let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(runtime))
            #expect(try await client.device().bus == url)
            let result = try await Programs.run(
                "userdriver", ["stream", "else", "--frames", "10", "--stats", "json", "--runtime-dir", runtime])
            #expect(try result.lastLine(as: StreamFacts.self).frames == 10)
            #expect(try await up.stop(SIGINT).status == .exited(status: 0))
            // What it did not start it does not stop.
            #expect(try await emulator.stop().status == .exited(status: 0))
            try FileManager.default.removeItem(atPath: runtime)
        }
    }
}
