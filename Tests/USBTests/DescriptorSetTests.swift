// The descriptor parser against bytes whose every field is named.

import Testing
import USB

/// A SuperSpeed device with one configuration: an association of a control interface and a streaming interface with two settings.
enum SampleDevice {
    static let device: [UInt8] = [
        18,  // bLength
        0x01,  // bDescriptorType DEVICE
        0x20, 0x03,  // bcdUSB 3.20
        0xef,  // bDeviceClass miscellaneous
        0x02,  // bDeviceSubClass
        0x01,  // bDeviceProtocol interface association
        9,  // bMaxPacketSize0 2^9
        0x6d, 0x04,  // idVendor 046d
        0x25, 0x08,  // idProduct 0825
        0x12, 0x01,  // bcdDevice 1.12
        1,  // iManufacturer
        2,  // iProduct
        3,  // iSerialNumber
        1,  // bNumConfigurations
    ]

    static let configuration: [UInt8] = [
        9,  // bLength
        0x02,  // bDescriptorType CONFIGURATION
        83, 0,  // wTotalLength
        2,  // bNumInterfaces
        1,  // bConfigurationValue
        4,  // iConfiguration
        0xa0,  // bmAttributes bus-powered, remote wake-up
        112,  // bMaxPower 896 mA at SuperSpeed

        8,  // bLength
        0x0b,  // bDescriptorType INTERFACE_ASSOCIATION
        0,  // bFirstInterface
        2,  // bInterfaceCount
        0x0e,  // bFunctionClass video
        0x03,  // bFunctionSubClass collection
        0x00,  // bFunctionProtocol
        5,  // iFunction

        9,  // bLength
        0x04,  // bDescriptorType INTERFACE
        0,  // bInterfaceNumber
        0,  // bAlternateSetting
        0,  // bNumEndpoints
        0x0e,  // bInterfaceClass video
        0x01,  // bInterfaceSubClass control
        0x00,  // bInterfaceProtocol
        5,  // iInterface

        5, 0x24, 0x01, 0xaa, 0xbb,  // a class-specific descriptor, kept whole

        9, 0x04, 1, 0, 0, 0x0e, 0x02, 0x00, 0,  // interface 1, alternate setting 0, no endpoint
        9, 0x04, 1, 1, 1, 0x0e, 0x02, 0x00, 0,  // interface 1, alternate setting 1, one endpoint

        7,  // bLength
        0x05,  // bDescriptorType ENDPOINT
        0x81,  // bEndpointAddress 1 IN
        0x05,  // bmAttributes isochronous, asynchronous
        0x00, 0x04,  // wMaxPacketSize 1024
        1,  // bInterval every microframe

        6,  // bLength
        0x30,  // bDescriptorType SUPERSPEED_USB_ENDPOINT_COMPANION
        15,  // bMaxBurst 16 packets
        0x01,  // bmAttributes Mult 1: twice
        0x00, 0x78,  // wBytesPerInterval 30720

        8,  // bLength
        0x31,  // bDescriptorType SUPERSPEEDPLUS_ISOCHRONOUS_ENDPOINT_COMPANION
        0, 0,  // wReserved
        0x00, 0x00, 0x01, 0x00,  // dwBytesPerInterval 65536

        4, 0x25, 0x07, 0x99,  // a class-specific endpoint descriptor, kept whole
        9, 0x21, 0, 0, 0, 0, 0, 0, 0,  // an unknown one behind it
    ]

    static var all: [UInt8] { device + configuration }
}

