// Interfaces of bundles: covered by the signature, copied whole, agreed upon.

import Glibc
import Testing
import Trust
import Wire

@testable import Bundles

@Suite struct InterfaceFileTests {
    private let folder = TemporaryFolder()
    private let key = PrivateKey(comment: "publisher@example.org")

    @Test func signingWritesTheDigestsAndInstallingCopiesTheFiles() throws {
        let bundle = try BundleFolder(folder.path + "/source")
        try bundle.sign(key)
        let written = try #require(try BundleFile.read(bundle.manifestPath, maximum: 1 << 16))
        let manifest = String(decoding: written, as: UTF8.self)
        let digest = Hexadecimal.text(Digest.sha256(Array(BundleFolder.interface.utf8)))
        #expect(manifest.contains("  - interface: org.example.camera\n    sha256: \(digest)\n    methods:\n"))
        // Signed again, nothing changes; after a change the digest is another one.
        try bundle.sign(key)
        #expect(try BundleFile.read(bundle.manifestPath, maximum: 1 << 16) == Array(manifest.utf8))
        let installed = try BundleInstaller(folder: folder.path + "/drivers").install(from: bundle.path, trust: DriverTrust(key))
        #expect(installed.bundle.interfaces.map(\.text) == [BundleFolder.interface])
        #expect(installed.bundle.manifest.provides.first?.policy(of: "Read").deadline == .seconds(5))
        try writeFile(BundleFolder.interface + "# more\n", bundle.interfacePath)
        #expect(bundle.refusal(DriverTrust(key)).contains("not the one that the manifest names"))
        try bundle.sign(key)
        let again = try BundleInstaller(folder: folder.path + "/drivers").install(from: bundle.path, trust: DriverTrust(key))
        #expect(!again.wasThere && again.bundle.interfaces.first?.text.hasSuffix("# more\n") == true)
    }

    @Test func anInterfaceThatTheSignatureDoesNotCoverIsRefused() throws {
        let bundle = try BundleFolder(folder.path)
        try bundle.sign(key)
        let written = try #require(try BundleFile.read(bundle.manifestPath, maximum: 1 << 16))
        let text = String(decoding: written, as: UTF8.self)
        let digest = Hexadecimal.text(Digest.sha256(Array(BundleFolder.interface.utf8)))
        try writeFile(text.split(separator: "\n").filter { !$0.contains(digest) }.joined(separator: "\n"), bundle.manifestPath)
        let bytes = try #require(try BundleFile.read(bundle.manifestPath, maximum: 1 << 16))
        try writeFile(try Signature(of: bytes, by: key, namespace: DriverTrust.namespace).armoured, bundle.signaturePath)
        #expect(bundle.refusal(DriverTrust(key)).contains("its signature does not cover it"))
    }

    @Test(arguments: [
        ("", "line 1"), ("interface org.example.other\n", "defines org.example.other"),
        ("interface org.example.camera\nmethod Reed() -> ()\n", "no method Read"), (String(repeating: "#", count: 70_000), "65536"),
        ("interface org.example.camera\nmethod Read(x: Y) -> ()\n", "line 2, column 16"),
    ])
    func definitionsThatAreNoneAreRefused(text: String, words: String) throws {
        let bundle = try BundleFolder(folder.path)
        try writeFile(text, bundle.interfacePath)
        let refusal = bundle.refusal(DriverTrust(allowsUnsigned: true))
        #expect(refusal.contains(words), "\(refusal)")
    }

    @Test func linksAreNotFollowed() throws {
        let bundle = try BundleFolder(folder.path)
        unlink(bundle.interfacePath)
        symlink("/etc/passwd", bundle.interfacePath)
        #expect(bundle.refusal(DriverTrust(allowsUnsigned: true)).contains("symbolic link"))
    }

    @Test func theSecondDriverWhoseInterfaceDiffersIsRefused() throws {
        let first = try BundleFolder(folder.path, "camera")
        let second = try BundleFolder(
            folder.path, "other", manifest: goodManifest.replacing("io.example.camera", with: "io.example.other"))
        let trust = DriverTrust(allowsUnsigned: true)
        #expect(DriverCatalog(folders: [folder.path], trust: trust).bundles.count == 2)
        // To the letter: a comment is enough.
        try writeFile(BundleFolder.interface + "#\n", second.interfacePath)
        let catalog = DriverCatalog(folders: [folder.path], trust: trust)
        #expect(catalog.bundles.map(\.path) == [first.path] && catalog.interfaces.map(\.name) == ["org.example.camera"])
        let status = try #require(catalog.statuses.first { $0.state == .refused })
        #expect(status.id == "io.example.other" && status.reason?.contains("org.example.camera is not that of") == true)
    }

    @Test(arguments: [
        ("[org.example.camera]", "interface, sha256 and methods"), ("[{interface: io.userdriver}]", "the daemon's own"),
        ("[{interface: camera}]", "like org.example"), ("[{interface: a.b}, {interface: a.b}]", "provided twice"),
        ("[{interface: a.b, methods: {M: {deadline: 5}}}]", "500ms, 5s, 2m"), ("[{interface: a.b, methods: {M: {deadline: 2h}}}]", "60m"),
        ("[{interface: a.b, methods: {M: {deadline: 61m}}}]", "60m"),
        ("[{interface: a.b, methods: {M: {deadline: 9999999999999999999s}}}]", "60m"),
        ("[{interface: a.b, methods: {M: {resumes: true}}}]", "must be idempotent"),
        ("[{interface: a.b, methods: {M: {right: me}}}]", "anyone or administrator"), ("[{interface: a.b, file: /etc/x}]", "not known"),
        ("[{interface: ../a.b}]", "like org.example"), ("[{interface: a.b, sha256: 00}]", "64 hexadecimal"),
    ])
    func manifestsThatCanNotBeMeantAreRefused(provides: String, words: String) throws {
        let text = "id: a.x\nversion: 1\nkind: k\nexecutable: e\nmatch: [{class: 1}]\nprovides: \(provides)\n"
        let error = try #require(throws: BundleError.self) { try ManifestParser.parse(Array(text.utf8), path: "driver.yaml") }
        #expect(error.problem.contains(words) && error.problem.contains("line 6"), "\(error)")
    }
}
