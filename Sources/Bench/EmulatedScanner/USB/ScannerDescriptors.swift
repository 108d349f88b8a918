// The scanner's descriptors (USB Device Class Definition for Printing Devices 1.1; IPP over USB 1.0).

import USB
import USBEmulation

enum ScannerInterface {
    /// pid.codes gives 1209:0003 to anybody for tests; it is nobody's product.
    static let vendorID: UInt16 = 0x1209
    static let productID: UInt16 = 0x0003
    static let legacy: UInt8 = 2
    static let overUSB: UInt8 = 4

    /// Of pair `index`, from 0.
    static func out(_ index: Int) -> EndpointAddress { EndpointAddress(rawValue: UInt8(index) + 1) }
    static func `in`(_ index: Int) -> EndpointAddress { EndpointAddress(rawValue: 0x80 | (UInt8(index) + 1)) }

    /// Which protocol an alternate setting speaks; `nil` for one that has no endpoints.
    static func `protocol`(_ layout: EmulatedScannerOptions.Layout, alternateSetting: UInt8) -> UInt8? {
        switch (layout, alternateSetting) {
        case (.shared, 0): legacy
        case (.hollow, 0): nil
        default: overUSB
        }
    }
}

struct ScannerDescriptors {
    let options: EmulatedScannerOptions

    static let packetSize = 512

    var all: EmulatedDescriptors {
        let interfaces = (0..<options.pairs).flatMap(interface)
        let length = 9 + interfaces.count
        let configuration: [UInt8] =
            [
                9, 0x02, UInt8(length & 0xff), UInt8(length >> 8),
                // bNumInterfaces, bConfigurationValue, iConfiguration, bmAttributes: self-powered, 2 mA.
                UInt8(options.pairs), 1, 0, 0xc0, 1,
            ] + interfaces
        let device: [UInt8] = [
            18, 0x01, 0x00, 0x02,  // USB 2.0
            0, 0, 0, 64,  // the class is the interfaces'; 64 bytes at endpoint 0
            UInt8(ScannerInterface.vendorID & 0xff), UInt8(ScannerInterface.vendorID >> 8),
            UInt8(ScannerInterface.productID & 0xff), UInt8(ScannerInterface.productID >> 8),
            0x00, 0x01,  // version 1.00
            1, 2, options.serial.isEmpty ? 0 : 3, 1,  // iManufacturer, iProduct, iSerialNumber, bNumConfigurations
        ]
        return EmulatedDescriptors(
            speed: .high, device: device, configurations: [configuration],
            strings: [1: options.manufacturer, 2: options.model, 3: options.serial, 4: "2.0,1.1", 5: options.uuid])
    }

    private func interface(_ index: Int) -> [UInt8] {
        let endpoints: [UInt8] =
            [
                7, 0x05, ScannerInterface.out(index).rawValue, 2, 0x00, 0x02, 0,  // Bulk, 512 bytes.
                7, 0x05, ScannerInterface.in(index).rawValue, 2, 0x00, 0x02, 0,
            ]
        // bLength, bDescriptorType, bcdReleaseNumber 1.0, one descriptor behind it: type 0, 4 bytes:
        // capabilities (print, scan), strings with IPP's versions and the UUID.
        let information: [UInt8] = options.hasInformation ? [10, 0x21, 0x10, 1, 0x00, 4, 0x03, 0x00, 4, 5] : []
        func setting(_ number: UInt8, _ kind: UInt8, _ rest: [UInt8]) -> [UInt8] {
            [9, 0x04, UInt8(index), number, rest.contains(0x05) ? 2 : 0, 0x07, 0x01, kind, 0] + rest
        }
        let overUSB = information + endpoints
        return switch options.layout {
        case .plain: setting(0, ScannerInterface.overUSB, overUSB)
        case .shared: setting(0, ScannerInterface.legacy, endpoints) + setting(1, ScannerInterface.overUSB, overUSB)
        case .hollow:
            [9, 0x04, UInt8(index), 0, 0, 0x07, 0x01, ScannerInterface.overUSB, 0] + information
                + setting(1, ScannerInterface.overUSB, overUSB)
        }
    }

    /// What GET_DEVICE_ID gives (IEEE 1284), with its length before it, most significant byte first.
    var deviceID: [UInt8] {
        let text =
            "MFG:\(options.manufacturer);MDL:\(options.model);CMD:PWGRaster,AppleRaster,PDF,JPEG;CLS:PRINTER;"
            + "DES:\(options.manufacturer) \(options.model);" + (options.serial.isEmpty ? "" : "SN:\(options.serial);")
        let bytes = Array(text.utf8)
        let length = bytes.count + 2
        return [UInt8(length >> 8), UInt8(length & 0xff)] + bytes
    }
}

extension EmulatedScannerOptions {
    /// The same for the same serial number.
    var uuid: String {
        var random = SplitMix(seed: serial.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
        let (high, low) = (random.next(), random.next())
        func hex(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value & (1 << UInt64(digits * 4) - 1), radix: 16)
            return String(repeating: "0", count: digits - text.count) + text
        }
        return "\(hex(high, 8))-\(hex(high >> 32, 4))-4\(hex(high >> 48, 3))-8\(hex(low, 3))-\(hex(low >> 12, 12))"
    }
}

/// The same numbers for the same seed, everywhere.
struct SplitMix: Sendable {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// From 0 up to below `bound`.
    mutating func next(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
}
