// What fits a terminal: its width, its characters, and nothing that commands it.

import ArgumentParser
import DeviceStack
import Testing
import UserDriverClient
import Wire

@testable import UserDriverCLI

@Suite struct TerminalTests {
    static let status = DeviceStatus(
        id: "1209:0001:EMU0001", bus: "usbip://127.0.0.1:3240/1-1", vendorId: "1209", productId: "0001",
        name: "UserDriver Emulated Webcam of a rather long name", kind: "webcam", driver: "webcam", state: .running, pid: 4_194_304,
        restarts: 12_345,
        streams: [
            .init(
                name: "video", frames: 1_000_000_000, lost: 123_456, clients: 12,
                shown: ["format": "mjpeg", "width": 1920, "height": 1080, "fps": 29.9])
        ])
    static let crash = CrashReport(
        number: 12, time: "2026-01-01T00:00:00.000Z", deviceID: "1209:0001:EMU0001", driver: "io.userdriver.webcam", pid: 7, generation: 2,
        cause: "SIGKILL, by the supervisor: no progress for 500 ms while streaming", signal: 9, exitStatus: -1, lastWords: [],
        backtrace: [], decision: "restarted at once")
    static let driver = DriverStatus(
        id: "io.userdriver.webcam", version: "0.1.0", kind: "webcam", path: "/usr/lib/userdriver/drivers/a-rather-long-name/webcam.driver",
        state: .ready,
        signer: "development@localhost")

    static let tables: [(name: String, table: TextTable)] = [
        ("list", ListCommand.table([status])), ("status", StatusCommand.table([status])), ("crashes", CrashesListCommand.table([crash])),
        ("drivers", DriverListCommand.table([driver])),
    ]

    @Test(arguments: [80, 60, 40, 100], tables.map(\.name)) func aTableFits(_ width: Int, _ name: String) throws {
        let table = try #require(Self.tables.first { $0.name == name }?.table)
        for colours in [false, true] {
            let lines = table.lines(colours: colours, width: width).map { $0.replacing(/\u{1B}\[[0-9]+m/, with: "") }
            #expect(lines.allSatisfy { $0.count <= width }, "\(lines)")
            // What a row is known by, and its most telling word, are there where there is any room.
            let first = table.rows[0][0].text
            if width >= 60 { #expect(lines[1].contains(first), "\(lines)") }
        }
        #expect(table.lines(colours: false, width: 1000) == table.lines(colours: false))
    }

    @Test func in80ColumnsStatusKeepsStateStreamAndLosses() {
        let lines = StatusCommand.table([Self.status]).lines(colours: false, width: 80)
        #expect(["STATE", "STREAM", "FRAMES", "LOST"].allSatisfy(lines[0].contains), "\(lines)")
        #expect(lines[1].contains("running") && lines[1].contains("mjpeg 1920x1080") && lines[1].contains("123456"), "\(lines)")
    }

    @Test func whatIsShortenedSaysSo() {
        var table = TextTable("NAME", "NOTE", spared: [1])
        table.add("a", "a long note that has to go")
        #expect(table.lines(colours: false, width: 18) == ["NAME  NOTE", "a     a long note…"])
        #expect(table.lines(colours: false, width: 18, utf8: false)[1] == "a     a long not..")
        #expect(table.lines(colours: false, width: 12) == ["NAME", "a"])
    }

    @Test func aLocaleWithoutUTF8GetsASCII() {
        #expect(PlainText.shown("mjpeg 640×480 – focus… → “ü”", utf8: false) == "mjpeg 640x480 - focus... -> \"?\"")
        #expect(PlainText.shown("mjpeg 640×480", utf8: true) == "mjpeg 640×480")
        let stack = StackText(colours: false, utf8: false).lines(StackTextTests.doctor)
        #expect(stack.joined().utf8.allSatisfy { $0 < 0x80 }, "\(stack)")
        #expect(stack.contains { $0.hasPrefix("x broken") } && stack.contains { $0.contains("-> userdriver take") })
        for verb in ArgumentTests.verbs.map(\.command) {
            let help = PlainText.shown(UserDriverCommand.helpMessage(for: verb, columns: 80), utf8: false)
            #expect(help.utf8.allSatisfy { $0 < 0x80 } && !help.contains("?:"), "\(help)")
        }
    }

    @Test(arguments: ["\u{1B}[2J", "\u{9B}2J", "\u{202E}", "\u{2028}", "\u{7}", "\u{200B}", "\u{85}"])
    func nothingThatADeviceSaysCommandsTheTerminal(_ hostile: String) throws {
        let scalar = try #require(hostile.unicodeScalars.first)
        #expect(!PlainText.shown("a" + hostile + "b", utf8: true).unicodeScalars.contains(scalar))
        var table = TextTable("NAME")
        table.add(.init("a" + hostile + "b"))
        #expect(!table.lines(colours: true)[1].unicodeScalars.contains(scalar))
        let text = StackText(colours: false).lines(
            StackReport(device: "a", name: hostile, layers: [StackLayer(.process, .broken, hostile)]))
        #expect(!text.joined().unicodeScalars.contains(scalar))
        let json = String(decoding: try JSON.encode(["name": hostile]), as: UTF8.self)
        let escaped = PlainText.escaped(json)
        #expect(!escaped.unicodeScalars.contains(scalar))
        #expect(try JSON.decode([String: String].self, from: Array(escaped.utf8)) == ["name": hostile])
    }

    @Test func linesBreakBetweenWords() {
        #expect(PlainText.wrapped("one two three", width: 8) == ["one two", "three"])
        #expect(PlainText.wrapped("unbreakable", width: 4) == ["unbreakable"])
        #expect(PlainText.wrapped("a  b", width: nil) == ["a  b"])
        let lines = StackText(colours: false, width: 80).lines(StackTextTests.doctor)
        #expect(lines.allSatisfy { $0.count <= 80 }, "\(lines)")
        // To be copied, a command stays whole.
        #expect(lines.contains { $0.contains("→ userdriver take 1209:0001:EMU0001") })
    }

    @Test func descriptorsFitToo() {
        let camera = InspectReport(descriptors: InspectReportTests.descriptors)
        for width in [80, 60] {
            let lines = camera.text(width: width).split(separator: "\n")
            #expect(lines.allSatisfy { $0.count <= width }, "\(lines.filter { $0.count > width })")
            #expect(!lines.contains { $0.hasPrefix("      sharp") }, "\(lines)")
        }
        #expect(camera.text() == camera.text(width: 100) && camera.text() == camera.text(width: 500))
    }
}
