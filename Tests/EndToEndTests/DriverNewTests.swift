// `userdriver driver new`, from the outside. `make kit` builds and tests what it makes.

import Foundation
import Glibc
import Testing

extension EndToEndTests {
    @Suite struct DriverNew {
        private static let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path

        /// Runs `userdriver` in a folder.
        private static func run(in folder: String, _ arguments: [String], checkout: String = top) throws -> (
            status: Int32, text: String, errors: String
        ) {
            let process = Process()
            process.executableURL = URL(filePath: Programs.folder + "/userdriver")
            process.arguments = arguments
            process.currentDirectoryURL = URL(filePath: folder)
            process.environment = ["PATH": "/usr/bin:/bin", "USERDRIVER_CHECKOUT": checkout]
            let (output, errors) = (Pipe(), Pipe())
            process.standardOutput = output
            process.standardError = errors
            try process.run()
            let said = [output, errors].map { String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
            process.waitUntilExit()
            return (process.terminationStatus, said[0], said[1])
        }

        @Test func `a package is made once, and what is there is left alone`() throws {
            let folder = try Bench.makeRuntime()
            defer { try? FileManager.default.removeItem(atPath: folder) }  // a leftover in a temporary folder fails nobody
            let made = try Self.run(in: folder, ["driver", "new", "thermo"])
            #expect(made.status == 0 && made.text.contains("make test"), "\(made)")
            let manifest = folder + "/thermo/driver.yaml"
            #expect(
                FileManager.default.contents(atPath: manifest).map { String(decoding: $0, as: UTF8.self).contains("org.example.thermo") }
                    == true)

            try Data("mine".utf8).write(to: URL(filePath: manifest))
            let again = try Self.run(in: folder, ["driver", "new", "thermo"])
            #expect(again.status == 1 && again.errors.contains("File exists"), "\(again)")
            #expect(FileManager.default.contents(atPath: manifest) == Data("mine".utf8))
        }

        @Test func `without the source it says what is missing`() throws {
            let folder = try Bench.makeRuntime()
            defer { try? FileManager.default.removeItem(atPath: folder) }  // a leftover in a temporary folder fails nobody
            let result = try Self.run(in: folder, ["driver", "new", "thermo"], checkout: folder)
            #expect(result.status == 1 && result.errors.contains("USERDRIVER_CHECKOUT"), "\(result)")
            #expect(!FileManager.default.fileExists(atPath: folder + "/thermo"))
        }
    }
}
