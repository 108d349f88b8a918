// Folders of drivers: which one a device gets, and what is not taken.

import Glibc
import Testing

@testable import Bundles

@Suite struct CatalogTests {
    private let trust = DriverTrust(allowsUnsigned: true)

    private func makeBundle(_ folder: String, _ name: String, id: String? = nil) throws -> String {
        try BundleFolder(folder, name, manifest: goodManifest.replacing("io.example.camera", with: "io.example.\(id ?? name)")).path
    }

    @Test func takesTheMostSpecificDriver() throws {
        let folder = TemporaryFolder()
        _ = try makeBundle(folder.path, "a")
        _ = try BundleFolder(
            folder.path, "special",
            manifest: goodManifest.replacing("io.example.camera", with: "io.example.special").replacing(
                "{class: 0x0e, subclass: 1}", with: "{device: \"1111:2222\"}"))
        let catalog = DriverCatalog(folders: [folder.path], trust: trust)
        #expect(catalog.problems == [])
        #expect(catalog.functions(of: device(0x1111, 0x2222)).map(\.bundle.manifest.id) == ["io.example.special"])
        #expect(catalog.functions(of: device()).map(\.bundle.manifest.id) == ["io.example.a"])
        #expect(catalog.functions(of: device(class: 3)).isEmpty)
        #expect(DriverCatalog(folders: [folder.path + "/a.driver"], trust: trust).bundles.count == 1)
    }

    @Test func refusesBundlesThatLeadElsewhere() throws {
        let folder = TemporaryFolder()
        let linked = try makeBundle(folder.path, "linked")
        unlink(linked + "/camera-driver")
        symlink("/bin/sh", linked + "/camera-driver")
        let manifest = try makeBundle(folder.path, "manifest")
        rename(manifest + "/driver.yaml", manifest + "/other.yaml")
        symlink("other.yaml", manifest + "/driver.yaml")
        let fifo = try makeBundle(folder.path, "fifo")
        unlink(fifo + "/driver.yaml")
        mkfifo(fifo + "/driver.yaml", 0o644)
        let dull = try makeBundle(folder.path, "dull")
        chmod(dull + "/camera-driver", 0o644)
        mkdir(folder.path + "/empty.driver", 0o755)
        let catalog = DriverCatalog(folders: [folder.path, "/nonexistent"], trust: trust)
        #expect(catalog.bundles.isEmpty)
        #expect(catalog.problems.count == 6)
    }

    @Test func ofTwoWithOneIdTheFirstCounts() throws {
        let folder = TemporaryFolder()
        let second = TemporaryFolder()
        let first = try makeBundle(folder.path, "a")
        _ = try makeBundle(second.path, "a")
        let catalog = DriverCatalog(folders: [folder.path, second.path], trust: trust)
        #expect(catalog.bundles.map(\.path) == [first])
        #expect(catalog.problems.count == 1)
    }

    @Test func readsAnExecutableAgainWhenItWasReplaced() throws {
        let folder = TemporaryFolder()
        let bundle = try DriverBundle(path: try makeBundle(folder.path, "a"), trust: trust)
        let first = try bundle.executable()
        #expect(try bundle.executable() === first)
        try writeFile("#!/bin/true, and longer\n", bundle.executablePath, mode: 0o755)
        #expect(try bundle.executable() !== first)
    }
}
