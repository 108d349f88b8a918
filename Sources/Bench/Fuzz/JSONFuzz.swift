// Fuzzes the JSON parser and writer.

import Wire

/// A text. What is read from it can be written, printed, and reads the same again.
enum JSONFuzz: FuzzTarget {
    static let name = "json"
    static let seeds: [[UInt8]] = [
        Array(#"{"a":[1,-2.5e3,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{"":{}},"c":[]}"#.utf8),
        Array(" [ 1e18 , 9223372036854775808 ] ".utf8), Array("\"\u{e9}\u{9b}\u{202e}\u{1F600}\"".utf8), Array("[[[[[[[[]]]]]]]]".utf8),
        Array("0.000001E+20".utf8),
    ]

    static func run(_ bytes: [UInt8]) {
        let limits = JSONLimits(values: 16_384)
        guard let value = parse(bytes, limits) else { return }
        do {
            let text = try JSON.encode(value)
            let pretty = try JSON.encode(value, pretty: true)
            precondition(parse(text, limits) == value && parse(pretty, limits) == value, "a value changes when it is written")
            let shown = String(decoding: text, as: UTF8.self)
            precondition(shown.unicodeScalars.allSatisfy(\.isPrintable), "a text has what no terminal should get")
            precondition(shown.printable == shown, "what is printable is changed")
        } catch {
            preconditionFailure("a value that was read can't be written: \(error)")
        }
    }

    private static func parse(_ bytes: [UInt8], _ limits: JSONLimits) -> JSONValue? {
        do { return try JSON.decode(JSONValue.self, from: bytes, limits: limits) } catch { return nil }
    }
}
