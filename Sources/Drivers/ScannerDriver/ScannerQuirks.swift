// What some scanners get wrong, by model. Which ones, why, and who found out stands in the driver's
// manifest.

import Wire

/// Deviations that the driver works around where it is told of them.
struct ScannerQuirks: OptionSet, Hashable, Sendable {
    let rawValue: UInt8

    /// It hangs when two of its channels are used.
    static let oneChannel = ScannerQuirks(rawValue: 1)
    /// Asked for the next page right behind one, it says that the feeder is through.
    static let restBetweenPages = ScannerQuirks(rawValue: 2)
    /// Announces more than 300 dots per inch and can't do it.
    static let upTo300 = ScannerQuirks(rawValue: 4)
    /// A job that has ended must not be deleted.
    static let endsJobsItself = ScannerQuirks(rawValue: 8)

    /// By the names that the manifest uses.
    static let names: [(name: String, quirk: ScannerQuirks)] = [
        ("one-channel", .oneChannel), ("rest-between-pages", .restBetweenPages), ("up-to-300-dpi", .upTo300),
        ("ends-jobs-itself", .endsJobsItself),
    ]

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// - Parameters:
    ///   - configuration: under each quirk's name a list of models: a name, or the beginning of one and
    ///     `*`. USB's numbers say no more than a vendor, for most of them.
    ///   - models: what the device calls itself.
    init(_ configuration: [String: JSONValue], models: [String?]) {
        self = []
        let models = models.compactMap { $0?.lowercased() }
        for (name, quirk) in Self.names {
            guard case .array(let list) = configuration[name] else { continue }
            let patterns = list.compactMap(\.stringValue)
            if patterns.contains(where: { pattern in models.contains { Self.fits($0, pattern.lowercased()) } }) { insert(quirk) }
        }
    }

    /// Whether the manifest names a model that has it, of the vendor of this device.
    func isListed(in configuration: [String: JSONValue]) -> Bool {
        Self.names.contains { contains($0.quirk) && configuration[$0.name] != nil }
    }

    private static func fits(_ model: String, _ pattern: String) -> Bool {
        pattern.utf8.last == UInt8(ascii: "*") ? model.hasPrefix(pattern.dropLast()) : model == pattern
    }
}
