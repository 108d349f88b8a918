import Testing

@testable import UserDriverClient

@Suite struct Base64Tests {
    /// RFC 4648 §10, and what the two odd digits mean.
    @Test(arguments: [
        "": "", "Zg==": "f", "Zm8=": "fo", "Zm9v": "foo", "Zm9vYg==": "foob", "Zm9vYmE=": "fooba", "Zm9vYmFy": "foobar",
    ]) func decodes(text: String, meaning: String) { #expect(Base64.decode(text) == Array(meaning.utf8)) }

    @Test func everyDigitHasItsValue() {
        #expect(Base64.decode("+/+/") == [0xfb, 0xff, 0xbf])
        #expect(Base64.decode("AAAA") == [0, 0, 0])
    }

    @Test(arguments: ["A", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm9_", "Zé=="]) func refuses(text: String) {
        #expect(Base64.decode(text) == nil)
    }
}
