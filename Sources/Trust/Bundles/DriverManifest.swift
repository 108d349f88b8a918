// A driver's manifest: what driver.yaml says, once it has been found sound.

import Glibc
package import Wire

/// What a driver says of itself in its `driver.yaml`.
package struct DriverManifest: Hashable, Sendable {
    /// Settings for some devices: why they are needed and how that is known is part of them.
    package struct Quirk: Hashable, Sendable {
        /// Any of them.
        package var match: [MatchRule]
        package var set: [String: JSONValue]
        package var reason: String
        /// Where it is known from: a report, a driver's source, a measurement.
        package var source: String

        /// The specificity of the best rule that matches, `nil` when none does.
        package func specificity(for device: MatchSubject) -> Int? {
            match.filter { $0.matches(device) }.map(\.specificity).max()
        }
    }

    /// An interface that the driver answers: its definition is the bundle's file
    /// `interfaces/NAME.varlink`.
    package struct Provided: Hashable, Sendable {
        package static let folder = "interfaces"

        /// `"org.example.thermometer"`
        package var interface: String
        /// SHA-256 of the definition: through it the manifest's signature covers it.
        package var digest: [UInt8]?
        /// What the supervisor has to know of methods; of others the defaults hold.
        package var methods: [String: MethodPolicy]

        /// Within the bundle's folder.
        package var file: String { "\(Self.folder)/\(interface).varlink" }

        package func policy(of method: String) -> MethodPolicy { methods[method] ?? MethodPolicy() }
    }

    /// `"io.userdriver.webcam"`
    package var id: String
    package var version: String
    /// What kind of device it drives: `"webcam"`.
    package var kind: String
    /// A file's name in the bundle.
    package var executable: String
    /// SHA-256 of the executable: through it the manifest's signature covers what runs.
    package var executableDigest: [UInt8]?
    package var match: [MatchRule]
    /// The interfaces that the driver may claim, told by class; nothing else of the device is open to it.
    package var interfaces: [MatchRule]
    /// Interfaces that stream, told by class: their open file survives the driver, so that a
    /// successor takes over what is in flight.
    package var streaming: [MatchRule]
    /// Varlink interfaces that the driver answers.
    package var provides: [Provided]
    /// The streams that its devices may have; the first is meant where somebody names none and the
    /// driver has not said what there is.
    package var streams: [String]
    package var settings: [String: JSONValue]
    package var quirks: [Quirk]

    /// The last part of its id: its folder's name.
    package var name: String { id.split(separator: ".").last.map(String.init) ?? id }

    package func provided(_ interface: String) -> Provided? { provides.first { $0.interface == interface } }

    /// How well the driver suits a device: the specificity of its best rule, `nil` when it doesn't.
    package func suitability(for device: MatchSubject) -> Int? {
        match.filter { $0.matches(device) }.map(\.specificity).max()
    }

    /// Settings for a device: the general ones, overridden by quirks from the least to the most specific; of equals the later one counts.
    package func configuration(for device: MatchSubject) -> [String: JSONValue] {
        var result = settings
        let fitting = quirks.enumerated().compactMap { position, quirk in
            quirk.specificity(for: device).map { (specificity: $0, position: position, quirk: quirk) }
        }
        // Sorted by position too: sort does not promise to keep the order of equals.
        for entry in fitting.sorted(by: { ($0.specificity, $0.position) < ($1.specificity, $1.position) }) {
            result.merge(entry.quirk.set) { $1 }
        }
        return result
    }

    /// Bit n: interface n may be claimed. For `USBDEVFS_DROP_PRIVILEGES`.
    package func interfaceMask(for device: MatchSubject) -> UInt32 { mask(interfaces, device) }

    /// Bit n: interface n streams, and may be claimed.
    package func streamingMask(for device: MatchSubject) -> UInt32 { mask(streaming, device) & interfaceMask(for: device) }

    private func mask(_ rules: [MatchRule], _ device: MatchSubject) -> UInt32 {
        var mask: UInt32 = 0
        for interface in device.interfaces where interface.number < 32 && rules.contains(where: { $0.matches(interface) }) {
            mask |= 1 << UInt32(interface.number)
        }
        return mask
    }
}

/// What is wrong with a bundle, and where.
package struct BundleError: Error, Hashable, Sendable, CustomStringConvertible {
    package var path: String
    package var problem: String
    /// What the bundle's manifest says, where that could be read. Nobody vouches for it.
    package var manifest: DriverManifest?
    /// The system call that failed did so for want of a right.
    package var isNotPermitted = false
    /// The errno of the system call that failed, where one did.
    package var systemError: Int32?
    /// Nobody who is trusted vouches for it.
    package var isUntrusted = false

    package init(path: String, problem: String, manifest: DriverManifest? = nil) {
        self.path = path
        self.problem = problem
        self.manifest = manifest
    }

    init(path: String, errno number: Int32) {
        self.path = path
        problem = number == ELOOP ? "it is a symbolic link" : String(cString: strerror(number))
        isNotPermitted = number == EACCES || number == EPERM
        systemError = number
    }

    package var description: String { "\(path): \(problem)" }
}
