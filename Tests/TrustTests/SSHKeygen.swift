// The real ssh-keygen, for proof against what others wrote.

import Foundation
import Glibc
import Testing

/// A folder of keys that ssh-keygen makes, and its verbs.
final class SSHKeygen: Sendable {
    static let path = "/usr/bin/ssh-keygen"
    static var isThere: Bool { FileManager.default.isExecutableFile(atPath: path) }

    let folder: String

    init() {
        var template = Array("/tmp/userdriver-test-XXXXXX".utf8CString)
        folder = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }

    deinit {
        precondition(folder.hasPrefix("/tmp/userdriver-test-"))
        do { try FileManager.default.removeItem(atPath: folder) } catch { print("\(folder) stays behind: \(error)") }
    }

    struct Outcome {
        var status: Int32
        var output: String
    }

    @discardableResult
    func run(_ arguments: String..., input: [UInt8] = []) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        try write(input, "stdin")
        process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: folder + "/stdin"))
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
    }

    func makeKey(_ name: String, _ type: String, bits: Int = 256, passphrase: String = "") throws {
        let outcome = try run("-q", "-t", type, "-b", "\(bits)", "-N", passphrase, "-C", "\(name)@example.org", "-f", name)
        try #require(outcome.status == 0, "\(outcome.output)")
    }

    func write(_ bytes: [UInt8], _ name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
        chmod(folder + "/" + name, 0o600)
    }
    func read(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))) }
    func text(_ name: String) throws -> String { String(decoding: try read(name), as: UTF8.self) }
}
