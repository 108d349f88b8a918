// Which devices a driver or a quirk is for.

import USB

/// One rule of a manifest: everything that it names must hold.
struct MatchRule: Hashable, Sendable {
    /// `idVendor`
    var vendor: UInt16?
    /// `idProduct`; only with a vendor.
    var product: UInt16?
    /// `bcdDevice`, inclusive; only with a product.
    var release: ClosedRange<UInt16>?
    /// `bInterfaceClass`, `bInterfaceSubClass` and `bInterfaceProtocol` of one interface.
    var interfaceClass: UInt8?
    var interfaceSubclass: UInt8?
    var interfaceProtocol: UInt8?

    /// The larger, the more a rule says. A named product outweighs every class, a named vendor too.
    var specificity: Int {
        (release != nil ? 64 : 0) + (product != nil ? 32 : 0) + (vendor != nil ? 16 : 0) + (interfaceProtocol != nil ? 4 : 0)
            + (interfaceSubclass != nil ? 2 : 0) + (interfaceClass != nil ? 1 : 0)
    }

    func matches(_ device: MatchSubject) -> Bool {
        if let vendor, vendor != device.vendor { return false }
        if let product, product != device.product { return false }
        if let release, !release.contains(device.release) { return false }
        if interfaceClass != nil || interfaceSubclass != nil || interfaceProtocol != nil {
            return device.interfaces.contains { matches($0) }
        }
        return true
    }

    /// The rule's part about interfaces.
    func matches(_ interface: MatchSubject.Interface) -> Bool {
        (interfaceClass ?? interface.interfaceClass) == interface.interfaceClass
            && (interfaceSubclass ?? interface.interfaceSubclass) == interface.interfaceSubclass
            && (interfaceProtocol ?? interface.interfaceProtocol) == interface.interfaceProtocol
    }
}

/// What rules look at.
struct MatchSubject: Hashable, Sendable {
    struct Interface: Hashable, Sendable {
        var number: UInt8
        var interfaceClass: UInt8
        var interfaceSubclass: UInt8
        var interfaceProtocol: UInt8
    }
    var vendor: UInt16
    var product: UInt16
    var release: UInt16
    /// Every alternate setting of every interface of the first configuration.
    var interfaces: [Interface]

    init(vendor: UInt16, product: UInt16, release: UInt16, interfaces: [Interface]) {
        self.vendor = vendor
        self.product = product
        self.release = release
        self.interfaces = interfaces
    }

    init(_ device: USBDeviceInformation) {
        let descriptors = DescriptorSet(parsing: device.descriptors)
        let bytes = device.descriptors
        self.init(
            vendor: device.vendorID, product: device.productID,
            release: bytes.count >= 14 ? UInt16(bytes[12]) | UInt16(bytes[13]) << 8 : 0,
            interfaces: (descriptors.configurations.first?.interfaces ?? []).map {
                Interface(
                    number: $0.number, interfaceClass: $0.interfaceClass, interfaceSubclass: $0.interfaceSubclass,
                    interfaceProtocol: $0.interfaceProtocol)
            })
    }
}
