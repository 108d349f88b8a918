// Which functions of a device get which drivers.

import Glibc
import Testing
import USB

@testable import Bundles

/// A device with one configuration: an interface of each class and subclass, numbered from 0,
/// without associations.
func device(
    _ vendor: UInt16 = 1, _ product: UInt16 = 2, _ interfaces: [(class: UInt8, subclass: UInt8)],
    others: [[(class: UInt8, subclass: UInt8)]] = []
) -> USBDeviceInformation {
    func word(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xff), UInt8(value >> 8)] }
    // Device descriptor (USB 2.0 table 9-8), then configurations (table 9-10) of interfaces (table
    // 9-12).
    let head: [UInt8] = [18, 1, 0, 2, 0xef, 2, 1, 64] + word(vendor) + word(product) + [0, 1, 0, 0, 0, UInt8(1 + others.count)]
    var bytes = head
    for (value, interfaces) in ([interfaces] + others).enumerated() {
        bytes += [9, 2] + word(UInt16(9 + 9 * interfaces.count)) + [UInt8(interfaces.count), UInt8(value + 1), 0, 0x80, 50]
        for (number, interface) in interfaces.enumerated() {
            bytes += [9, 4, UInt8(number), 0, 0, interface.class, interface.subclass, 0, 0]
        }
    }
    return USBDeviceInformation(path: "1-1", speed: .high, descriptors: bytes)
}

func device(_ vendor: UInt16 = 1, _ product: UInt16 = 2, class interfaceClass: UInt8 = 0x0e) -> USBDeviceInformation {
    device(vendor, product, [(interfaceClass, 1), (interfaceClass, 2)])
}

@Suite struct FunctionMatchTests {
    private static func manifest(_ id: String, _ match: String, _ interfaces: String) -> String {
        """
        id: \(id)
        version: "1"
        kind: test
        executable: camera-driver
        match: [\(match)]
        interfaces: [\(interfaces)]
        """
    }

    private func catalog(_ manifests: KeyValuePairs<String, String>) throws -> (DriverCatalog, TemporaryFolder) {
        let folder = TemporaryFolder()
        for (name, manifest) in manifests { _ = try BundleFolder(folder.path, name, manifest: manifest) }
        let catalog = DriverCatalog(folders: [folder.path], trust: DriverTrust(allowsUnsigned: true))
        #expect(catalog.problems == [])
        return (catalog, folder)
    }

    private let camera = manifest("camera", "{class: 0x0e, subclass: 1}", "{class: 0x0e}")

    @Test func `each video function is a camera, and the microphone stays the kernel's`() throws {
        let (catalog, _) = try catalog(["camera": camera])
        let found = catalog.functions(of: device(1, 2, [(0x0e, 1), (0x0e, 2), (0x0e, 1), (0x0e, 2), (1, 1), (1, 2)]))
        #expect(found.map(\.function.interfaces) == [[0, 1], [2, 3]])
        #expect(found.map { $0.bundle.manifest.interfaceMask(for: $0.subject) } == [0b11, 0b1100])
    }

    @Test func `the first configuration that has a function is the one`() throws {
        let (catalog, _) = try catalog(["camera": camera])
        let found = catalog.functions(of: device(1, 2, [(3, 1)], others: [[(8, 6)], [(0x0e, 1), (0x0e, 2)], [(0x0e, 1)]]))
        #expect(found.map(\.function.configuration) == [3])
        #expect(found.map(\.function.interfaces) == [[0, 1]])
    }

    @Test func `a rule for the device makes one function of what its driver may claim`() throws {
        let vendors = Self.manifest("vendor", "{device: \"0001:0002\"}", "{class: 0xff}, {class: 0x0e}")
        let (catalog, _) = try catalog(["camera": camera, "vendor": vendors])
        let found = catalog.functions(of: device(1, 2, [(0xff, 1), (1, 1), (0xff, 2), (0x0e, 1), (0x0e, 2)]))
        #expect(found.map(\.bundle.manifest.id) == ["vendor"])
        #expect(found.map(\.function.interfaces) == [[0, 2, 3, 4]])
        // A rule that names the device and the class says more about that function.
        let exact = Self.manifest("exact", "{device: \"0001:0002\", class: 0x0e}", "{class: 0x0e}")
        let (both, _) = try self.catalog(["vendor": vendors, "exact": exact])
        let split = both.functions(of: device(1, 2, [(0xff, 1), (0x0e, 1), (0x0e, 2)]))
        #expect(split.map(\.bundle.manifest.id) == ["vendor", "exact"])
        #expect(split.map(\.function.interfaces) == [[0], [1, 2]])
    }

    @Test func `bytes that are no descriptors have no functions`() throws {
        let (catalog, _) = try catalog(["camera": camera])
        for count in 0..<40 {
            let information = USBDeviceInformation(path: "1-1", speed: .high, descriptors: Array(device().descriptors.prefix(count)))
            #expect(catalog.functions(of: information).count <= 1)
        }
    }
}
