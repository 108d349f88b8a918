// The functions of a configuration: which of its interfaces belong together. A pure reading of
// hostile descriptors.

/// Interfaces that make one function: a camera, a microphone, a keyboard.
public struct USBFunction: Hashable, Sendable {
    /// `bConfigurationValue` of the configuration that has it.
    public var configuration: UInt8
    /// `bInterfaceNumber` of each of its interfaces, ascending, each once.
    public var interfaces: [UInt8]
    /// `iFunction` of its association, else `iInterface` of its first interface: a string's index,
    /// 0 for none.
    public var nameIndex: UInt8

    /// Of so many functions of a device names are read.
    public static let mostNames = 8

    public init(configuration: UInt8, interfaces: [UInt8], nameIndex: UInt8 = 0) {
        self.configuration = configuration
        self.interfaces = interfaces
        self.nameIndex = nameIndex
    }

    /// Every interface of the first configuration, as one function.
    public init(wholeOf device: USBDeviceInformation) {
        let first = DescriptorSet(parsing: device.descriptors).configurations.first
        self.init(configuration: first?.value ?? 0, interfaces: first?.interfaceNumbers ?? [])
    }

    /// What tells the functions of a device apart, whichever port it is plugged into.
    public var firstInterface: UInt8 { interfaces.first ?? 0 }

    /// Bit n: interface n belongs to it. Linux knows interfaces up to 31.
    public var mask: UInt32 { interfaces.reduce(0) { $1 < 32 ? $0 | 1 << UInt32($1) : $0 } }

    public func contains(interface: UInt8) -> Bool { interfaces.contains(interface) }
}

extension ConfigurationDescriptor {
    /// Every interface in exactly one function, in the order of the functions' first interfaces.
    ///
    /// Interfaces that an association lists belong together (USB 3.2 §9.6.4); of two associations
    /// that list one, the first has it. The rest is sorted by class: if the class has control
    /// interfaces (audio, video, communication), one of these and the interfaces of the class after
    /// it; else interfaces of one class in a row; a human interface device (HID) always alone. A
    /// second control interface begins a function of its own even if an association lists both.
    public var functions: [USBFunction] {
        var sorting = FunctionSorting(self)
        return sorting.functions()
    }
}

private struct FunctionSorting {
    private enum ClassNumber {
        static let audio: UInt8 = 0x01
        static let communication: UInt8 = 0x02
        static let humanInterface: UInt8 = 0x03
        static let communicationData: UInt8 = 0x0a
        static let video: UInt8 = 0x0e
    }

    private struct Group {
        /// The class of the interface that began it; a communication data interface counts as
        /// communication.
        var family: UInt8
        var association: Int?
        var hasControl: Bool
        var interfaces: [InterfaceDescriptor]
    }

    private let configuration: ConfigurationDescriptor
    private var groups: [Group] = []

    init(_ configuration: ConfigurationDescriptor) { self.configuration = configuration }

    mutating func functions() -> [USBFunction] {
        var first: [UInt8: InterfaceDescriptor] = [:]
        for interface in configuration.interfaces where first[interface.number] == nil { first[interface.number] = interface }
        // 256 numbers, each with the first association that lists it.
        var owners = [Int?](repeating: nil, count: 256)
        for (place, association) in configuration.associations.enumerated() {
            let end = min(256, Int(association.firstInterface) + Int(association.interfaceCount))
            for number in Int(association.firstInterface)..<max(end, Int(association.firstInterface)) where owners[number] == nil {
                owners[number] = place
            }
        }
        for interface in first.values.sorted(by: { $0.number < $1.number }) { take(interface, owner: owners[Int(interface.number)]) }
        adoptOrphans()
        return groups.map { group in
            let numbers = group.interfaces.map(\.number).sorted()
            let name = group.association.map { configuration.associations[$0].nameIndex } ?? 0
            return USBFunction(
                configuration: configuration.value, interfaces: numbers, nameIndex: name != 0 ? name : first[numbers[0]]?.nameIndex ?? 0)
        }.sorted { $0.firstInterface < $1.firstInterface }
    }

    private mutating func take(_ interface: InterfaceDescriptor, owner: Int?) {
        let family = Self.family(interface)
        let isControl = Self.isControl(interface)
        if let place = home(of: interface, family: family, owner: owner),
            !(isControl && groups[place].hasControl && groups[place].family == family)
        {
            groups[place].interfaces.append(interface)
            if isControl, groups[place].family == family { groups[place].hasControl = true }
        } else {
            groups.append(Group(family: family, association: owner, hasControl: isControl, interfaces: [interface]))
        }
    }

    /// The group that the interface belongs to, if one has been begun.
    private func home(of interface: InterfaceDescriptor, family: UInt8, owner: Int?) -> Int? {
        if let owner { return groups.lastIndex { $0.association == owner } }
        if Self.hasControls(family) { return Self.isControl(interface) ? nil : groups.lastIndex { $0.family == family && $0.hasControl } }
        guard family != ClassNumber.humanInterface, let last = groups.indices.last, groups[last].association == nil,
            groups[last].family == family, groups[last].interfaces.last.map({ $0.number &+ 1 == interface.number }) == true
        else { return nil }
        return last
    }

    /// Streaming interfaces that stand before their control interface.
    private mutating func adoptOrphans() {
        for place in groups.indices.reversed() {
            let orphan = groups[place]
            guard !orphan.hasControl, orphan.association == nil, Self.hasControls(orphan.family),
                let home = groups.indices.first(where: { $0 > place && groups[$0].family == orphan.family && groups[$0].hasControl })
            else { continue }
            groups[home].interfaces += orphan.interfaces
            groups.remove(at: place)
        }
    }

    private static func family(_ interface: InterfaceDescriptor) -> UInt8 {
        interface.interfaceClass == ClassNumber.communicationData ? ClassNumber.communication : interface.interfaceClass
    }

    private static func hasControls(_ family: UInt8) -> Bool {
        [ClassNumber.audio, ClassNumber.communication, ClassNumber.video].contains(family)
    }

    /// AudioControl and VideoControl are subclass 1 of their classes; of communication every
    /// interface but those of data is one.
    private static func isControl(_ interface: InterfaceDescriptor) -> Bool {
        switch interface.interfaceClass {
        case ClassNumber.audio, ClassNumber.video: interface.interfaceSubclass == 1
        case ClassNumber.communication: true
        default: false
        }
    }
}
