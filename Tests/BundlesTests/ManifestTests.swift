// Bundles and manifests, also those that mean harm.

import Glibc
import Testing
import Wire

@testable import Supervisor

private let good = """
    id: io.example.camera
    version: 1.0
    kind: webcam
    executable: camera-driver
    match:
      - {class: 0x0e, subclass: 1}
      - device: "046d:08c1"
      - {device: "046d:08c2", bcdDevice: "0100-01ff"}
    interfaces: [{class: 14}, {class: 0xff}]
    provides: [io.userdriver.camera]
    settings: {depth: 3, name: "plain", on: true, ratio: 1.5, list: [1, "two"], nothing: null, quoted: "12"}
    quirks:
      - {match: {class: 0x0e}, set: {depth: 4, on: false}, reason: r, source: s}
    """

private func parse(_ text: String) throws(BundleError) -> DriverManifest {
    try ManifestParser.parse(Array(text.utf8), path: "driver.yaml")
}

private func subject(_ vendor: UInt16 = 1, _ product: UInt16 = 2, release: UInt16 = 0x0100, class interfaceClass: UInt8 = 0x0e)
    -> MatchSubject
{
    MatchSubject(
        vendor: vendor, product: product, release: release,
        interfaces: [
            .init(number: 0, interfaceClass: interfaceClass, interfaceSubclass: 1, interfaceProtocol: 0),
            .init(number: 3, interfaceClass: interfaceClass, interfaceSubclass: 2, interfaceProtocol: 0),
            .init(number: 5, interfaceClass: 1, interfaceSubclass: 1, interfaceProtocol: 0),
        ])
}

@Suite struct ManifestTests {
    @Test func readsEverything() throws {
        let manifest = try parse(good)
        #expect(manifest.id == "io.example.camera")
        #expect(manifest.version == "1.0")
        #expect(manifest.match.count == 3)
        #expect(manifest.match[2].release == 0x0100...0x01ff)
        #expect(
            manifest.settings == [
                "depth": 3, "name": "plain", "on": true, "ratio": 1.5, "list": [1, "two"], "nothing": .null, "quoted": "12",
            ])
        #expect(manifest.grant(for: subject()) == DeviceGrant(interfaces: 0b1001, streaming: 0))
        #expect(manifest.configuration(for: subject())["depth"] == 4)
    }

    @Test(arguments: [
        "": "no YAML at all", "a": "a scalar", "- a": "a list", "id: [": "broken", "id: x": "incomplete",
        good + "\nunknown: 1": "a member nobody knows",
        good.replacing("executable: camera-driver", with: "executable: ../../bin/sh"): "a path",
        good.replacing("executable: camera-driver", with: "executable: /bin/sh"): "an absolute path",
        good.replacing("executable: camera-driver", with: "executable: .."): "the folder above",
        good.replacing("executable: camera-driver", with: "executable: .hidden"): "a hidden file",
        good.replacing("executable: camera-driver", with: "executable: \"a\\0b\""): "a zero byte",
        good.replacing("id: io.example.camera", with: "id: \"a/b\""): "an id with a slash",
        good.replacing("{class: 0x0e, subclass: 1}", with: "{}"): "a rule for everything",
        good.replacing("{class: 0x0e, subclass: 1}", with: "{subclass: 1}"): "a subclass alone",
        good.replacing("{class: 0x0e, subclass: 1}", with: "{class: 256}"): "a class past a byte",
        good.replacing("{class: 0x0e, subclass: 1}", with: "{class: -1}"): "a class below zero",
        good.replacing("046d:08c1", with: "46d:8c1"): "short numbers",
        good.replacing("046d:08c1", with: "046d:08c1:x"): "three numbers",
        good.replacing("0100-01ff", with: "01ff-0100"): "a range the wrong way round",
        good.replacing("reason: r, ", with: ""): "a quirk without a reason",
        good.replacing("set: {depth: 4, on: false}", with: "set: {}"): "a quirk that sets nothing",
        good.replacing("interfaces: [{class: 14}, {class: 0xff}]", with: "interfaces: [{device: \"046d:08c1\"}]"):
            "interfaces told by device",
    ])
    func refuses(text: String, what: String) {
        #expect(throws: BundleError.self, "\(what)") { try parse(text) }
    }

    @Test func boundsWhatNestsAndMultiplies() {
        let bombs: [String: String] = [
            "size": good + String(repeating: "# comment\n", count: 10_000), "brackets": "a: " + String(repeating: "[", count: 300),
            "many lines of brackets": "a: " + String(repeating: "[\n", count: 5_000), "dashes": String(repeating: "- ", count: 5_000),
            "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n" + (0..<9).map { _ in "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" }.joined(),
            "settings": good.replacing(
                "settings: {depth: 3",
                with:
                    "settings: {x: &a [1,2,3,4,5,6,7,8,9],\n  y: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a],\n  z: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b],\n"
                    + "  u: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c],\n  v: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d],\n depth: 3"),
        ]
        for (name, text) in bombs { #expect(throws: BundleError.self, "\(name)") { try parse(text) } }
        #expect(throws: BundleError.self) { try ManifestParser.parse([0xff, 0xfe, 0x00], path: "") }
    }

    @Test func theMoreSpecificQuirkCounts() throws {
        let text = good.replacing(
            "  - {match: {class: 0x0e}, set: {depth: 4, on: false}, reason: r, source: s}",
            with: """
                  - {match: {device: "046d:0825", bcdDevice: "0100"}, set: {depth: 9}, reason: r, source: s}
                  - {match: {device: "046d:0825"}, set: {depth: 8, name: device}, reason: r, source: s}
                  - {match: {device: "046d"}, set: {depth: 7, name: vendor}, reason: r, source: s}
                  - {match: {class: 0x0e, subclass: 1, protocol: 0}, set: {depth: 6, name: protocol}, reason: r, source: s}
                  - {match: {class: 0x0e, subclass: 1}, set: {depth: 5}, reason: r, source: s}
                  - match: [{class: 0x0e}, {device: "0001:0002"}]
                    set: {depth: 4, on: false}
                    reason: r
                    source: s
                """)
        let manifest = try parse(text)
        #expect(manifest.configuration(for: subject(0x046d, 0x0825))["depth"] == 9)
        #expect(manifest.configuration(for: subject(0x046d, 0x0825, release: 0x0101))["depth"] == 8)
        #expect(manifest.configuration(for: subject(0x046d, 0x0825))["name"] == "device")
        #expect(manifest.configuration(for: subject(0x046d, 0x9999))["name"] == "vendor")
        #expect(manifest.configuration(for: subject(7, 7))["name"] == "protocol")
        // A quirk of several rules is as specific as the best of them that matches.
        #expect(manifest.configuration(for: subject(1, 2))["depth"] == 4)
        #expect(manifest.configuration(for: subject(7, 7))["on"] == false)
        #expect(manifest.configuration(for: subject(7, 7, class: 3))["depth"] == 3)
    }

    @Test func ofEqualQuirksTheLaterCounts() throws {
        let quirk = "  - {match: {class: 0x0e}, set: {depth: 4, on: false}, reason: r, source: s}"
        let manifest = try parse(good + "\n" + quirk.replacing("depth: 4", with: "depth: 5"))
        #expect(manifest.configuration(for: subject())["depth"] == 5)
    }
}

