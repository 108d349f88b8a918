// Where descriptors go that survive the supervisor, and what they are called there.

import CLinux
import Glibc

/// Keeps descriptors for the supervisor that comes after this one, whichever way this one ends: systemd's descriptor store.
public protocol DescriptorStore: Sendable {
    /// Keeps a duplicate under a name. The descriptor stays the caller's. Never waits. What went wrong, for a person.
    func keep(_ descriptor: Int32, as name: String) -> String?
    /// Lets go of what is kept under a name, soon.
    func remove(_ name: String) -> String?
}

/// A descriptor that an earlier supervisor left.
public struct StoredDescriptor: Hashable, Sendable {
    /// As it was given to `DescriptorStore.keep`.
    public var name: String
    /// Whoever gets this owns it.
    public var descriptor: Int32

    public init(name: String, descriptor: Int32) {
        self.name = name
        self.descriptor = descriptor
    }
}

extension Supervisor {
    /// Whether a descriptor of that name may have come from a supervisor's store.
    public nonisolated static func isStoreName(_ name: String) -> Bool {
        StoreName(name) != nil || SuccessionStore.digest(name) != nil || SuccessionStore.process(name) != nil
            || SuccessionStore.isObjectsName(name)
    }
}

/// A name in the store: `device-SLOT-state` for what is known of a device, `device-SLOT-NUMBER` for everything that it speaks of. No number is given
/// twice in a slot, so that what is removed is what was meant.
struct StoreName: Hashable, Sendable, CustomStringConvertible {
    /// Which device of the supervisor's.
    var slot: Int
    /// `nil`: its state.
    var number: UInt64?

    /// Devices whose streams go on. systemd's limit (`FileDescriptorStoreMax=`) is on descriptors: four for a camera with one stream, and one for each
    /// driver.
    static let maximumSlots = 64
    private static let prefix = "device"
    private static let state = "state"

    init(slot: Int, number: UInt64? = nil) {
        self.slot = slot
        self.number = number
    }

    /// `nil` for what is not a name of ours, to the letter.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == Self.prefix, let slot = Int(parts[1]), 0..<Self.maximumSlots ~= slot else { return nil }
        self.slot = slot
        if parts[2] != Self.state {
            guard let number = UInt64(parts[2]), number < .max else { return nil }
            self.number = number
        }
        guard description == text else { return nil }
    }

    var description: String { "\(Self.prefix)-\(slot)-\(number.map { String($0) } ?? Self.state)" }
}
