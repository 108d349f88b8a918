// Which device is which: ids, addresses, and what people type.

import Testing
import Wire

@testable import Supervisor

@Suite struct DeviceIdentityTests {
    @Test func prefersTheSerialNumber() {
        let identity = DeviceIdentity()
        #expect(identity.id(of: makeDevice(serial: "ABC-1")) == "1234:5678:ABC-1")
        #expect(identity.id(of: makeDevice(path: "2-1.4", serial: nil)) == "1234:5678@2-1.4")
        #expect(identity.id(of: makeDevice(path: "2-1.4", serial: "")) == "1234:5678@2-1.4")
        #expect(identity.id(of: makeDevice(path: "2-1.4", serial: "   ")) == "1234:5678@2-1.4")
    }

    @Test func hostileSerialNumbersStayDifferentAndHarmless() {
        let serials = ["a/b", "a%2Fb", "a b", "a\u{0}b", "a@b", "a:b", "ä", "a\nb"]
        let ids = serials.compactMap { DeviceIdentity.serialID(of: makeDevice(serial: $0)) }
        #expect(Set(ids).count == serials.count)
        for id in ids { #expect(id.dropFirst(10).allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "%._-".contains($0)) }) }
        let long = DeviceIdentity.serialID(of: makeDevice(serial: String(repeating: "\u{1}", count: 10_000)))
        #expect((long?.utf8.count ?? 0) < 300)
    }

    @Test func twinsAreNamedByTheirPortsFromThenOn() {
        var identity = DeviceIdentity()
        let (first, second) = (makeDevice(path: "1-1"), makeDevice(path: "1-2"))
        #expect(identity.arrived(first, among: []) == nil)
        #expect(identity.arrived(second, among: [first]) == "1234:5678:S1")
        #expect(identity.id(of: first) == "1234:5678@1-1")
        #expect(identity.id(of: second) == "1234:5678@1-2")
        // Also when one of them comes alone, and for a supervisor that has read what was kept.
        let later = DeviceIdentity(ambiguous: identity.ambiguous)
        #expect(later.id(of: second) == "1234:5678@1-2")
    }

    @Test func theSameDeviceSeenTwiceIsNoTwin() {
        var identity = DeviceIdentity()
        #expect(identity.arrived(makeDevice(), among: [makeDevice()]) == nil)
        #expect(identity.arrived(makeDevice(path: "1-2", vendor: 1), among: [makeDevice()]) == nil)
    }
}

@Suite struct DeviceSelectionTests {
    private func device(_ id: String, _ name: String, bus: String, attached: Bool = true, suitable: Bool = true) -> SelectableDevice {
        SelectableDevice(id: id, vendorProduct: String(id.prefix(9)), bus: bus, name: name, isAttached: attached, isSuitable: suitable)
    }

    @Test(arguments: [
        ("046d:0825:AB", 0), ("046d:0825:ab", 0), ("046D:0825", 0), ("1-1", 0), ("usbip://h:3240/1-2", 1), ("1-2", 1), ("brio", 1),
        ("C270", 0), ("AB", 0), ("cd", 1), ("085e:c", 1),
    ])
    func findsWhatIsMeant(text: String, index: Int) throws {
        let devices = [
            device("046d:0825:AB", "Webcam C270", bus: "1-1"), device("046d:085e:CD", "Logitech BRIO", bus: "usbip://h:3240/1-2"),
        ]
        #expect(try DeviceSelection.choose(text, among: devices) == index)
    }

    @Test func leftOutItIsTheOnlySuitableOne() throws {
        let devices = [
            device("a:b:1", "Scanner", bus: "1-1", suitable: false), device("a:b:2", "Camera", bus: "1-2"),
            device("a:b:3", "Camera", bus: "1-3", attached: false),
        ]
        #expect(try DeviceSelection.choose(nil, among: devices) == 1)
        #expect(try DeviceSelection.choose("", among: devices) == 1)
        // One that is absent is meant when no other is there.
        #expect(try DeviceSelection.choose(nil, among: [devices[0], devices[2]]) == 1)
    }

    @Test func saysWhatThereIsInstead() throws {
        let devices = [
            device("a:b:1", "Camera", bus: "1-1"), device("a:b:2", "", bus: "1-2"), device("a:b:3", "Gone", bus: "1-3", attached: false),
        ]
        let error = try #require(throws: CallError.self) { try DeviceSelection.choose("scanner", among: devices) }
        #expect(error.code == "NoSuchDevice" && error.message == "No device is called \"scanner\". There are a:b:1 (Camera), a:b:2.")
        let none = try #require(throws: CallError.self) { try DeviceSelection.choose("scanner", among: []) }
        #expect(none.message == "No device is called \"scanner\". None is attached.")
        let unfit = try #require(throws: CallError.self) {
            try DeviceSelection.choose(nil, among: [device("a:b:1", "Scanner", bus: "1-1", suitable: false)])
        }
        #expect(unfit.code == "NoSuchDevice" && unfit.message.contains("There is a:b:1 (Scanner)."))
    }

    @Test func saysWhatIsAmbiguous() throws {
        let devices = [device("a:b:1", "Camera", bus: "1-1"), device("a:b:2", "Camera", bus: "1-2")]
        for text in [nil, "camera", ""] as [String?] {
            let error = try #require(throws: CallError.self) { try DeviceSelection.choose(text, among: devices) }
            #expect(error.code == "AmbiguousDevice")
            #expect(error.message.contains("a:b:1") && error.message.contains("a:b:2"))
        }
    }

    @Test(arguments: [nil, "nothing"] as [String?])
    func saysThatThereIsNone(text: String?) throws {
        #expect(try #require(throws: CallError.self) { try DeviceSelection.choose(text, among: []) }.code == "NoSuchDevice")
    }
}

@Suite struct AttachmentURLTests {
    @Test(arguments: [
        ("usbip://127.0.0.1/1-1", "usbip://127.0.0.1:3240/1-1"), ("usbip://host.example:99/1-1.2", "usbip://host.example:99/1-1.2"),
        ("usbip://[::1]/2-4", "usbip://[::1]:3240/2-4"), ("usbip://[fe80::1%eth0]:5/a_b", "usbip://[fe80::1%eth0]:5/a_b"),
    ])
    func understands(text: String, canonical: String) throws {
        #expect(try AttachmentURL(text).description == canonical)
    }

    @Test(arguments: [
        "", "usbip:", "http://h/1-1", "usbip://", "usbip:///1-1", "usbip://h", "usbip://h/", "usbip://h:/1-1", "usbip://h:0/1-1",
        "usbip://h:65536/1-1",
        "usbip://h:-1/1-1", "usbip://h:+1/1-1", "usbip://h:1:2/1-1", "usbip://::1/1-1", "usbip://[::1/1-1", "usbip://[::1]x/1-1",
        "usbip://[h]/1-1",
        "usbip://h h/1-1", "usbip://h/1 1", "usbip://h/1-1/2", "usbip://h/01234567890123456789012345678901", "usbip://h\n/1-1",
        "usbip://ü/1-1",
    ])
    func refusesWithAReason(text: String) throws {
        let error = try #require(throws: AttachmentURL.ParseError.self) { try AttachmentURL(text) }
        #expect(error.description.contains("usbip://HOST[:PORT]/BUSID"))
    }
}
