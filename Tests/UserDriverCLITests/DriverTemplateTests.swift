// What `userdriver driver new` lays down: the example that CI builds and runs, under another name.

import ArgumentParser
import Foundation
import Testing

@testable import UserDriverCLI

@Suite struct DriverTemplateTests {
    private static let example = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Examples/thermometer", directoryHint: .isDirectory)

    @Test func isTheExampleToTheByte() throws {
        for (path, text) in DriverTemplate.files {
            let file = try String(contentsOf: Self.example.appending(path: path), encoding: .utf8)
            #expect(text == file, "\(path): Scripts/driver-template writes the template anew.")
        }
        let found = try #require(FileManager.default.subpaths(atPath: Self.example.path)).filter { path in
            var isFolder: ObjCBool = false
            let isThere = FileManager.default.fileExists(atPath: Self.example.path + "/" + path, isDirectory: &isFolder)
            return isThere && !isFolder.boolValue && !path.hasPrefix(".build") && path != "Package.resolved"
        }
        #expect(Set(found) == Set(DriverTemplate.files.map(\.path)))
    }

    @Test func goesByAnyName() throws {
        let contents = DriverTemplate(name: "coffee-scale", framework: "/src/\"a\"", programs: "/opt/$x").contents
        for (path, text) in contents { #expect(!(path + text).lowercased().contains("thermometer"), "\(path)") }
        func text(_ path: String) throws -> String { try #require(contents.first { $0.path == path }).text }
        #expect(try text("Sources/coffee-scale-driver/Driver.swift").contains("actor CoffeeScaleDriver: Driver {"))
        #expect(try text("driver.yaml").contains("id: org.example.coffee-scale\n"))
        #expect(try text("interfaces/org.example.coffee-scale.varlink").contains("interface org.example.coffee-scale\n"))
        #expect(try text("Package.swift").contains(#"?? "/src/\"a\"""#))
        #expect(try text("Makefile").contains("$(USERDRIVER_CHECKOUT)/.build/release,/opt/$$x)"))
    }

    @Test func pathsStayWhatTheyAre() {
        let contents = DriverTemplate(name: "x", framework: "/thermometer", programs: "/Thermometer/bin").contents
        #expect(contents.contains { $0.path == "Package.swift" && $0.text.contains("\"/thermometer\"") })
        #expect(contents.contains { $0.path == "Makefile" && $0.text.contains(",/Thermometer/bin)") })
    }

    @Test(arguments: ["thermo", "x", "a1", "coffee-scale", "usb-c-meter", String(repeating: "a", count: 30)])
    func takesNames(_ name: String) throws {
        #expect(try UserDriverCommand.parseAsRoot(["driver", "new", name]) is DriverNewCommand)
    }

    @Test(arguments: [
        "", "-", "Thermo", "1x", "a--b", "a-", "-a", "a b", "a/b", "..", "ä", "a.b", "webcam", "scanner",
        String(repeating: "a", count: 31),
    ])
    func refusesNamesWithWords(_ name: String) {
        let error = #expect(throws: (any Error).self) { _ = try UserDriverCommand.parseAsRoot(["driver", "new", "--", name]) }
        #expect(error.map { ExitStatus.status(for: $0) } == 2)
    }
}
