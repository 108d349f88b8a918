// Definitions in Varlink's language, sound and not.

import Testing

@testable import Wire

@Suite struct InterfaceTests {
    private static let text = """
        # A thermometer.
        interface org.example.thermometer

        type Unit (celsius, fahrenheit)
        type Reading (degrees: float, unit: Unit, history: []Reading, named: [string]?int)

        # About nothing in particular.

        # Measures.
        #  Twice.
        method Read(count: ?int, options: (quick: bool, raw: object)) -> (reading: Reading)
        method Reset() -> ()
        error OutOfRange (minimum: float)
        """

    @Test func readsTypesMethodsAndErrors() throws {
        let interface = try VarlinkInterface(parsing: Self.text.utf8)
        #expect(interface.name == "org.example.thermometer" && interface.text == Self.text)
        #expect(interface.type("Unit") == .enumeration(["celsius", "fahrenheit"]))
        #expect(
            interface.type("Reading")
                == .structure([
                    .init(name: "degrees", type: .float), .init(name: "unit", type: .named("Unit")),
                    .init(name: "history", type: .array(.named("Reading"))), .init(name: "named", type: .map(.optional(.int))),
                ]))
        let read = try #require(interface.method("Read"))
        #expect(read.signature == "Read(count: ?int, options: (quick: bool, raw: object)) -> (reading: Reading)")
        #expect(read.comment == "Measures.\nTwice.")
        #expect(interface.method("Reset")?.output == [] && interface.hasError("OutOfRange") && !interface.hasError("Read"))
    }

    @Test(arguments: [
        ("", 1, 1, "a word belongs here"), ("interfac a.b", 1, 1, "begin with"), ("interface a", 1, 11, "like org.example"),
        ("interface a.b\nmethod read() -> ()", 2, 8, "capital"), ("interface a.b\nmethod Read()", 2, 14, "->"),
        ("interface a.b\nmethod Read(x) -> ()", 2, 12, "have types"), ("interface a.b\n\nmethod A(x: Y) -> ()", 3, 13, "no type Y"),
        ("interface a.b\ntype T (a: int)\ntype T (b: int)", 3, 6, "twice"), ("interface a.b\ntype T (a: int, a: int)", 2, 17, "twice"),
        ("interface a.b\ntype T (a: int, b)", 2, 18, "\":\""), ("interface a.b\ntype T (a: integer)", 2, 12, "a type"),
        ("interface a.b\ntype T (a: ??int)", 2, 13, "optional only once"), ("interface a.b\ntype T (a: [int]int)", 2, 12, "[string]"),
        ("interface a.b\ntype T (a: int", 2, 15, "\",\" or \")\""), ("interface a.b\nmethods", 2, 1, "belongs here"),
        ("interface a.b\ntype T int", 2, 8, "parentheses"), ("interface a.b\nerror E", 2, 8, "parentheses"),
        ("interface a.b\ntype T (_a: int)", 2, 9, "member"), ("interface -a.b", 1, 11, "like org"), ("interface a..b", 1, 11, "like org"),
    ])
    func saysWhereAndWhatIsWrong(text: String, line: Int, column: Int, words: String) throws {
        let error = try #require(throws: VarlinkSyntaxError.self) { try VarlinkInterface(parsing: text.utf8) }
        #expect(error.line == line && error.column == column && error.problem.contains(words), "\(error)")
    }

    @Test func depthAndSizeHaveBounds() throws {
        let deep = "interface a.b\ntype T (a: \(String(repeating: "[]", count: 10_000))int)"
        let tooDeep = try #require(throws: VarlinkSyntaxError.self) { try VarlinkInterface(parsing: deep.utf8) }
        #expect(tooDeep.problem.contains("16"))
        let long = "interface a.b\n" + String(repeating: "# comment\n", count: 7000)
        let tooLong = try #require(throws: VarlinkSyntaxError.self) { try VarlinkInterface(parsing: long.utf8) }
        #expect(tooLong.problem.contains("65536"))
        #expect(throws: VarlinkSyntaxError.self) { try VarlinkInterface(parsing: Array("interface a.b\n#".utf8) + [0xff]) }
    }

    @Test func valuesAreCheckedAgainstTheDefinition() throws {
        let interface = try VarlinkInterface(parsing: Self.text.utf8)
        let input = try #require(interface.method("Read")).input
        #expect(interface.mismatch(of: ["options": ["quick": true, "raw": [:]], "more": 1], with: input) == nil)
        #expect(interface.mismatch(of: ["options": ["quick": 1, "raw": [:]]], with: input) == "options.quick must be of the type bool")
        #expect(interface.mismatch(of: [:], with: input) == "options is missing")
        #expect(interface.mismatch(of: ["count": "x", "options": .null], with: input) == "count must be of the type int")
        let output = try #require(interface.method("Read")).output
        let reading: JSONValue = ["degrees": 1, "unit": "kelvin", "history": [], "named": [:]]
        #expect(interface.mismatch(of: ["reading": reading], with: output) == "reading.unit must be one of celsius, fahrenheit")
    }

    @Test func ourOwnDefinitionsCanBeRead() throws {
        #expect(ManagementInterface.interface.name == ManagementInterface.name)
        #expect(try VarlinkInterface(parsing: VarlinkService.definition.utf8).methods.count == 2)
    }

    @Test func aStreamsStatusIsFlatAndItsOwnMembersCount() throws {
        let stream = DeviceStatus.Stream(
            name: "video", frames: 3, lost: 1, clients: 2, shown: ["format": "mjpeg", "frames": 99, "watchers": "nobody"])
        let tree = try JSONValue(encoding: stream)
        #expect(tree == ["name": "video", "frames": 3, "lost": 1, "clients": 2, "format": "mjpeg"])
        #expect(try tree.decoded(as: DeviceStatus.Stream.self) == stream)
    }
}
