// Lists of signers, patterns, dates: what is taken and what is refused.

import Testing

@testable import Trust

@Suite struct ListTests {
    private let key = PrivateKey()

    private func parse(_ text: String) throws -> AllowedSigners {
        try AllowedSigners(parsing: Array(text.replacing("KEY", with: key.publicKey.line).utf8))
    }

    @Test func readsALine() throws {
        let list = try parse(
            """
            # who may

            a@example.org,*@example.com namespaces="userdriver,file",valid-after="20200101Z",valid-before="20300101000000Z" KEY a comment
            \"two words\" KEY
            """)
        #expect(list.problems == [])
        #expect(list.entries.count == 2)
        #expect(list.entries[0].principals == ["a@example.org", "*@example.com"])
        #expect(list.entries[0].namespaces == ["userdriver", "file"])
        #expect(list.entries[0].validAfter == 1_577_836_800)
        #expect(list.entries[0].validBefore == 1_893_456_000)
        #expect(list.entries[1].principals == ["two words"])
    }

    @Test(arguments: [
        ("a cert-authority KEY", "cert-authority is not supported"), ("a cert-authority,namespaces=\"x\" KEY", "cert-authority"),
        ("a KE", "no key"), ("a", "no key"), ("a namespaces=\"x KEY", "not closed"), ("a namespaces=x KEY", "not known"),
        ("a verify-required KEY", "not known"), ("a valid-after=\"2020\" KEY", "not a date"),
        ("a valid-after=\"20200230\" KEY", "calendar"),
        ("a valid-before=\"20200101Z\",valid-after=\"20210101Z\" KEY", "not after"), ("a ssh-ed25519 AAAA", "malformed"),
        ("a ssh-rsa \u{1}", "not text"), ("a namespaces=\"a\",namespaces=\"b\" KEY", "two namespaces"),
    ])
    func aLineThatIsNotUnderstoodTrustsNobody(line: String, problem: String) throws {
        let list = try parse("good KEY\n\(line)\n")
        #expect(list.entries.map(\.name) == ["good"], "\(list.problems)")
        #expect(list.problems.count == 1)
        #expect(list.problems.first?.contains("line 2") == true && list.problems.first?.contains(problem) == true, "\(list.problems)")
    }

    @Test func patternsMatchAsInOpenSSH() {
        for (pattern, name, matches) in [
            ("*", "", true), ("*", "x", true), ("?", "x", true), ("?", "", false), ("a*c", "abc", true), ("a*c", "abcd", false),
            ("*@example.org", "a@example.org", true), ("a?c*", "abcdef", true), ("**a", "bba", true), ("abc", "abc", true), ("", "", true),
        ] { #expect(Pattern.matches(pattern[...], name) == matches, "\(pattern) \(name)") }
        #expect(Pattern.list(["*", "!b"], admits: "a"))
        #expect(!Pattern.list(["*", "!b"], admits: "b"))
        #expect(!Pattern.list(["!b"], admits: "a"))
        // Linear in effect: no pattern takes for ever.
        #expect(!Pattern.matches(String(repeating: "*a", count: 200)[...], String(repeating: "a", count: 199) + "b"))
    }

    @Test func ofSeveralLinesForAKeyAnyMayAllow() throws {
        let message: [UInt8] = [1, 2, 3]
        let signature = try Signature(of: message, by: key, namespace: "userdriver")
        let list = try parse("a namespaces=\"git\" KEY\nb valid-before=\"20200101Z\" KEY\nc KEY\n")
        let store = TrustStore(signers: list.entries)
        #expect(try store.signer(of: message, signature: signature, namespace: "userdriver", now: 1_700_000_000).name == "c")
        #expect(try store.signer(of: message, signature: signature, namespace: "userdriver", now: 1_500_000_000).name == "b")
        let fewer = TrustStore(signers: Array(list.entries.prefix(2)))
        #expect { try fewer.signer(of: message, signature: signature, namespace: "userdriver", now: 1_700_000_000) } throws: {
            ($0 as? TrustError)?.code == .namespace
        }
    }

    @Test func aPrivateKeyIsCheckedAgainstItself() {
        for text in [
            "", "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n", "-----BEGIN X-----\nAAAA\n-----END X-----\n",
        ] {
            #expect(throws: TrustError.self) { try PrivateKey(file: Array(text.utf8)) }
        }
    }
}
