// Fuzzes what says whom to trust: signatures, private keys, lists of signers and of revoked keys, manifests.

import Bundles
import Trust

/// A `.sig` file.
enum SignatureFuzz: FuzzTarget {
    static let name = "signature"
    private static let key = PrivateKey()
    private static let message: [UInt8] = [1, 2, 3]
    static let seeds: [[UInt8]] = {
        do {
            return [Array(try Signature(of: message, by: key, namespace: "userdriver").armoured.utf8)]
        } catch {
            preconditionFailure("a key that was just made can't sign: \(error)")
        }
    }()
    private static let store = TrustStore(signers: [AllowedSigner(principals: ["a"], key: key.publicKey)])

    static func run(_ bytes: [UInt8]) {
        do throws(TrustError) {
            let signature = try Signature(armoured: bytes)
            let again = try Signature(armoured: Array(signature.armoured.utf8))
            precondition(again == signature, "what was parsed is written as the same")
            // With the key that it brings along: whatever that is, the check comes to an end.
            do throws(TrustError) { try signature.check(message) } catch { precondition(!error.description.isEmpty) }
            _ = try store.signer(of: message, signature: signature, namespace: "userdriver", now: 0)
            precondition(Array(signature.armoured.utf8) == seeds[0], "another signature counts than the one that was made")
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}

/// An OpenSSH private key.
enum PrivateKeyFuzz: FuzzTarget {
    static let name = "private-key"
    static let seeds: [[UInt8]] = [Array(PrivateKey(comment: "a@b").file.utf8)]

    static func run(_ bytes: [UInt8]) {
        do throws(TrustError) {
            let key = try PrivateKey(file: bytes)
            precondition(key.publicKey.fingerprint.hasPrefix("SHA256:"))
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}

/// An allowed_signers file.
enum SignersFuzz: FuzzTarget {
    static let name = "signers"
    static let seeds: [[UInt8]] = [
        Array(
            "a@b,c* namespaces=\"userdriver,x\",valid-after=\"20200101Z\",valid-before=\"203001010000\" \(PrivateKey().publicKey.line) c\n"
                .utf8),
        Array("\"a b\" cert-authority \(PrivateKey().publicKey.line)\n# x\n!a \(PrivateKey().publicKey.line)".utf8),
    ]

    static func run(_ bytes: [UInt8]) {
        do throws(TrustError) {
            let list = try AllowedSigners(parsing: bytes)
            for entry in list.entries {
                precondition(!entry.principals.isEmpty)
                _ = entry.isNamed("a@b")
                _ = AllowedSigners.line(entry)
            }
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}

/// A KRL, or a list of keys.
enum RevocationFuzz: FuzzTarget {
    static let name = "revocations"
    private static let key = PrivateKey().publicKey
    private static func length(_ count: Int) -> [UInt8] { [0, 0, UInt8(count >> 8), UInt8(count & 0xff)] }
    private static func section(_ type: UInt8, _ entry: [UInt8]) -> [UInt8] {
        [type] + length(entry.count + 4) + length(entry.count) + entry
    }
    static let seeds: [[UInt8]] = [
        Array("SSHKRL\n\0".utf8) + [0, 0, 0, 1] + [UInt8](repeating: 0, count: 32) + section(2, key.blob)
            + section(3, [UInt8](repeating: 7, count: 20)) + section(5, [UInt8](repeating: 7, count: 32)) + section(1, []),
        Array("# x\n\(key.line)\n".utf8),
    ]

    static func run(_ bytes: [UInt8]) {
        do throws(TrustError) {
            let list = try RevocationList(parsing: bytes)
            _ = list.revokes(key)
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}

/// A driver.yaml.
enum ManifestFuzz: FuzzTarget {
    static let name = "manifest"
    static let seeds: [[UInt8]] = [
        Array(
            """
            id: io.example.camera
            version: 1.0
            kind: webcam
            executable: camera-driver
            sha256: 0000000000000000000000000000000000000000000000000000000000000000
            match:
              - {class: 0x0e, subclass: 1}
              - {device: "046d:08c2", bcdDevice: "0100-01ff"}
            interfaces: [{class: 14}]
            provides: [io.userdriver.camera]
            settings: {depth: 3, list: [1, "two"], nothing: null}
            quirks:
              - {match: {class: 0x0e}, set: {depth: 4, on: false}, reason: r, source: s}
            """.utf8)
    ]

    static func run(_ bytes: [UInt8]) {
        do throws(BundleError) {
            let manifest = try ManifestParser.parse(bytes, path: "driver.yaml")
            precondition(!manifest.executable.contains("/") && !manifest.match.contains { $0.specificity == 0 })
            precondition(!manifest.id.isEmpty && !manifest.name.contains("/"))
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}
