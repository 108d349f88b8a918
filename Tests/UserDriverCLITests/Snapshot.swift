// Texts kept as files beside the tests.

import Glibc
import Testing

@testable import UserDriverCLI

enum Snapshot {
    static func expect(_ text: String, _ name: String, file: String = #filePath, location: SourceLocation = #_sourceLocation) throws {
        let path = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/Snapshots/\(name).txt"
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            String(line.reversed().drop { $0 == " " }.reversed())
        }
        let text = lines.joined(separator: "\n") + "\n"
        if getenv("UPDATE_SNAPSHOTS") != nil { return try WholeFile.write(Array(text.utf8), to: path) }
        guard let stream = fopen(path, "r") else {
            Issue.record("There is no snapshot \(name).txt; make it with UPDATE_SNAPSHOTS=1.", sourceLocation: location)
            return
        }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        #expect(text == String(decoding: bytes, as: UTF8.self), sourceLocation: location)
    }
}
