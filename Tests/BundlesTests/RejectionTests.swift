// Each bundle that is not to be run, and the reason that a person is given.

import Foundation
import Glibc
import Spawn
import Testing
import Trust
import Wire

@testable import Bundles

@Suite struct RejectionTests {
    private let folder = TemporaryFolder()
    private let key = PrivateKey(comment: "publisher@example.org")
    private var trust: DriverTrust { DriverTrust(key) }

    private func signed(_ manifest: String = goodManifest) throws -> BundleFolder {
        let bundle = try BundleFolder(folder.path, manifest: manifest)
        try bundle.sign(key)
        return bundle
    }

    @Test func takesWhatIsSignedAndSaysByWhom() throws {
        let bundle = try DriverBundle(path: try signed().path, trust: trust)
        #expect(bundle.verdict == .signed(Signer(name: "publisher@example.org", key: key.publicKey)))
        #expect(bundle.verdict.warnings == [])
        #expect(bundle.manifest.executableDigest == bundle.contents.executable)
    }

    @Test func unsigned() throws {
        let bundle = try BundleFolder(folder.path)
        #expect(bundle.refusal(trust).contains("It is unsigned"))
        // For development it is taken, and says what it goes without.
        let allowed = try DriverBundle(path: bundle.path, trust: DriverTrust(allowsUnsigned: true))
        #expect(allowed.verdict.warnings == ["unsigned"])
    }

    @Test func aBitOfTheManifest() throws {
        let bundle = try signed()
        // In "version: 1.0", which becomes 1.1: still a sound manifest.
        let text = try String(contentsOfFile: bundle.manifestPath, encoding: .utf8)
        let offset = try #require(text.range(of: "1.0")).upperBound.utf16Offset(in: text) - 1
        try bundle.flipBit(in: bundle.manifestPath, at: offset)
        #expect(bundle.refusal(trust).contains("has been altered"))
    }

    @Test func everySingleBitOfTheSignature() throws {
        let bundle = try signed()
        let manifest = try #require(try BundleFile.read(bundle.manifestPath, maximum: 1 << 16))
        let text = try #require(try BundleFile.read(bundle.signaturePath, maximum: 1 << 16))
        for index in text.indices {
            for bit in 0..<8 {
                var altered = text
                altered[index] ^= 1 << UInt8(bit)
                do throws(TrustError) {
                    let verdict = try trust.verdict(of: manifest, signature: altered)
                    // What is blank space or the end of a line carries nothing that was signed.
                    #expect(text[index] == 0x0a, "bit \(bit) of byte \(index) made no difference: \(verdict)")
                } catch {
                    #expect(!error.description.isEmpty)
                }
            }
        }
    }

    @Test func aBitOfTheExecutable() throws {
        let bundle = try signed()
        try bundle.flipBit(in: bundle.executablePath, at: 5)
        #expect(bundle.refusal(trust).contains("the executable is not the one that the manifest names"))
    }

    @Test func swappedAfterVerification() throws {
        let bundle = try signed()
        let verified = try DriverBundle(path: bundle.path, trust: trust)
        try writeFile("#!/bin/sh\necho owned\n", bundle.executablePath, mode: 0o755)
        #expect { try verified.executable() } throws: { "\($0)".contains("is not the one that the manifest names") }
        // Once its bytes are sealed, nothing that happens to the file changes what runs.
        try writeFile("#!/bin/false\n", bundle.executablePath, mode: 0o755)
        let sealed = try verified.executable()
        try writeFile("#!/bin/sh\necho owned\n", bundle.executablePath, mode: 0o755)
        #expect(try verified.executable() === sealed)
        #expect(try sealed.withBytes { Array($0) } == Array("#!/bin/false\n".utf8))
    }

    @Test func signedByNobodyKnown() throws {
        let bundle = try BundleFolder(folder.path)
        try bundle.sign(PrivateKey(comment: "publisher@example.org"))
        #expect(bundle.refusal(trust).contains("a key that is not trusted here, SHA256:"))
    }

    @Test func revoked() throws {
        let bundle = try signed()
        var trust = trust
        trust.store.revocations = [try RevocationList(parsing: Array(key.publicKey.line.utf8))]
        #expect(bundle.refusal(trust).contains("is revoked"))
    }

