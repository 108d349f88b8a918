// Bundles and manifests, also those that mean harm.

import Testing
import Wire

@testable import Bundles

let goodManifest = """
    id: io.example.camera
    version: 1.0
    kind: webcam
    executable: camera-driver
    match:
      - {class: 0x0e, subclass: 1}
      - device: "046d:08c1"
      - {device: "046d:08c2", bcdDevice: "0100-01ff"}
    interfaces: [{class: 14}, {class: 0xff}]
    provides:
      - interface: org.example.camera
        methods:
          Read: {idempotent: true, deadline: 5s}
    settings: {depth: 3, name: "plain", on: true, ratio: 1.5, list: [1, "two"], nothing: null, quoted: "12"}
    quirks:
      - {match: {class: 0x0e}, set: {depth: 4, on: false}, reason: r, source: s}
    """

private func parse(_ text: String) throws(BundleError) -> DriverManifest {
    try ManifestParser.parse(Array(text.utf8), path: "driver.yaml")
}

func subject(_ vendor: UInt16 = 1, _ product: UInt16 = 2, release: UInt16 = 0x0100, class interfaceClass: UInt8 = 0x0e)
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
        let manifest = try parse(goodManifest)
        #expect(manifest.id == "io.example.camera")
        #expect(manifest.version == "1.0")
        #expect(manifest.match.count == 3)
        #expect(manifest.match[2].release == 0x0100...0x01ff)
        #expect(
            manifest.settings == [
                "depth": 3, "name": "plain", "on": true, "ratio": 1.5, "list": [1, "two"], "nothing": .null, "quoted": "12",
            ])
        #expect(manifest.interfaceMask(for: subject()) == 0b1001)
        #expect(manifest.streamingMask(for: subject()) == 0)
        #expect(manifest.configuration(for: subject())["depth"] == 4)
    }

    @Test(arguments: [
        "": "no YAML at all", "a": "a scalar", "- a": "a list", "id: [": "broken", "id: x": "incomplete",
        goodManifest + "\nunknown: 1": "a member nobody knows",
        goodManifest.replacing("executable: camera-driver", with: "executable: ../../bin/sh"): "a path",
        goodManifest.replacing("executable: camera-driver", with: "executable: /bin/sh"): "an absolute path",
        goodManifest.replacing("executable: camera-driver", with: "executable: .."): "the folder above",
        goodManifest.replacing("executable: camera-driver", with: "executable: .hidden"): "a hidden file",
        goodManifest.replacing("executable: camera-driver", with: "executable: \"a\\0b\""): "a zero byte",
        goodManifest.replacing("id: io.example.camera", with: "id: \"a/b\""): "an id with a slash",
        goodManifest + "\nsha256: 1234": "a short digest",
        goodManifest + "\nsha256: " + String(repeating: "x", count: 64): "a digest of other letters",
        goodManifest.replacing("{class: 0x0e, subclass: 1}", with: "{}"): "a rule for everything",
        goodManifest.replacing("{class: 0x0e, subclass: 1}", with: "{subclass: 1}"): "a subclass alone",
        goodManifest.replacing("{class: 0x0e, subclass: 1}", with: "{class: 256}"): "a class past a byte",
        goodManifest.replacing("{class: 0x0e, subclass: 1}", with: "{class: -1}"): "a class below zero",
        goodManifest.replacing("046d:08c1", with: "46d:8c1"): "short numbers",
        goodManifest.replacing("046d:08c1", with: "046d:08c1:x"): "three numbers",
        goodManifest.replacing("0100-01ff", with: "01ff-0100"): "a range the wrong way round",
        goodManifest.replacing("reason: r, ", with: ""): "a quirk without a reason",
        goodManifest.replacing("set: {depth: 4, on: false}", with: "set: {}"): "a quirk that sets nothing",
        goodManifest.replacing("interfaces: [{class: 14}, {class: 0xff}]", with: "interfaces: [{device: \"046d:08c1\"}]"):
            "interfaces told by device",
    ])
    func refuses(text: String, what: String) {
        #expect(throws: BundleError.self, "\(what)") { try parse(text) }
    }

    @Test func boundsWhatNestsAndMultiplies() {
        let bombs: [String: String] = [
            "size": goodManifest + String(repeating: "# comment\n", count: 10_000), "brackets": "a: " + String(repeating: "[", count: 300),
            "many lines of brackets": "a: " + String(repeating: "[\n", count: 5_000), "dashes": String(repeating: "- ", count: 5_000),
            "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n" + (0..<9).map { _ in "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" }.joined(),
            "settings": goodManifest.replacing(
                "settings: {depth: 3",
                with:
                    "settings: {x: &a [1,2,3,4,5,6,7,8,9],\n  y: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a],\n  z: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b],\n"
                    + "  u: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c],\n  v: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d],\n depth: 3"),
        ]
        for (name, text) in bombs { #expect(throws: BundleError.self, "\(name)") { try parse(text) } }
        #expect(throws: BundleError.self) { try ManifestParser.parse([0xff, 0xfe, 0x00], path: "") }
    }

    @Test func theMoreSpecificQuirkCounts() throws {
        let text = goodManifest.replacing(
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
        let manifest = try parse(goodManifest + "\n" + quirk.replacing("depth: 4", with: "depth: 5"))
        #expect(manifest.configuration(for: subject())["depth"] == 5)
    }
}
