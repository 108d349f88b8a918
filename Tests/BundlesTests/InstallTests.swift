// Installing, going back, taking away; keys that are trusted and revoked.

import Foundation
import Glibc
import Testing
import Trust

@testable import Bundles

@Suite struct InstallTests {
    private let folder = TemporaryFolder()
    private let key = PrivateKey(comment: "publisher@example.org")
    private var trust: DriverTrust { DriverTrust(key) }
    private var installer: BundleInstaller { BundleInstaller(folder: folder.path + "/drivers") }

    private func version(_ number: String) throws -> BundleFolder {
        let bundle = try BundleFolder(
            folder.path + "/source", manifest: goodManifest.replacing("version: 1.0", with: "version: \"\(number)\""),
            executable: "#!/bin/false \(number)\n")
        try bundle.sign(key)
        return bundle
    }

    private var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: installer.folder).sorted() } }

    @Test func installsReplacesAndGoesBack() throws {
        let first = try installer.install(from: try version("1").path, trust: trust)
        #expect(first.previousVersion == nil)
        #expect(try names == ["camera.driver"])
        #expect(try installer.install(from: try version("1").path, trust: trust).wasThere)
        let second = try installer.install(from: try version("2").path, trust: trust)
        #expect(second.previousVersion == "1")
        #expect(second.bundle.manifest.version == "2")
        #expect(try names == [".camera.driver.previous", "camera.driver"])
        #expect(try installer.rollback("camera", trust: trust).bundle.manifest.version == "1")
        #expect(try installer.rollback("camera", trust: trust).bundle.manifest.version == "2")
        _ = try installer.install(from: try version("3").path, trust: trust)
        #expect(try installer.rollback("camera", trust: trust).bundle.manifest.version == "2")
        #expect(DriverCatalog(folders: [installer.folder], trust: trust).bundles.map(\.manifest.version) == ["2"])
        try installer.remove("camera")
        #expect(try names.isEmpty)
        #expect(throws: BundleError.self) { try installer.remove("camera") }
        #expect(throws: BundleError.self) { try installer.rollback("camera", trust: trust) }
    }

    @Test func installsTheModesThatTheDaemonNeeds() throws {
        let mask = umask(0o077)
        defer { umask(mask) }
        let installed = try installer.install(from: try version("1").path, trust: trust).bundle
        for (path, mode) in [(installed.path, 0o755), (installed.path + "/driver.yaml", 0o644), (installed.executablePath, 0o755)] {
            var status = stat()
            #expect(lstat(path, &status) == 0 && Int(status.st_mode & 0o777) == mode, "\(path)")
        }
    }

    @Test func aListOfSignersIsReadableWhateverTheMaskIs() throws {
        let mask = umask(0o077)
        defer { umask(mask) }
        let list = folder.path + "/etc/userdriver/allowed_signers"
        #expect(try TrustFileEditor.trust(AllowedSigner(principals: ["a"], key: key.publicKey), in: list))
        for (path, mode) in [(folder.path + "/etc", 0o755), (folder.path + "/etc/userdriver", 0o755), (list, 0o644)] {
            var status = stat()
            #expect(lstat(path, &status) == 0 && Int(status.st_mode & 0o777) == mode, "\(path)")
        }
    }

    @Test func whatIsRefusedLeavesNoTrace() throws {
        _ = try installer.install(from: try version("1").path, trust: trust)
        let bad = try version("2")
        try bad.flipBit(in: bad.executablePath, at: 3)
        #expect(throws: BundleError.self) { try installer.install(from: bad.path, trust: trust) }
        #expect(try names == ["camera.driver"])
        #expect(DriverCatalog(folders: [installer.folder], trust: trust).bundles.map(\.manifest.version) == ["1"])
    }

    @Test func doesNotGoBackToWhatMayNotRun() throws {
        _ = try installer.install(from: try version("1").path, trust: trust)
        let other = PrivateKey()
        let second = try version("2")
        try second.sign(other)
        var both = trust
        both.store.signers.append(AllowedSigner(principals: ["other"], key: other.publicKey))
        _ = try installer.install(from: second.path, trust: both)
        var onlyOther = DriverTrust(other)
        onlyOther.store.revocations = [try RevocationList(parsing: Array(key.publicKey.line.utf8))]
        #expect { try installer.rollback("camera", trust: onlyOther) } throws: { "\($0)".contains("the previous version may not run") }
        #expect(DriverCatalog(folders: [installer.folder], trust: onlyOther).bundles.map(\.manifest.version) == ["2"])
    }

    @Test(arguments: ["../x", "", ".hidden", "a/b"]) func namesOfDriversAreNoPaths(name: String) {
        #expect(throws: BundleError.self) { try installer.remove(name) }
        #expect(throws: BundleError.self) { try installer.rollback(name, trust: trust) }
    }

    @Test func whoeverLooksWhileItIsReplacedSeesAWholeDriver() async throws {
        _ = try installer.install(from: try version("0").path, trust: trust)
        let (installer, trust) = (installer, trust)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for number in 1...40 { _ = try installer.install(from: try self.version("\(number)").path, trust: trust) }
            }
            group.addTask {
                for _ in 0..<200 {
                    // A manifest of one version with the signature or executable of another one is refused: then it is looked at again, as the
                    // daemon does, which is told once the step is done. A folder that is not there or half there must never be seen.
                    #expect(BundleFile.exists(installer.path("camera") + "/driver.yaml.sig"))
                    #expect(BundleFile.exists(installer.path("camera") + "/camera-driver"))
                }
            }
            try await group.waitForAll()
        }
        #expect(try DriverBundle(path: installer.path("camera"), trust: trust).manifest.version == "40")
    }

    @Test func trustsAndRevokes() throws {
        let (signers, revoked) = (folder.path + "/etc/allowed_signers", folder.path + "/etc/revoked_keys")
        let bundle = try version("1")
        func reading() -> DriverTrust { DriverTrust(reading: TrustFiles(allowedSigners: [signers], revokedKeys: [revoked])) }
        let entry = try #require(trust.store.signers.first)
        #expect(try TrustFileEditor.trust(entry, in: signers))
        #expect(try !TrustFileEditor.trust(entry, in: signers))
        #expect(try DriverBundle(path: bundle.path, trust: reading()).verdict.signer?.name == "publisher@example.org")
        #expect(try TrustFileEditor.revoke(key.publicKey, in: revoked))
        #expect(try !TrustFileEditor.revoke(key.publicKey, in: revoked))
        #expect(bundle.refusal(reading()).contains("is revoked"))
    }
}
