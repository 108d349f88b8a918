// The functions of a configuration, and a device as one of them sees it.

import Testing
import USB

@Suite struct FunctionTests {
    /// bNumConfigurations is the count of what follows.
    private func device(_ configurations: [UInt8]...) -> [UInt8] {
        // bcdUSB 2.00, class miscellaneous 0xef/2/1, 64 bytes on endpoint 0, 1209:0001, bcdDevice
        // 1.00, no strings.
        [18, 1, 0x00, 0x02, 0xef, 2, 1, 64, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 0, 0, 0, UInt8(configurations.count)]
            + configurations.flatMap { $0 }
    }

    private func configuration(_ value: UInt8 = 1, interfaces: UInt8, _ descriptors: [UInt8]...) -> [UInt8] {
        let body = descriptors.flatMap { $0 }
        // wTotalLength, bNumInterfaces, bConfigurationValue, iConfiguration, bmAttributes,
        // bMaxPower.
        return [9, 2, UInt8((9 + body.count) & 0xff), UInt8((9 + body.count) >> 8), interfaces, value, 0, 0x80, 50] + body
    }

    /// bInterfaceNumber, bAlternateSetting 0, bNumEndpoints 0, class, subclass, protocol 0,
    /// iInterface.
    private func interface(_ number: UInt8, _ classCode: UInt8, _ subclass: UInt8, name: UInt8 = 0) -> [UInt8] {
        [9, 4, number, 0, 0, classCode, subclass, 0, name]
    }

    /// bFirstInterface, bInterfaceCount, bFunctionClass, bFunctionSubClass 3, bFunctionProtocol 0,
    /// iFunction.
    private func association(_ first: UInt8, _ count: UInt8, _ classCode: UInt8 = 0x0e, name: UInt8 = 0) -> [UInt8] {
        [8, 0x0b, first, count, classCode, 3, 0, name]
    }

    private func functions(_ configuration: [UInt8]) -> [[UInt8]] {
        DescriptorSet(parsing: configuration).configurations[0].functions.map(\.interfaces)
    }

    @Test func `associations are functions, with their names`() {
        let set = DescriptorSet(
            parsing: configuration(
                interfaces: 6, association(0, 2, name: 5), interface(0, 0x0e, 1, name: 6), interface(1, 0x0e, 2), association(2, 2),
                interface(2, 0x0e, 1, name: 7), interface(3, 0x0e, 2), association(4, 2, 0x01), interface(4, 1, 1), interface(5, 1, 2)))
        let functions = set.configurations[0].functions
        #expect(functions.map(\.interfaces) == [[0, 1], [2, 3], [4, 5]])
        #expect(functions.map(\.nameIndex) == [5, 7, 0])
        #expect(functions.map(\.mask) == [0b11, 0b1100, 0b110000])
    }

