// A driver's manifest: what driver.yaml says, once it has been found sound.

import Wire

/// What a driver says of itself in its `driver.yaml`.
struct DriverManifest: Hashable, Sendable {
    /// Settings for some devices: why they are needed and how that is known is part of them.
    struct Quirk: Hashable, Sendable {
        /// Any of them.
        var match: [MatchRule]
        var set: [String: JSONValue]
        var reason: String
        /// Where it is known from: a report, a driver's source, a measurement.
        var source: String

        /// The specificity of the best rule that matches, `nil` when none does.
        func specificity(for device: MatchSubject) -> Int? {
            match.filter { $0.matches(device) }.map(\.specificity).max()
        }
    }

    /// `"io.userdriver.webcam"`
    var id: String
    var version: String
    /// What kind of device it drives: `"webcam"`.
    var kind: String
    /// A file's name in the bundle.
    var executable: String
    var match: [MatchRule]
    /// The interfaces that the driver may claim, told by class; nothing else of the device is open to it.
    var interfaces: [MatchRule]
    /// Interfaces that stream, told by class: their open file outlives the driver, so that a successor takes over what is in flight.
    var streaming: [MatchRule]
    /// Varlink interfaces that drivers of this kind answer, for telling which devices suit a call before the driver runs.
    var provides: [String]
    var settings: [String: JSONValue]
    var quirks: [Quirk]

    /// How well the driver suits a device: the specificity of its best rule, `nil` when it doesn't.
    func suitability(for device: MatchSubject) -> Int? {
        match.filter { $0.matches(device) }.map(\.specificity).max()
    }

    /// Settings for a device: the general ones, overridden by quirks from the least to the most specific; of equals the later one counts.
    func configuration(for device: MatchSubject) -> [String: JSONValue] {
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

    /// What a driver gets of a device: for `USBDEVFS_DROP_PRIVILEGES`.
    func grant(for device: MatchSubject) -> DeviceGrant {
        let allowed = mask(interfaces, device)
        return DeviceGrant(interfaces: allowed, streaming: mask(streaming, device) & allowed)
    }

    private func mask(_ rules: [MatchRule], _ device: MatchSubject) -> UInt32 {
        var mask: UInt32 = 0
        for interface in device.interfaces where interface.number < 32 && rules.contains(where: { $0.matches(interface) }) {
            mask |= 1 << UInt32(interface.number)
        }
        return mask
    }
}

/// What is wrong with a bundle, and where.
struct BundleError: Error, Hashable, Sendable, CustomStringConvertible {
    var path: String
    var problem: String
    var description: String { "\(path): \(problem)" }
}
