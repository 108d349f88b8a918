// The driver under a real supervisor, killed in the middle of files.

import DriverTesting
import LoggerEmulation
import Testing
import Wire

@Suite(.timeLimit(.minutes(2))) struct LoggerTests {
    /// SHA-256 of what `LoggerDevice` has, file by file.
    private static let digests = [
        "9c412c7e228940c79c767f0a64215741ddd4bf7ef98dd9c717bc1e0fe2f10a55",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f1b1f8afd74aa3bc343f588c335a713e2d24fe2f7ed4f9607e6a23233f8d1823",
        "75697f0af614ffb0a210cf2c9acb9840f234c28b0ad2e0d3eb871d898045ba6d",
    ]

    /// The job's objects once all are committed; `change` is called at each change before that.
    private func objects(
        of bench: DriverBench, job: String, atEachChange change: (Int) async throws -> Void = { _ in }
    ) async throws -> [ObjectStatus] {
        var changes = 0
        for try await _ in bench.replies(to: "io.userdriver.WatchObjects", ["job": .string(job)]) {
            let objects =
                try await bench.call("io.userdriver.Objects", ["job": .string(job)])["objects"]?
                .decoded(as: [ObjectStatus].self) ?? []
            if objects.count == LoggerDevice.lengths.count, objects.allSatisfy({ $0.state == .committed }) { return objects }
            changes += 1
            try await change(changes)
        }
        return []
    }

    @Test(arguments: [false, true]) func eachFileComesWholeAndOnce(underKills: Bool) async throws {
        try await DriverBench.run(package: #filePath, device: LoggerDevice()) { bench in
            let job = "a-job-of-this-test"
            _ = try await bench.call("io.userdriver.OpenJob", ["job": .string(job)])
            #expect(try await bench.call("org.example.logger.Fetch", ["job": .string(job)])["files"] == 4)
            var kills = 0
            let objects = try await objects(of: bench, job: job) { change in
                guard underKills, kills < 20 else { return }
                kills += 1
                try await bench.kill()
                // Asked again, as a program does that does not know what became of it.
                _ = try await bench.call("org.example.logger.Fetch", ["job": .string(job)])
            }
            #expect(objects.map(\.name) == ["file 0", "file 1", "file 2", "file 3"])
            #expect(objects.map(\.length) == LoggerDevice.lengths)
            #expect(objects.map(\.sha256) == Self.digests)
            #expect(kills > 0 || !underKills)
        }
    }
}
