// Our JSON against Foundation's, and what either leaves open settled.

import FoundationEssentials
import Testing

@testable import Wire

/// The tree as Foundation's decoder has it, found by trial.
private struct Reference: Decodable {
    let value: JSONValue

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            value = .null
        } else if let bool = try? container.decode(Bool.self) {
            value = .bool(bool)
        } else if let int = try? container.decode(Int64.self) {
            value = .int(int)
        } else if let double = try? container.decode(Double.self) {
            value = .double(double)
        } else if let string = try? container.decode(String.self) {
            value = .string(string)
        } else if let array = try? container.decode([Reference].self) {
            value = .array(array.map(\.value))
        } else {
            value = .object(try container.decode([String: Reference].self).mapValues(\.value))
        }
    }
}

/// Texts of valid JSON, the same ones each time.
private struct Texts {
    private static let spaces = ["", "", "", " ", "\n\t", "\r "]
    private static let parts = [
        "a", "é", #"\n"#, #"\""#, #"\\"#, #"\/"#, #"\u0041"#, #"\ud83d\ude00"#, "\u{1F600}", "\u{202E}", "\u{9B}", " ", "]", "{",
        #"\u202e"#,
    ]
    private static let numbers = [
        "0", "-0", "1", "-17", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615", "1e18", "5.0",
        "2.5", "-0.125", "1E-3", "1e+2", "1e300", "123456789.25", "4.35", "0.1",
    ]
    var state: UInt64

    private mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }
    private mutating func one(of list: [String]) -> String { list[below(list.count)] }

    private mutating func string(_ prefix: String = "") -> String {
        var text = "\"" + prefix
        for _ in 0..<below(5) { text += one(of: Self.parts) }
        return text + "\""
    }

    mutating func value(_ depth: Int) -> String {
        var text = one(of: Self.spaces)
        switch below(depth > 0 ? 7 : 5) {
        case 0: text += "null"
        case 1: text += below(2) == 0 ? "true" : "false"
        case 2, 3: text += one(of: Self.numbers)
        case 4: text += string()
        case 5:
            var elements: [String] = []
            for _ in 0..<below(4) { elements.append(value(depth - 1)) }
            text += "[" + elements.joined(separator: ",") + "]"
        default:
            var members: [String] = []
            // Names that differ.
            for index in 0..<below(4) { members.append(one(of: Self.spaces) + string("\(index)") + " :" + value(depth - 1)) }
            text += "{" + members.joined(separator: ",") + "}"
        }
        return text + one(of: Self.spaces)
    }
}

@Suite struct JSONTests {
    @Test func agreesWithFoundationOnWhatIsValid() throws {
        var texts = Texts(state: 42)
        for _ in 0..<2000 {
            let text = texts.value(5)
            let ours = try JSON.decode(JSONValue.self, from: text.utf8)
            #expect(try JSONDecoder().decode(Reference.self, from: Data(text.utf8)).value == ours, "\(text)")
            // And what is written, either reads.
            #expect(try JSONDecoder().decode(Reference.self, from: Data(try JSON.encode(ours))).value == ours)
            #expect(try JSON.decode(JSONValue.self, from: try JSON.encode(ours, pretty: true)) == ours)
        }
    }

    @Test func writesAsFoundationDoes() throws {
        let encoder = JSONEncoder()
        let value = MessageFromDriver.event(
            name: "a/b", parameters: ["z": [1, 2.5, .null, true], "A": [:], "a": [], "n": .double(5), "t": "tab\t\"\u{1}é"])
        for (pretty, formatting) in [(false, JSONEncoder.OutputFormatting()), (true, [.prettyPrinted])] {
            encoder.outputFormatting = formatting.union([.sortedKeys, .withoutEscapingSlashes])
            #expect(try JSON.encode(value, pretty: pretty) == Array(try encoder.encode(value)))
        }
    }

    @Test(arguments: [
        "", " ", "nul", "truee", "[1,]", "[,1]", "[1 2]", #"{"a"}"#, #"{"a":}"#, "{a:1}", #"{"a":1,}"#, "[", "{", #"""#, #""\"#, #""\u12"#,
        #""\x""#, "\"\u{1}\"", "\"\n\"", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "1 2", "\u{FEFF}1",
        #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#, "1e400", "-1e400", #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, "// c\n1",
    ]) func refuses(text: String) {
        #expect(throws: DecodingError.self) { try JSON.decode(JSONValue.self, from: text.utf8) }
    }

