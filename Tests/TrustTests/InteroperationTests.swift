// Both ways with the real ssh-keygen: keys, signatures, lists of signers, revocation lists.

import Foundation
import Testing

@testable import Trust

@Suite(.enabled(if: SSHKeygen.isThere, "ssh-keygen is not installed (Debian: openssh-client)"))
struct InteroperationTests {
    private let tool = SSHKeygen()
    private let message = Array("id: io.example.camera\nversion: 1.0\n".utf8)

    private func signers(_ names: String..., options: String = "namespaces=\"userdriver\"") throws -> AllowedSigners {
        let text = try names.map { "\($0)@example.org \(options) \(try tool.text($0 + ".pub"))" }.joined()
        try tool.write(Array(text.utf8), "allowed_signers")
        let list = try AllowedSigners(parsing: Array(text.utf8))
        #expect(list.problems == [])
        return list
    }

    private func publicKey(_ name: String) throws -> PublicKey { try PublicKey(line: try tool.text(name + ".pub")) }

    @Test(arguments: ["ed25519", "ecdsa"], ["sha512", "sha256"])
    func verifiesWhatSSHKeygenSigned(type: String, hash: String) throws {
        try tool.makeKey("a", type)
        try tool.write(message, "driver.yaml")
        #expect(try tool.run("-Y", "sign", "-f", "a", "-n", "userdriver", "-O", "hashalg=\(hash)", "driver.yaml").status == 0)
        let signature = try Signature(armoured: try tool.read("driver.yaml.sig"))
        #expect(signature.hashAlgorithm.rawValue == hash)
        let store = TrustStore(signers: try signers("a").entries)
        let signer = try store.signer(of: message, signature: signature, namespace: "userdriver", now: 0)
        #expect(signer.name == "a@example.org")
        #expect(try tool.run("-l", "-f", "a.pub").output.contains(signer.key.fingerprint))
        // Their text is ours, to the byte.
        #expect(signature.armoured == (try tool.text("driver.yaml.sig")))
        #expect { try store.signer(of: message + [0], signature: signature, namespace: "userdriver", now: 0) } throws: {
            ($0 as? TrustError)?.code == .wrongSignature
        }
    }

    @Test(arguments: ["ed25519", "ecdsa"], [Signature.HashAlgorithm.sha512, .sha256])
    func signsWhatSSHKeygenVerifies(type: String, hash: Signature.HashAlgorithm) throws {
        try tool.makeKey("a", type)
        let key = try PrivateKey(file: try tool.read("a"))
        #expect(key.comment == "a@example.org")
        #expect(key.publicKey == (try publicKey("a")))
        let signature = try Signature(of: message, by: key, namespace: "userdriver", hashAlgorithm: hash)
        try tool.write(Array(signature.armoured.utf8), "sig")
        _ = try signers("a")
        let verified = try tool.run(
            "-Y", "verify", "-f", "allowed_signers", "-I", "a@example.org", "-n", "userdriver", "-s", "sig", input: message)
        #expect(verified.status == 0, "\(verified.output)")
        let found = try tool.run("-Y", "find-principals", "-f", "allowed_signers", "-s", "sig")
        #expect(found.output == "a@example.org\n")
        let wrong = try tool.run(
            "-Y", "verify", "-f", "allowed_signers", "-I", "a@example.org", "-n", "userdriver", "-s", "sig", input: message + [1])
        #expect(wrong.status != 0)
        let elsewhere = try tool.run(
            "-Y", "verify", "-f", "allowed_signers", "-I", "a@example.org", "-n", "git", "-s", "sig", input: message)
        #expect(elsewhere.status != 0)
    }

    @Test func ssh_keygenReadsTheKeysThatAreWritten() throws {
        for comment in ["", "a", "ab@example.org"] {
            let key = PrivateKey(comment: comment)
            try tool.write(Array(key.file.utf8), "key")
            #expect(try PrivateKey(file: try tool.read("key")).publicKey == key.publicKey)
            let derived = try tool.run("-y", "-f", "key")
            #expect(derived.output.hasPrefix(key.publicKey.line), "\(derived.output)")
        }
        try tool.makeKey("e", "ecdsa")
        let key = try PrivateKey(file: try tool.read("e"))
        #expect(try PrivateKey(file: Array(key.file.utf8)).publicKey == key.publicKey)
    }

    @Test func refusesOtherKeysWithAWord() throws {
        try tool.makeKey("rsa", "rsa", bits: 2048)
        try tool.makeKey("large", "ecdsa", bits: 384)
        try tool.makeKey("locked", "ed25519", passphrase: "secret")
        for name in ["rsa", "large"] {
            #expect { try PrivateKey(file: try tool.read(name)) } throws: {
                "\($0)".contains("are not supported: sign with an ed25519 key")
            }
            try tool.write(message, "driver.yaml")
            #expect(try tool.run("-Y", "sign", "-f", name, "-n", "userdriver", "driver.yaml").status == 0)
            let signature = try Signature(armoured: try tool.read("driver.yaml.sig"))
            let store = TrustStore(signers: try signers(name).entries)
            #expect { try store.signer(of: message, signature: signature, namespace: "userdriver", now: 0) } throws: {
                ($0 as? TrustError)?.code == .unsupported
            }
            try FileManager.default.removeItem(atPath: tool.folder + "/driver.yaml.sig")
        }
        #expect { try PrivateKey(file: try tool.read("locked")) } throws: { "\($0)".contains("protected by a passphrase") }
        #expect(try tool.run("-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", "pem").status == 0)
        #expect { try PrivateKey(file: try tool.read("pem")) } throws: { "\($0)".contains("ssh-keygen -p") }
    }

    @Test func readsRevocationListsOfEachKind() throws {
        for name in ["a", "b", "c", "d"] { try tool.makeKey(name, "ed25519") }
        try tool.write(Array("sha1: \(try tool.text("b.pub"))sha256: \(try tool.text("c.pub"))".utf8), "spec")
        let made = try tool.run("-k", "-f", "krl", "a.pub", "spec")
        #expect(made.status == 0, "\(made.output)")
        let list = try RevocationList(parsing: try tool.read("krl"))
        #expect(list.count == 3)
        for name in ["a", "b", "c", "d"] {
            #expect(list.revokes(try publicKey(name)) == (name != "d"), "\(name)")
            #expect(try tool.run("-Q", "-f", "krl", name + ".pub").status == (name != "d" ? 1 : 0), "\(name): ssh-keygen says otherwise")
        }
        #expect(try tool.run("-k", "-u", "-f", "krl", "d.pub").status == 0)
        #expect(try RevocationList(parsing: try tool.read("krl")).revokes(try publicKey("d")))
        let plain = Array("# gone\n\(try tool.text("a.pub"))\n".utf8)
        #expect(try RevocationList(parsing: plain).revokes(try publicKey("a")))
        #expect(try !RevocationList(parsing: plain).revokes(try publicKey("b")))
    }

    @Test func aRevocationListCutShortIsRefusedAtEveryByte() throws {
        try tool.makeKey("a", "ed25519")
        try tool.write(Array("sha256: \(try tool.text("a.pub"))".utf8), "spec")
        #expect(try tool.run("-k", "-f", "krl", "spec").status == 0)
        let bytes = try tool.read("krl")
        let whole = try RevocationList(parsing: bytes)
        #expect(whole.revokes(try publicKey("a")))
        // Up to the end of its header it is a list that revokes nobody; from there on a piece is none.
        let header = 8 + 4 + 3 * 8 + 4 + 4
        for count in 8..<bytes.count where count != header {
            #expect(throws: TrustError.self, "\(count) bytes") { try RevocationList(parsing: Array(bytes[..<count])) }
        }
        #expect { try RevocationList(parsing: bytes + [9, 0, 0, 0, 0]) } throws: { "\($0)".contains("section of type 9") }
        let critical: [UInt8] = [255, 0, 0, 0, 10, 0, 0, 0, 1, 0x78, 1, 0, 0, 0, 0]
        #expect { try RevocationList(parsing: bytes + critical) } throws: { "\($0)".contains("critical extension \"x\"") }
    }

    @Test func agreesOnDates() throws {
        try tool.makeKey("a", "ed25519")
        try tool.write(message, "driver.yaml")
        #expect(try tool.run("-Y", "sign", "-f", "a", "-n", "userdriver", "driver.yaml").status == 0)
        let signature = try Signature(armoured: try tool.read("driver.yaml.sig"))
        let options = "namespaces=\"userdriver\",valid-after=\"20200102\",valid-before=\"202106301215\""
        let store = TrustStore(signers: try signers("a", options: options).entries)
        for time in ["20200101235959", "20200102000000", "20210630121500", "20210630121501"] {
            let verified = try tool.run(
                "-Y", "verify", "-f", "allowed_signers", "-I", "a@example.org", "-n", "userdriver", "-s", "driver.yaml.sig", "-O",
                "verify-time=\(time)", input: message)
            let isOurs: Bool
            do throws(TrustError) {
                _ = try store.signer(of: message, signature: signature, namespace: "userdriver", now: try SignerDate.seconds(time))
                isOurs = true
            } catch {
                #expect(error.code == .expired || error.code == .notYetValid)
                isOurs = false
            }
            #expect(isOurs == (verified.status == 0), "\(time): \(verified.output)")
        }
    }

    @Test func ssh_keygenReadsTheLinesThatAreWritten() throws {
        try tool.makeKey("a", "ed25519")
        let key = try PrivateKey(file: try tool.read("a"))
        let entry = AllowedSigner(
            principals: ["a@example.org", "b*"], key: key.publicKey, namespaces: ["userdriver", "file"],
            validAfter: try SignerDate.seconds("20200101Z"), validBefore: try SignerDate.seconds("20990101Z"))
        let line = AllowedSigners.line(entry)
        #expect(try AllowedSigners(parsing: Array(line.utf8)).entries == [entry])
        try tool.write(Array((line + "\n").utf8), "allowed_signers")
        try tool.write(Array(try Signature(of: message, by: key, namespace: "userdriver").armoured.utf8), "sig")
        let verified = try tool.run("-Y", "verify", "-f", "allowed_signers", "-I", "bert", "-n", "userdriver", "-s", "sig", input: message)
        #expect(verified.status == 0, "\(verified.output)")
        #expect(entry.isNamed("bert"))
        #expect(!entry.isNamed("carl"))
    }
}
