// Lines of allowed_signers by the hundred, ordinary and absurd: what ssh-keygen takes is taken, and nothing else.

import Foundation
import Testing

@testable import Trust

@Suite(.enabled(if: SSHKeygen.isThere, "ssh-keygen is not installed (Debian: openssh-client)"))
struct SignerLineTests {
    /// Who might claim to have signed.
    private static let names = ["a", "ab", "a b", "A", "zzz", "x@example.org"]
    private static let principals = [
        "a", "b,a", "!*", "a,!*", "!*,a", "*,!*", "*", "!a", "*,!a", "a,!b", "?", "a*,!a", "!!a,*", "**", "a,,b", ",a", "\"a\"", "\"a b\"",
        "a\"b\"", "\"a\"b", "\"a", "*@example.org", "!*@*,*", "!?,*", "A", "a,!**", "a,!?*", String(repeating: "x", count: 1100) + ",a",
    ]
    private static let options = [
        "", "namespaces=\"userdriver\"", "namespaces=\"!*,userdriver\"", "namespaces=\"user*\"", "namespaces=\"*,!*\"", "namespaces=\"\"",
        "namespaces=\"file,!userdriver\"", "NAMESPACES=\"userdriver\"", "namespaces=userdriver", "namespaces=\"userdriver\",",
        "namespaces=\"userdriver\",,valid-before=\"20990101\"", ",namespaces=\"userdriver\"", "namespaces=\"userdriver", "unknown",
        "namespaces=\"userdriver\",namespaces=\"userdriver\"", "valid-before=\"20990101\"", "valid-before=\"20200101\"",
        "valid-after=\"20200101\",valid-before=\"20990101\"", "valid-after=\"20200101\",valid-after=\"20210101\"",
        "valid-after=\"20990101\",valid-before=\"20200101\"", "namespaces=\"\\\"userdriver\"", "namespaces=\"user\\\"driver,userdriver\"",
        "cert-authority", "namespaces=\"userdriver\" \"more\"",
    ]

    /// The key's base64, and what is not.
    private func keys(_ line: String) -> [String] {
        let words = line.split(separator: " ").map(String.init)
        let (type, text) = (words[0], words[1])
        let bare = String(text.prefix { $0 != "=" })
        return [
            line, "\(type) \(bare)", "\(type) \(text)=", "\(type) \(text)==", "\(type) \(bare)=", "\(type) \(bare)==", "\(type) \(bare)===",
            "\(type) \(bare)====", "\(type) =\(text)", "\(type) \(bare.dropLast())", "\(type) \(bare)A", "\(type) \(bare)AAAA",
            "\(type) \(bare)-", "\(type)  \(text)", "\(type)\t\(text) comment", "\(type) \(text) \"comment", "\(type) \(text)\r",
            "\(type.uppercased()) \(text)", "ssh-dss \(text)", type, text, "\(type) \(bare.prefix(8)) \(bare.dropFirst(8))",
        ]
    }

    private static let types = ["ed25519", "ecdsa"]

    @Test(arguments: types)
    func agreesWithSSHKeygenOnEveryLine(type: String) throws {
        let tool = SSHKeygen()
        let message = Array("what is signed".utf8)
        try tool.makeKey("a", type)
        try tool.write(message, "m")
        #expect(try tool.run("-q", "-Y", "sign", "-f", "a", "-n", "userdriver", "m").status == 0)
        let signature = try Signature(armoured: try tool.read("m.sig"))
        let key = try PublicKey(line: try tool.text("a.pub")).line
        var lines = keys(key).map { "a \($0)" }
        // What is not the key's is the same for each type.
        if type == Self.types[0] {
            lines += Self.principals.map { "\($0) \(key)" } + Self.options.map { "a \($0) \(key)" } + [" \ta\t \(key)"]
        }
        lines += ["", "#", "# a \(key)", "a", "a ", key, "\"\" \(key)", "a # \(key)"]
        // And what nobody thought of.
        var generator = Seeded(state: 1)
        for _ in 0..<(type == Self.types[0] ? 60 : 0) {
            let principal = Self.principals.randomElement(using: &generator) ?? "a"
            let option = Self.options.randomElement(using: &generator) ?? ""
            var line = Array("\(principal) \(option) \(keys(key).randomElement(using: &generator) ?? key)".utf8)
            let at = Int.random(in: 0..<line.count, using: &generator)
            if Bool.random(using: &generator) { line[at] = "!*?\", =\\aA".utf8.randomElement(using: &generator) ?? 0x61 }
            lines.append(String(decoding: line, as: UTF8.self))
        }
        let now = SignerDate.now()
        for line in lines {
            try tool.write(Array((line + "\n").utf8), "allowed_signers")
            let list = try AllowedSigners(parsing: Array((line + "\n").utf8))
            let isTaken: Bool
            do throws(TrustError) {
                _ = try TrustStore(signers: list.entries).signer(of: message, signature: signature, namespace: "userdriver", now: now)
                isTaken = true
            } catch {
                isTaken = false
            }
            var isTakenForSomebody = false
            for name in Self.names {
                let verified = try tool.run(
                    "-Y", "verify", "-f", "allowed_signers", "-I", name, "-n", "userdriver", "-s", "m.sig", input: message)
                let isTheirs = verified.status == 0
                isTakenForSomebody = isTakenForSomebody || isTheirs
                let isOurs = isTaken && list.entries.contains { $0.isNamed(name) }
                #expect(isOurs == isTheirs, "\(name) of \(line.prefix(200)): \(verified.output) \(list.problems)")
            }
            #expect(isTaken == isTakenForSomebody, "\(line.prefix(200)): \(list.problems)")
        }
    }

    @Test func aListThatAdmitsNobodyIsKnown() {
        for nobody in [
            ["!*"], ["*", "!*"], ["a", "!a"], ["a", "!*"], ["a*", "!a*"], ["a?", "!a*"], ["a", "!?"], ["!b"], ["*", "!**"],
        ] {
            #expect(!Pattern.admitsAnybody(nobody), "\(nobody)")
        }
        for somebody in [["a"], ["*"], ["*", "!a"], ["a*", "!a"], ["a*", "!a?*"], ["a*", "!a", "!a??*"], ["?", "!a"], ["*b*", "!a*"]] {
            #expect(Pattern.admitsAnybody(somebody), "\(somebody)")
        }
    }

    private struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }
}
