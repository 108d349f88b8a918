// A film as ffprobe reads it, and the muxer that is tried.

import Foundation
import Glibc
import Testing

@testable import UserDriverCLI

/// A film's frames, by somebody else's reader.
struct ProbedFilm {
    struct Frame: Decodable, Hashable {
        var time: Double
        var size: Int
        var hash: String
        var flags: String

        enum CodingKeys: String, CodingKey {
            case time = "pts_time", size, hash = "data_hash", flags
        }

        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: CodingKeys.self)
            time = Double(try members.decode(String.self, forKey: .time)) ?? .nan
            size = Int(try members.decode(String.self, forKey: .size)) ?? -1
            hash = try members.decode(String.self, forKey: .hash)
            flags = try members.decode(String.self, forKey: .flags)
        }
    }
    private struct Answer: Decodable { var packets: [Frame] }

    let frames: [Frame]
    /// What ffprobe complained of.
    let complaints: String

    static let reader = "/usr/bin/ffprobe"
    static let muxer: String? = {
        let top = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let folder = ProcessInfo.processInfo.environment["USERDRIVER_BIN"] ?? top + "/.build/release"
        return access(folder + "/userdriver-mux", X_OK) == 0 ? folder + "/userdriver-mux" : nil
    }()
    static var canBeMade: Bool { muxer != nil && access(reader, X_OK) == 0 }

    init(_ path: String) throws {
        let result = try Self.run([
            Self.reader, "-v", "error", "-select_streams", "v:0", "-show_data_hash", "CRC32", "-show_entries",
            "packet=pts_time,size,flags,data_hash", "-of", "json", path,
        ])
        // A file without a frame has no list of them.
        frames = try JSONDecoder().decode(Answer.self, from: result.output).packets
        complaints = result.errors
    }

    /// Runs a program to its end.
    static func run(_ arguments: [String]) throws -> (output: Data, errors: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: arguments[0])
        process.arguments = Array(arguments.dropFirst())
        let (output, errors) = (Foundation.Pipe(), NSTemporaryDirectory() + "/probe-\(UUID().uuidString)")
        try Data().write(to: URL(fileURLWithPath: errors))
        defer { unlink(errors) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
        try process.run()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (said, String(decoding: FileManager.default.contents(atPath: errors) ?? Data(), as: UTF8.self))
    }

    /// As ffprobe writes it.
    static func hash(_ bytes: [UInt8]) -> String {
        var sum: UInt32 = .max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xedb8_8320 : sum >> 1 }
        }
        let digits = String(~sum, radix: 16)
        return "CRC32:" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}
