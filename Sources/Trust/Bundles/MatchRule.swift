// Which devices a driver or a quirk is for.

package import USB

/// One rule of a manifest: everything that it names must hold.
package struct MatchRule: Hashable, Sendable {
    /// `idVendor`
    package var vendor: UInt16?
    /// `idProduct`; only with a vendor.
    package var product: UInt16?
    /// `bcdDevice`, inclusive; only with a product.
    package var release: ClosedRange<UInt16>?
    /// `bInterfaceClass`, `bInterfaceSubClass` and `bInterfaceProtocol` of one interface.
    package var interfaceClass: UInt8?
    package var interfaceSubclass: UInt8?
    package var interfaceProtocol: UInt8?

    /// The larger, the more a rule says. A named product outweighs every class, a named vendor too.
    package var specificity: Int {
        (release != nil ? 64 : 0) + (product != nil ? 32 : 0) + (vendor != nil ? 16 : 0) + (interfaceProtocol != nil ? 4 : 0)
            + (interfaceSubclass != nil ? 2 : 0) + (interfaceClass != nil ? 1 : 0)
    }

    package func matches(_ device: MatchSubject) -> Bool {
        if let vendor, vendor != device.vendor { return false }
        if let product, product != device.product { return false }
        if let release, !release.contains(device.release) { return false }
        if interfaceClass != nil || interfaceSubclass != nil || interfaceProtocol != nil {
            return device.interfaces.contains { matches($0) }
        }
        return true
    }

    /// The rule's part about interfaces.
    package func matches(_ interface: MatchSubject.Interface) -> Bool {
        (interfaceClass ?? interface.interfaceClass) == interface.interfaceClass
            && (interfaceSubclass ?? interface.interfaceSubclass) == interface.interfaceSubclass
            && (interfaceProtocol ?? interface.interfaceProtocol) == interface.interfaceProtocol
    }
}

/// What rules look at.
package struct MatchSubject: Hashable, Sendable {
    package struct Interface: Hashable, Sendable {
        package var number: UInt8
        package var interfaceClass: UInt8
        package var interfaceSubclass: UInt8
        package var interfaceProtocol: UInt8

        package init(number: UInt8, interfaceClass: UInt8, interfaceSubclass: UInt8, interfaceProtocol: UInt8) {
            self.number = number
            self.interfaceClass = interfaceClass
            self.interfaceSubclass = interfaceSubclass
            self.interfaceProtocol = interfaceProtocol
        }
    }
    package var vendor: UInt16
    package var product: UInt16
    package var release: UInt16
    /// Every alternate setting of every interface that is meant: a function's, or a
    /// configuration's.
    package var interfaces: [Interface]

    package init(vendor: UInt16, product: UInt16, release: UInt16, interfaces: [Interface]) {
        self.vendor = vendor
        self.product = product
        self.release = release
        self.interfaces = interfaces
    }

    /// The whole device, as its first configuration has it.
    package init(_ device: USBDeviceInformation) {
        self.init(device, configuration: DescriptorSet(parsing: device.descriptors).configurations.first)
    }
}