    @Test func refusesWhatIsNotUTF8AndNumbersWithoutEnd() {
        for bytes: [UInt8] in [
            // A byte that never occurs; an overlong form; a surrogate; beyond U+10FFFF; cut off; after an escape; UTF-16.
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22],
            [0x22, 0xE2, 0x82, 0x22], [0x22, 0x5C, 0x6E, 0xFF, 0x22], [0xFF, 0xFE, 0x31, 0x00],
            [UInt8](repeating: UInt8(ascii: "1"), count: 1025),
        ] {
            #expect(throws: DecodingError.self) { try JSON.decode(JSONValue.self, from: bytes) }
        }
    }

    @Test(arguments: [
        ("1e18", JSONValue.int(1_000_000_000_000_000_000)), ("5.0", 5), ("-0", 0), ("9223372036854775808", .double(0x1p63)), ("1e-400", 0),
        ("0.1", 0.1), ("100000000000000000000", .double(1e20)),
    ]) func numbersBecome(text: String, value: JSONValue) throws {
        #expect(try JSON.decode(JSONValue.self, from: text.utf8) == value)
    }

    @Test func numbersFitTheirTypeOrAreRefused() throws {
        func decoded<T: Decodable>(_ text: String, _ type: T.Type) throws -> T { try JSON.decode(type, from: text.utf8) }
        #expect(try decoded("255", UInt8.self) == 255)
        #expect(throws: DecodingError.self) { try decoded("256", UInt8.self) }
        #expect(throws: DecodingError.self) { try decoded("-1", UInt64.self) }
        #expect(throws: DecodingError.self) { try decoded("1.5", Int.self) }
        #expect(try decoded("3", Double.self) == 3)
        #expect(try decoded(String(decoding: JSON.encode(UInt64.max), as: UTF8.self), UInt64.self) == .max)
        #expect(throws: DecodingError.self) { try decoded("1e20", UInt64.self) }
        #expect(throws: EncodingError.self) { try JSON.encode(Double.infinity) }
        #expect(throws: EncodingError.self) { try JSON.encode(JSONValue.double(.nan)) }
    }

    /// Small objects many levels deep: too many values, and nothing is tried on those that are looked at.
    @Test func aMessageMayHaveSoManyValuesAndLevels() throws {
        let text =
            #"{"event":{"name":"x","parameters":"# + String(repeating: "[", count: 56) + String(repeating: "{},", count: 20_000) + "{}"
            + String(repeating: "]", count: 56) + "}}"
        let error = #expect(throws: WireError.self) { try Channel.decode(MessageFromDriver.self, from: Array(text.utf8)) }
        #expect(error?.code == .malformed && error?.description.contains("too many values") == true)
        let values = JSONLimits(values: 3)
        #expect(try JSON.decode(JSONValue.self, from: "[1,2]".utf8, limits: values) == [1, 2])
        #expect(throws: DecodingError.self) { try JSON.decode(JSONValue.self, from: "[1,2,3]".utf8, limits: values) }
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        _ = try JSON.decode(JSONValue.self, from: deep.utf8)
        #expect(throws: DecodingError.self) { try JSON.decode(JSONValue.self, from: "[\(deep)]".utf8) }
        // No decoder that would have to try does.
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(JSONValue.self, from: Data("1".utf8)) }
    }

    @Test func nothingThatSteersATerminalIsInAText() throws {
        let value: JSONValue = ["\u{9B}31m": "\u{1B}[2J\u{202E}\u{2028}\u{200D}\u{FEFF}\u{7F}\u{E0041}é漢\u{1F600}"]
        let text = String(decoding: try JSON.encode(value), as: UTF8.self)
        #expect(text.unicodeScalars.allSatisfy { $0.isPrintable })
        #expect(text.contains("é漢\u{1F600}") && text.contains(#"\u202e"#) && text.contains(#"\udb40\udc41"#))
        #expect(try JSON.decode(JSONValue.self, from: text.utf8) == value)
    }
}

@Suite struct PrintableTextTests {
    @Test(arguments: [
        "\u{0}", "\u{7}", "\u{8}", "\n", "\r", "\t", "\u{1B}", "\u{7F}", "\u{80}", "\u{85}", "\u{9B}", "\u{9D}", "\u{AD}", "\u{61C}",
        "\u{180E}", "\u{200B}", "\u{200D}", "\u{200E}", "\u{200F}", "\u{2028}", "\u{2029}", "\u{202A}", "\u{202E}", "\u{2060}", "\u{2066}",
        "\u{2069}", "\u{FEFF}", "\u{E0001}", "\u{E007F}",
    ]) func isNotShown(text: String) {
        let shown = "a\(text)b".printable
        #expect(shown == "a b" || shown == "a\u{FFFD}b")
    }

    @Test(arguments: ["", "plain text", "Kamera „Büro“ 漢字 😀", "e\u{301}"]) func staysAsItIs(text: String) {
        #expect(text.printable == text)
    }

    @Test func aTextIsClippedBetweenScalars() {
        #expect("aé漢".clipped(toBytes: 6) == "aé漢")
        #expect("aé漢".clipped(toBytes: 5) == "aé")
        #expect("aé漢".clipped(toBytes: 2) == "a")
        #expect(("e" + String(repeating: "\u{301}", count: 1000)).clipped(toBytes: 100).utf8.count <= 100)
    }
}
