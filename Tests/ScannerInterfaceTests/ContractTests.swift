// The scanner's text and its types say the same.

import ScannerInterface
import Testing
import Wire

@Suite struct ContractTests {
    private let interface = ScannerInterface.interface

    @Test func theTextIsThatOfTheName() {
        #expect(interface.name == ScannerInterface.name)
        #expect(Set(interface.methods.map(\.name)) == Set(ScannerInterface.Method.allCases.map(\.rawValue)))
    }

    @Test func aPrintersTextAndItsTypesSayTheSame() throws {
        let printer = PrinterInterface.interface
        #expect(printer.name == PrinterInterface.name)
        #expect(Set(printer.methods.map(\.name)) == Set(PrinterInterface.Method.allCases.map(\.rawValue)))
        let piece = try JSONValue(encoding: PrintPiece(request: "a", path: "/", offset: 1, last: true))
        let input = try #require(printer.method("Send")).input
        #expect(printer.mismatch(of: piece, with: input) == nil && unknown(piece, .structure(input)) == [])
        let head = try JSONValue(encoding: PrintAnswerHead(status: 200, type: "a", size: 1))
        let output = try #require(printer.method("Receive")).output
        #expect(printer.mismatch(of: head, with: output) == nil && unknown(head, .structure(output)) == [])
        #expect(PrintPiece.isName("aB-9") && !PrintPiece.isName("") && !PrintPiece.isName("a/b"))
        #expect(!PrintPiece.isName(String(repeating: "a", count: 65)))
    }

    /// Every member that there can be: what the text does not know, or calls otherwise, shows.
    @Test func repliesAreWhatTheTextSays() throws {
        let page = ScanPage(
            page: 1, sheet: 1, side: .front, object: 7, bytes: 8, expected: 9, format: "image/jpeg", resumed: true, sha256: "a",
            problem: "b")
        let end = ScanEnd(reason: .jam, message: "m", pages: 1, damaged: [2], lost: 3)
        let source = ScannerCapabilities.Source(
            source: .flatbed, minimum: .init(width: 1, height: 2), maximum: .init(width: 3, height: 4), modes: [.color],
            formats: ["image/jpeg"], resolutions: [300])
        let replies: [(ScannerInterface.Method, JSONValue)] = [
            (.getCapabilities, try JSONValue(encoding: ScannerCapabilities(name: "n", serial: "s", sources: [source]))),
            (.getStatus, try JSONValue(encoding: ScannerState(state: .idle, feeder: .loaded, job: "j"))),
            (.scan, try JSONValue(encoding: ScanProgress(.ended, message: "m", page: page, end: end))), (.cancel, .object([:])),
            (.feed, .object([:])),
        ]
        #expect(replies.count == ScannerInterface.Method.allCases.count)
        for (method, reply) in replies {
            let output = try #require(interface.method(method.rawValue)).output
            #expect(interface.mismatch(of: reply, with: output) == nil, "\(method)")
            #expect(unknown(reply, .structure(output)) == [], "\(method)")
        }
        #expect(missing(try JSONValue(encoding: page), .named("Page")) == [])
        #expect(missing(try JSONValue(encoding: end), .named("End")) == [])
    }

    @Test func parametersAreWhatTheTextSays() throws {
        let settings = ScanSettings(
            source: .automatic, resolution: 300, mode: .color, format: "f", x: 0, y: 0, width: 1, height: 1, pages: 1, held: true)
        let request = try JSONValue(encoding: ScanRequest(job: "j", settings: settings))
        let input = try #require(interface.method("Scan")).input
        #expect(interface.mismatch(of: request, with: input) == nil && unknown(request, .structure(input)) == [])
        #expect(missing(try JSONValue(encoding: settings), .named("Settings")) == [])
    }

    /// Members of a value that the text does not know.
    private func unknown(_ value: JSONValue, _ type: VarlinkType) -> [String] {
        switch (type, value) {
        case (.named(let name), _): interface.type(name).map { unknown(value, $0) } ?? [name]
        case (.optional(let type), _): unknown(value, type)
        case (.array(let type), .array(let values)): values.flatMap { unknown($0, type) }
        case (.structure(let fields), .object(let members)):
            members.flatMap { name, value in fields.first { $0.name == name }.map { unknown(value, $0.type) } ?? [name] }
        default: []
        }
    }

    /// Members of the text that a value does not have.
    private func missing(_ value: JSONValue, _ type: VarlinkType) -> [String] {
        guard case .named(let name) = type, case .structure(let fields)? = interface.type(name) else { return ["no structure"] }
        return fields.map(\.name).filter { value[$0] == nil }
    }
}