@Suite struct CatalogTests {
    private func write(_ text: String, to path: String, mode: mode_t = 0o644) throws {
        try StateFile.write(Array(text.utf8), to: path)
        chmod(path, mode)
    }

    private func makeBundle(_ folder: String, _ name: String, manifest: String = good) throws -> String {
        let path = "\(folder)/\(name).driver"
        mkdir(path, 0o755)
        try write(manifest, to: path + "/driver.yaml")
        try write("#!/bin/false\n", to: path + "/camera-driver", mode: 0o755)
        return path
    }

    @Test func takesTheMostSpecificDriver() throws {
        let folder = TemporaryFolder()
        _ = try makeBundle(folder.path, "a")
        _ = try makeBundle(
            folder.path, "b",
            manifest: good.replacing("io.example.camera", with: "io.example.special").replacing(
                "{class: 0x0e, subclass: 1}", with: "{device: \"1111:2222\"}"))
        let catalog = DriverCatalog(folders: [folder.path])
        #expect(catalog.problems == [])
        #expect(catalog.driver(for: subject(0x1111, 0x2222))?.manifest.id == "io.example.special")
        #expect(catalog.driver(for: subject())?.manifest.id == "io.example.camera")
        #expect(catalog.driver(for: subject(class: 3)) == nil)
        #expect(DriverCatalog(folders: [folder.path + "/a.driver"]).bundles.count == 1)
    }

    @Test func refusesBundlesThatLeadElsewhere() throws {
        let folder = TemporaryFolder()
        let linked = try makeBundle(folder.path, "linked")
        unlink(linked + "/camera-driver")
        symlink("/bin/sh", linked + "/camera-driver")
        let manifest = try makeBundle(folder.path, "manifest", manifest: good.replacing("io.example.camera", with: "io.example.second"))
        rename(manifest + "/driver.yaml", manifest + "/other.yaml")
        symlink("other.yaml", manifest + "/driver.yaml")
        let fifo = try makeBundle(folder.path, "fifo")
        unlink(fifo + "/driver.yaml")
        mkfifo(fifo + "/driver.yaml", 0o644)
        let dull = try makeBundle(folder.path, "dull")
        chmod(dull + "/camera-driver", 0o644)
        mkdir(folder.path + "/empty.driver", 0o755)
        let catalog = DriverCatalog(folders: [folder.path, "/nonexistent"])
        #expect(catalog.bundles.isEmpty)
        #expect(catalog.problems.count == 6)
    }

    @Test func ofTwoWithOneIdTheFirstCounts() throws {
        let folder = TemporaryFolder()
        let first = try makeBundle(folder.path, "a")
        _ = try makeBundle(folder.path, "b")
        let catalog = DriverCatalog(folders: [folder.path])
        #expect(catalog.bundles.map(\.path) == [first])
        #expect(catalog.problems.count == 1)
    }

    @Test func readsAnExecutableAgainWhenItWasReplaced() throws {
        let folder = TemporaryFolder()
        let bundle = try DriverBundle(path: try makeBundle(folder.path, "a"))
        let first = try bundle.executable()
        #expect(try bundle.executable() === first)
        try write("#!/bin/true, and longer\n", to: bundle.executablePath, mode: 0o755)
        #expect(try bundle.executable() !== first)
    }
}