    @Test func `without associations a control interface has the interfaces of its class`() {
        #expect(
            functions(
                configuration(
                    interfaces: 5, interface(0, 0x0e, 1), interface(1, 1, 1), interface(2, 1, 2), interface(3, 0x0e, 2), interface(4, 1, 2))
            )
                == [[0, 3], [1, 2, 4]])
        // Each streaming interface is the control interface's before it.
        #expect(
            functions(
                configuration(interfaces: 4, interface(0, 0x0e, 1), interface(1, 0x0e, 2), interface(2, 0x0e, 1), interface(3, 0x0e, 2)))
                == [[0, 1], [2, 3]])
        // One that stands before its control interface.
        #expect(functions(configuration(interfaces: 2, interface(0, 0x0e, 2), interface(1, 0x0e, 1))) == [[0, 1]])
        // A modem: communication 0x02 and its data 0x0a.
        #expect(
            functions(configuration(interfaces: 4, interface(0, 2, 2), interface(1, 0x0a, 0), interface(2, 2, 2), interface(3, 0x0a, 0)))
                == [[0, 1], [2, 3]])
    }

    @Test func `other interfaces of a class in a row belong together, but a HID interface stands alone`() {
        // IPP over USB twice, then two HID interfaces, then a vendor's two.
        #expect(
            functions(
                configuration(
                    interfaces: 6, interface(0, 7, 1), interface(1, 7, 1), interface(2, 3, 0), interface(3, 3, 0), interface(4, 0xff, 1),
                    interface(5, 0xff, 2))) == [[0, 1], [2], [3], [4, 5]])
    }

    @Test func `hostile associations do no harm`() {
        // Both list interface 1: the first has it.
        #expect(
            functions(
                configuration(
                    interfaces: 3, association(0, 2), association(1, 2), interface(0, 0x0e, 1), interface(1, 0x0e, 2), interface(2, 0x0e, 1)
                ))
                == [[0, 1], [2]])
        // A count that runs over, one of nothing, and one of interfaces that are not there.
        #expect(
            functions(
                configuration(
                    interfaces: 2, association(1, 255), association(0, 0), association(200, 100), interface(0, 3, 0), interface(1, 0x0e, 1),
                    interface(255, 0x0e, 2))) == [[0], [1, 255]])
        // Two control interfaces in one association are two functions.
        #expect(
            functions(
                configuration(
                    interfaces: 4, association(0, 4), interface(0, 0x0e, 1), interface(1, 0x0e, 2), interface(2, 0x0e, 1),
                    interface(3, 0x0e, 2))) == [[0, 1], [2, 3]])
        // A streaming interface that the association forgot, and a gap in the numbers.
        #expect(
            functions(configuration(interfaces: 2, association(4, 1), interface(4, 0x0e, 1), interface(9, 0x0e, 2))) == [[4, 9]])
        #expect(functions(configuration(interfaces: 0)) == [])
        #expect(USBFunction(configuration: 1, interfaces: [1, 255]).mask == 2)
    }

    @Test func `a function sees its configuration and its interfaces alone`() {
        let first = configuration(1, interfaces: 1, interface(0, 3, 0))
        let second = configuration(
            2, interfaces: 3, association(0, 2), interface(0, 0x0e, 1), [5, 0x24, 1, 0, 1], interface(1, 0x0e, 2), association(2, 1, 1),
            interface(2, 1, 1), [4, 0x24, 9, 9])
        let whole = USBDeviceInformation(path: "1-1", speed: .high, descriptors: device(first, second))
        let seen = whole.restricted(to: USBFunction(configuration: 2, interfaces: [0, 1]))
        var kept = configuration(
            2, interfaces: 2, association(0, 2), interface(0, 0x0e, 1), [5, 0x24, 1, 0, 1], interface(1, 0x0e, 2))
        #expect(seen.descriptors == device(kept))
        #expect(DescriptorSet(parsing: seen.descriptors).anomalies.isEmpty)
        // What is whole stays as it is, odd or not.
        kept[2] = 99
        let odd = USBDeviceInformation(path: "1-1", speed: .high, descriptors: device(kept))
        #expect(odd.restricted(to: USBFunction(configuration: 2, interfaces: [0, 1])).descriptors == odd.descriptors)
        // A configuration that is not there restricts nothing.
        #expect(whole.restricted(to: USBFunction(configuration: 9, interfaces: [0])).descriptors == whole.descriptors)
    }

    @Test func `no bytes trap, and every interface is in one function`() {
        var state: UInt64 = 7
        func random() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
        let good = device(
            configuration(
                interfaces: 4, association(0, 2), interface(0, 0x0e, 1), interface(1, 0x0e, 2), association(2, 2), interface(2, 1, 1),
                interface(3, 1, 2)))
        for _ in 0..<2000 {
            var bytes = good
            for _ in 0..<1 + random() % 6 { bytes[Int(random()) % bytes.count] = random() }
            let information = USBDeviceInformation(path: "1-1", speed: .high, descriptors: bytes)
            for configuration in DescriptorSet(parsing: bytes).configurations {
                let functions = configuration.functions
                #expect(functions.flatMap(\.interfaces).sorted() == configuration.interfaceNumbers)
                for function in functions {
                    let seen = DescriptorSet(parsing: information.restricted(to: function).descriptors)
                    // Of two configurations with one value the first is meant.
                    guard seen.configurations.count == 1 else { continue }
                    #expect(Set(seen.configurations[0].interfaceNumbers).isSubset(of: function.interfaces))
                }
            }
        }
    }
}