@Suite struct DescriptorSetTests {
    @Test func everyFieldOfTheDeviceDescriptorIsRead() throws {
        let device = try #require(DescriptorSet(parsing: SampleDevice.all).device)
        #expect(
            device
                == DeviceDescriptor(
                    usbVersion: 0x0320, deviceClass: 0xef, deviceSubclass: 2, deviceProtocol: 1, maxPacketSize0: 9, vendorID: 0x046d,
                    productID: 0x0825, deviceVersion: 0x0112, manufacturerIndex: 1, productIndex: 2, serialNumberIndex: 3,
                    configurationCount: 1))
    }

    @Test func everyFieldOfAConfigurationIsRead() throws {
        let set = DescriptorSet(parsing: SampleDevice.all)
        #expect(set.anomalies == [])
        let configuration = try #require(set.configurations.first)
        #expect(configuration.value == 1)
        #expect(configuration.declaredInterfaceCount == 2)
        #expect(configuration.nameIndex == 4)
        #expect(configuration.attributes == 0xa0)
        #expect(configuration.canWakeHost)
        #expect(!configuration.isSelfPowered)
        #expect(configuration.milliamperes(speed: .super) == 896)
        #expect(configuration.milliamperes(speed: .high) == 224)
        #expect(configuration.declaredTotalLength == 83)
        #expect(configuration.offset == 18)
        #expect(configuration.interfaceNumbers == [0, 1])
        #expect(
            configuration.associations == [
                InterfaceAssociation(
                    firstInterface: 0, interfaceCount: 2, functionClass: 0x0e, functionSubclass: 3, functionProtocol: 0, nameIndex: 5)
            ])
    }

    @Test func interfacesKeepTheirAlternateSettingsAndClassDescriptors() throws {
        let configuration = try #require(DescriptorSet(parsing: SampleDevice.all).configurations.first)
        let interfaces = configuration.interfaces
        #expect(interfaces.map(\.number) == [0, 1, 1])
        #expect(interfaces.map(\.alternateSetting) == [0, 0, 1])
        #expect(interfaces[0].code == ClassCode(0x0e, 0x01, 0x00))
        #expect(interfaces[0].nameIndex == 5)
        #expect(interfaces[0].extra == [RawDescriptor(bytes: [5, 0x24, 1, 0xaa, 0xbb], offset: 18 + 26)])
        #expect(configuration.alternateSettings(of: 1).map(\.alternateSetting) == [0, 1])
    }

    @Test func anEndpointHasItsCompanionsAndItsClassDescriptors() throws {
        let interface = try #require(DescriptorSet(parsing: SampleDevice.all).configurations.first?.interfaces.last)
        let endpoint = try #require(interface.endpoints.first)
        #expect(endpoint.address == EndpointAddress(number: 1, direction: .in))
        #expect(endpoint.transferType == .isochronous)
        #expect(endpoint.maxPacketSize == 1024)
        #expect(endpoint.superSpeed == SuperSpeedCompanion(maxBurst: 15, attributes: 1, bytesPerInterval: 30720))
        #expect(endpoint.superSpeedPlusBytesPerInterval == 65536)
        #expect(endpoint.extra.map(\.type) == [0x25, 0x21])
        #expect(interface.classDescriptors.map(\.type) == [0x25, 0x21])
    }

    @Test func aConfigurationAloneIsParsed() {
        let set = DescriptorSet(parsing: SampleDevice.configuration)
        #expect(set.device == nil)
        #expect(set.configurations.count == 1)
        #expect(set.anomalies == [])
    }

    @Test func theSpeedIsGuessedFromEndpoints() {
        #expect(DescriptorSet(parsing: SampleDevice.all).likelySpeed == .superPlus)
        #expect(Self.speed(endpoint: [7, 0x05, 0x81, 0x02, 0x00, 0x02, 0]) == .high)  // bulk, 512 bytes
        #expect(Self.speed(endpoint: [7, 0x05, 0x81, 0x02, 0x40, 0x00, 0]) == .full)  // bulk, 64 bytes
        #expect(Self.speed(endpoint: [7, 0x05, 0x81, 0x01, 0x00, 0x14, 1]) == .high)  // isochronous, 3 × 1024 bytes
        #expect(Self.speed(endpoint: [7, 0x05, 0x81, 0x02, 0x00, 0x04, 0, 6, 0x30, 15, 0, 0, 0]) == .super)
    }

    private static func speed(endpoint: [UInt8]) -> USBSpeed {
        let length = UInt8(9 + 9 + endpoint.count)
        let configuration: [UInt8] = [9, 2, length, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 1, 0xff, 0, 0, 0] + endpoint
        return DescriptorSet(parsing: configuration).likelySpeed
    }
}
