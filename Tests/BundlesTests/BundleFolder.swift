// Bundles on disk, sound and not, and signers who vouch for them.

import Foundation
import Glibc
import Testing
import Trust

@testable import Bundles

/// A folder that goes when it is let go.
final class TemporaryFolder: Sendable {
    let path: String
    init() {
        var template = Array("/tmp/userdriver-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }
    deinit {
        precondition(path.hasPrefix("/tmp/userdriver-test-"))
        do { try FileManager.default.removeItem(atPath: path) } catch { print("\(path) stays behind: \(error)") }
    }
}

func writeFile(_ text: String, _ path: String, mode: mode_t = 0o644) throws {
    try BundleFile.replace(path, Array(text.utf8), mode: mode)
}

/// A bundle that a test makes and then spoils.
struct BundleFolder {
    let path: String
    var manifestPath: String { path + "/driver.yaml" }
    var signaturePath: String { path + "/driver.yaml.sig" }
    var executablePath: String { path + "/camera-driver" }
    var interfacePath: String { path + "/interfaces/org.example.camera.varlink" }
    static let interface = "# A camera.\ninterface org.example.camera\n\nmethod Read(count: ?int) -> (value: float)\nmethod Reset() -> ()\n"

    init(_ folder: String, _ name: String = "camera", manifest: String = goodManifest, executable: String = "#!/bin/false\n") throws {
        path = "\(folder)/\(name).driver"
        try BundleFile.makeFolder(path)
        try writeFile(manifest, manifestPath)
        try writeFile(executable, executablePath, mode: 0o755)
        try BundleFile.makeFolder(path + "/interfaces")
        try writeFile(Self.interface, interfacePath)
    }

    func sign(_ key: PrivateKey) throws { try BundleSigner.sign(path, by: key) }

    /// Flips the lowest bit of a byte.
    func flipBit(in file: String, at offset: Int) throws {
        let file = open(file, O_RDWR)
        defer { close(file) }
        var byte: UInt8 = 0
        #expect(pread(file, &byte, 1, off_t(offset)) == 1)
        byte ^= 1
        #expect(pwrite(file, &byte, 1, off_t(offset)) == 1)
    }

    /// Why it is refused; a bundle that is taken fails the test.
    func refusal(_ trust: DriverTrust) -> String {
        do throws(BundleError) {
            _ = try DriverBundle(path: path, trust: trust)
            Issue.record("it was taken")
            return ""
        } catch {
            return error.problem
        }
    }
}

extension DriverTrust {
    /// Trusts one key for drivers, as `userdriver driver trust` would.
    init(_ key: PrivateKey, namespaces: [String] = ["userdriver"], validAfter: Int64? = nil, validBefore: Int64? = nil) {
        self.init(
            store: TrustStore(signers: [
                AllowedSigner(
                    principals: ["publisher@example.org"], key: key.publicKey, namespaces: namespaces, validAfter: validAfter,
                    validBefore: validBefore)
            ]))
    }
}
