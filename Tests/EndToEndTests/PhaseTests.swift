// A camera that fails in each phase of its life with a host: whoever watches has frames in the end, or is told why not.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite struct Phases {
        private func bench(_ fault: String, _ more: [String] = [], awaitRunning: Bool = false) async throws -> Bench {
            try await Bench.start(emulate: ["--startup-ms", "50", "--fault", fault] + more, awaitRunning: awaitRunning)
        }

        private static let once = [
            "stall@configure", "stall@open", "stall@start", "stall@stop", "silence@enumerate", "silence@configure", "silence@open",
            "silence@probe", "silence@commit", "silence@start", "silence@stop", "replug@enumerate", "replug@configure", "replug@open",
            "replug@probe", "replug@commit", "replug@start", "replug@stop", "garbage@enumerate", "garbage@open", "garbage@probe",
            "bulk stall@stop", "bulk silence@commit", "bulk silence@stop",
        ]

        /// What went wrong once leaves nothing behind: streams arrive whole, before and after it.
        @Test func `a camera that fails once, in any phase, is used all the same`() async throws {
            try await fourAtATime(Self.once) { try await isUsed(fault: $0) }
        }

        private func isUsed(fault: String) async throws {
            let words = fault.split(separator: " ").map(String.init)
            let bench = try await bench(words[words.count - 1], words.count > 1 ? ["--bulk"] : [])
            try await bench.waitForDevice { $0.state == .running }
            // Twice, as what happens at the end of the first is seen by the second.
            for _ in 1...2 {
                let result = try await bench.userdriver("stream", "--frames", "15", "--size", "320x240", "--stats", "json")
                #expect(result.status == .exited(status: 0), "\(fault): \(result.errors)")
                let facts = try result.lastLine(as: StreamFacts.self)
                #expect(facts.frames == 15 && facts.torn == 0, "\(fault)")
            }
            let device = try await bench.waitForDevice { $0.state == .running }
            #expect(device.reason == nil, "\(fault)")
            // A driver that could do nothing with the device as it was may have given up, with a word about what it saw; none has crashed.
            let crashes = try await bench.client.crashes()
            #expect(crashes.allSatisfy { $0.signal == 0 }, "\(fault): \(crashes.map(\.cause))")
            #expect(crashes.count <= 2, "\(fault): \(crashes.map(\.cause))")
            try await bench.stop()
        }

        /// With those that are attached all the same.
        private static let always = [
            ("silence@probe:every", true), ("silence@commit:every", true), ("stall@start:every", true), ("garbage@enumerate:every", false),
            ("silence@enumerate:every", false),
        ]

        /// What goes wrong each time is said to whoever asks, within a time that people wait.
        @Test func `a camera that fails each time is told of, and the daemon serves on`() async throws {
            try await fourAtATime(Self.always) { try await isToldOf(fault: $0.0, isAttached: $0.1) }
        }

        private func isToldOf(fault: String, isAttached: Bool) async throws {
            let bench = try await bench(fault, awaitRunning: isAttached)
            let result = try await bench.userdriver("stream", "--frames", "5", "--seconds", "20", timeout: .seconds(90))
            #expect(result.status != .exited(status: 0), "\(fault)")
            #expect(!result.errors.isEmpty, "\(fault)")
            #expect(try await bench.userdriver("status").status == .exited(status: 0), "\(fault)")
            try await bench.stop()
        }

        /// They wait more than they work, and no frame's lateness is judged.
        private func fourAtATime<Case: Sendable>(_ cases: [Case], _ body: @escaping @Sendable (Case) async throws -> Void) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, one) in cases.enumerated() {
                    if index >= 4 { try await group.next() }
                    group.addTask { try await body(one) }
                }
                try await group.waitForAll()
            }
        }
    }
}
