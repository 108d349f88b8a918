// String descriptors, GUIDs, the device qualifier and the binary object store, byte by byte.

import Testing
import USB

@Suite struct StringDescriptorTests {
    @Test func textIsUTF16() {
        // bLength 10, STRING, "é", "𝄞" as a surrogate pair, "x"
        #expect(StringDescriptor.text([10, 3, 0xe9, 0x00, 0x34, 0xd8, 0x1e, 0xdd, 0x78, 0x00]) == "é𝄞x")
    }

    @Test func paddingAndControlCharactersGo() {
        #expect(StringDescriptor.text([12, 3, 0x41, 0, 0x0a, 0, 0x42, 0, 0x20, 0, 0, 0]) == "AB")
    }

    @Test func brokenTextIsStillText() {
        #expect(StringDescriptor.text([4, 3, 0x00, 0xd8]) == "\u{fffd}")  // half a surrogate pair
        #expect(StringDescriptor.text([255, 3, 0x41, 0, 0x42]) == "A")  // a length beyond the end, and half a unit
        #expect(StringDescriptor.text([2, 3]) == "")
        #expect(StringDescriptor.text([4, 4, 0x41, 0]) == nil)
        #expect(StringDescriptor.text([]) == nil)
    }

    @Test func stringZeroListsLanguages() {
        #expect(StringDescriptor.languages([6, 3, 0x09, 0x04, 0x07, 0x04]) == [StringDescriptor.english, 0x0407])
        #expect(StringDescriptor.languages([0, 0]) == [])
    }

    @Test func whatIsEncodedIsRead() {
        #expect(StringDescriptor.text(StringDescriptor.encode("Kamera № 1")) == "Kamera № 1")
        #expect(StringDescriptor.encode("AB") == [6, 3, 0x41, 0, 0x42, 0])
        #expect(StringDescriptor.encode(languages: [0x0409]) == [4, 3, 0x09, 0x04])
        #expect(StringDescriptor.encode(String(repeating: "x", count: 300)).count == 254)
    }
}

@Suite struct GUIDTests {
    @Test func theFirstGroupsAreLittleEndian() throws {
        let guid = try #require(GUID(bytes: Array("YUY2".utf8) + [0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]))
        #expect(guid.description == "32595559-0000-0010-8000-00aa00389b71")
        #expect(GUID("32595559-0000-0010-8000-00aa00389b71") == guid)
        #expect(GUID("32595559-0000-0010-8000-00AA00389B71")?.bytes == guid.bytes)
    }

    @Test(arguments: [
        "", "32595559", "32595559-0000-0010-8000-00aa00389b7", "3259555g-0000-0010-8000-00aa00389b71",
        "+2595559-0000-0010-8000-00aa00389b71",
    ])
    func whatIsNoGUIDIsRefused(text: String) {
        #expect(GUID(text) == nil)
    }
}

@Suite struct BinaryObjectStoreTests {
    private static let store: [UInt8] = [
        5,  // bLength
        0x0f,  // bDescriptorType BOS
        68, 0,  // wTotalLength
        5,  // bNumDeviceCaps

        7, 0x10, 2,  // USB 2.0 EXTENSION
        0x02, 0, 0, 0,  // bmAttributes: link power management

        10, 0x10, 3,  // SUPERSPEED_USB
        0x00,  // bmAttributes
        0x0e, 0x00,  // wSpeedsSupported: full, high, 5 Gbit/s
        1,  // bFunctionalitySupport: full speed
        10,  // bU1DevExitLat 10 µs
        0xff, 0x07,  // wU2DevExitLat 2047 µs

        20, 0x10, 4, 0,  // CONTAINER_ID
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,

        22, 0x10, 5, 0,  // PLATFORM
        0xdf, 0x60, 0xdd, 0xd8, 0x89, 0x45, 0xc7, 0x4c, 0x9c, 0xd2, 0x65, 0x9d, 0x9e, 0x64, 0x8a, 0x9f,  // Microsoft OS 2.0
        0xab, 0xcd,

        4, 0x10, 0x99, 0x01,  // a capability of the future
    ]

    @Test func everyCapabilityIsRead() throws {
        let store = BinaryObjectStore(parsing: Self.store)
        #expect(store.anomalies == [])
        let container = try #require(GUID(bytes: 0..<16))
        let platform = try #require(GUID("d8dd60df-4589-4cc7-9cd2-659d9e648a9f"))
        #expect(
            store.capabilities == [
                .usb2Extension(attributes: 2),
                .superSpeed(attributes: 0, speeds: 0x0e, lowestFullFunctionSpeed: 1, u1Latency: 10, u2Latency: 2047),
                .containerID(container), .platform(platform, data: [0xab, 0xcd]), .other(type: 0x99, bytes: [4, 0x10, 0x99, 1]),
            ])
    }

    @Test func superSpeedPlusListsItsLanes() {
        // 12 + 2 × 4 bytes: two sublink speeds, as bits 4…0 of bmAttributes (less one) say.
        let capability: [UInt8] = [20, 0x10, 10, 0, 0x01, 0, 0, 0, 0x00, 0x11, 0, 0, 0x30, 0, 0x0a, 0, 0xb0, 0, 0x0a, 0]
        let store = BinaryObjectStore(parsing: [5, 0x0f, 25, 0, 1] + capability)
        #expect(store.capabilities == [.superSpeedPlus(attributes: 1, functionality: 0x1100, sublinkSpeeds: [0x000a_0030, 0x000a_00b0])])
    }

    @Test func everyPrefixIsSurvived() {
        for length in Self.store.indices {
            let store = BinaryObjectStore(parsing: Array(Self.store.prefix(length)))
            #expect(!store.anomalies.isEmpty)
        }
    }
}

@Suite struct DeviceQualifierTests {
    @Test func everyFieldIsRead() throws {
        // bLength 10, DEVICE_QUALIFIER, bcdUSB 2.00, class ef/02/01, bMaxPacketSize0 64, bNumConfigurations 1, bReserved
        let bytes: [UInt8] = [10, 6, 0x00, 0x02, 0xef, 2, 1, 64, 1, 0]
        let qualifier = try #require(DeviceQualifierDescriptor(RawDescriptor(bytes: bytes)))
        #expect(qualifier.usbVersion == 0x0200)
        #expect((qualifier.deviceClass, qualifier.deviceSubclass, qualifier.deviceProtocol) == (0xef, 2, 1))
        #expect(qualifier.maxPacketSize0 == 64)
        #expect(qualifier.configurationCount == 1)
        #expect(DeviceQualifierDescriptor(RawDescriptor(bytes: Array(bytes.prefix(8)))) == nil)
    }
}
