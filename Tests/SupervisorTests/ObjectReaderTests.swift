// The script in Docs/Objects.md, by which a program in another language reads an object.

import CLinux
import Glibc
import ObjectPattern
import Spawn
import Testing
import UserDriverClient
import Wire

@testable import Supervisor

@Suite("Objects in other languages", .timeLimit(.minutes(5))) struct ObjectReaderTests {
    private static var script: String {
        get throws {
            let path = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/Docs/Objects.md"
            let text = String(decoding: try StateFile.read(path, maximumBytes: 1 << 20), as: UTF8.self)
            let parts = text.split(separator: "```")
            return String(try #require(parts.first { $0.hasPrefix("python\n") }).dropFirst(7))
        }
    }

    @Test func areReadByFollowingTheDocumentation() async throws {
        let script = try Self.script
        #expect(script.split(separator: "\n").count <= 60)
        let bench = try await ObjectBench()
        let job = try await bench.client.openJob()
        // More than an arena holds.
        let seed = try #require((1...100).first { ObjectPattern.size($0, 0, largest: 2_000_000) > 600_000 })
        try await bench.deliver(job.token, ["count": 1, "largest": 2_000_000, "seed": .int(Int64(seed))])
        let object = try await job.next(timeout: .seconds(200))
        let folder = bench.bench.folder.path
        try StateFile.write(Array(script.utf8), to: folder + "/read.py")
        let output = open(folder + "/output", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(output) }
        let python = try #require(realpath("/usr/bin/python3", nil))
        defer { free(python) }
        let child = try ChildProcess(
            path: String(cString: python),
            ChildProcess.Plan(
                arguments: ["python3", folder + "/read.py", folder + "/io.userdriver", "\(object.id)"], descriptors: [nil, output, 2]))
        while try child.collect() == nil { try await Task.sleep(for: .milliseconds(5)) }
        let end = try child.collect()
        #expect(end == .exited(status: 0))
        let bytes = try StateFile.read(folder + "/output", maximumBytes: 4 << 20)
        #expect(bytes == ObjectPattern.bytes(UInt64(seed), 0, count: object.length) && object.length > 600_000)
        await bench.stop()
    }
}