    @Test func aListOfRevokedKeysThatCannotBeReadRefusesEverybody() throws {
        let bundle = try signed()
        try writeFile(AllowedSigners.line(try #require(trust.store.signers.first)) + "\n", folder.path + "/signers")
        var files = TrustFiles(allowedSigners: [folder.path + "/signers"], revokedKeys: [folder.path + "/revoked"])
        #expect(try DriverBundle(path: bundle.path, trust: DriverTrust(reading: files)).verdict.signer?.name == "publisher@example.org")
        try writeFile("what is this\n", folder.path + "/revoked")
        #expect(bundle.refusal(DriverTrust(reading: files)).contains("It is not known which keys are revoked"))
        // A list of signers that anybody could have written names nobody.
        files.revokedKeys = []
        chmod(folder.path + "/signers", 0o666)
        let trust = DriverTrust(reading: files)
        #expect(trust.problems.first?.contains("someone else could have written it") == true)
        #expect(bundle.refusal(trust).contains("not trusted here"))
    }

    @Test func expiredAndNotYetValid() throws {
        let bundle = try signed()
        #expect(bundle.refusal(DriverTrust(key, validBefore: 1_000_000_000)).contains("has expired: it was valid until 2001-09-09"))
        #expect(bundle.refusal(DriverTrust(key, validAfter: 4_000_000_000)).contains("is not valid before 2096"))
        #expect(
            try DriverBundle(path: bundle.path, trust: DriverTrust(key, validAfter: 0, validBefore: 4_000_000_000)).verdict != .unsigned)
    }

    @Test func signedForAnotherNamespace() throws {
        let bundle = try signed()
        let manifest = try #require(try BundleFile.read(bundle.manifestPath, maximum: 1 << 16))
        let other = try Signature(of: manifest, by: key, namespace: "git")
        try writeFile(other.armoured, bundle.signaturePath)
        #expect(bundle.refusal(trust).contains("signed for the namespace \"git\", not for userdriver"))
        try bundle.sign(key)
        #expect(bundle.refusal(DriverTrust(key, namespaces: ["git", "file"])).contains("may sign for the namespaces git,file only"))
    }

    @Test func aSignatureThatVouchesForNoExecutable() throws {
        let bundle = try BundleFolder(folder.path)
        let manifest = try #require(try BundleFile.read(bundle.manifestPath, maximum: 1 << 16))
        try writeFile(try Signature(of: manifest, by: key, namespace: "userdriver").armoured, bundle.signaturePath)
        #expect(bundle.refusal(trust).contains("does not give the executable's sha256"))
    }

    @Test(arguments: ["../../bin/sh", "/bin/sh", "..", "a/../b"]) func aPathInTheManifest(path: String) throws {
        let bundle = try BundleFolder(
            folder.path, manifest: goodManifest.replacing("executable: camera-driver", with: "executable: \(path)"))
        #expect(bundle.refusal(DriverTrust(allowsUnsigned: true)).contains("executable must be the plain name of a file in the bundle"))
    }

    @Test(arguments: ["driver.yaml", "driver.yaml.sig", "camera-driver"]) func aSymbolicLink(file: String) throws {
        let bundle = try signed()
        rename(bundle.path + "/" + file, folder.path + "/elsewhere")
        symlink(folder.path + "/elsewhere", bundle.path + "/" + file)
        let reason = bundle.refusal(trust)
        #expect(reason.contains("symbolic link") || reason.contains("not a regular file"), "\(reason)")
    }

    @Test func aFolderThatIsASymbolicLink() throws {
        let bundle = try signed()
        rename(bundle.path, folder.path + "/elsewhere")
        symlink(folder.path + "/elsewhere", bundle.path)
        #expect(bundle.refusal(trust).contains("it is a symbolic link"))
    }

    @Test func aManifestOfAHundredMegabytes() throws {
        let bundle = try signed()
        let file = open(bundle.manifestPath, O_WRONLY)
        #expect(ftruncate(file, 100 << 20) == 0)
        close(file)
        #expect(bundle.refusal(trust).contains("the file is larger than 65536 bytes"))
    }

    @Test(arguments: ["{}", "{protocol: 1}", "{subclass: 1}"]) func rulesThatClaimEveryDevice(rule: String) throws {
        let bundle = try signed()
        try writeFile(goodManifest.replacing("{class: 0x0e, subclass: 1}", with: rule), bundle.manifestPath)
        let reason = bundle.refusal(trust)
        #expect(reason.contains("it would take every device") || reason.contains("needs a"), "\(reason)")
    }

    @Test func aFolderThatClaimsToBeAnotherDriver() throws {
        let bundle = try signed(goodManifest.replacing("io.example.camera", with: "io.example.scanner"))
        #expect(
            bundle.refusal(trust).contains("it has the wrong name: io.example.scanner belongs in scanner.driver, not in camera.driver"))
    }

    @Test func whatIsRefusedIsSaidOfTheDeviceThatHasNoDriver() throws {
        let bundle = try BundleFolder(folder.path)
        let catalog = DriverCatalog(folders: [folder.path], trust: trust)
        #expect(catalog.absence(of: subject()).contains("\(bundle.path): It is unsigned"))
        #expect(catalog.absence(of: subject(class: 3)) == "No driver is installed for this device.")
        #expect(catalog.statuses.map(\.state) == [.refused])
        #expect(catalog.statuses.first?.id == "io.example.camera")
    }
}
