// What a scanner can do: the answer to GET …/ScannerCapabilities (Mopria eSCL 2.97 §8).

/// Where paper lies, as eSCL has it.
public enum ESCLSource: String, Codable, Hashable, Sendable, CaseIterable {
    case platen
    case feeder
    /// The feeder, both sides of each sheet.
    case duplex
}

/// `scan:ColorMode`, of those that people ask for.
public enum ESCLColorMode: String, Codable, Hashable, Sendable, CaseIterable {
    case blackAndWhite = "BlackAndWhite1"
    case gray = "Grayscale8"
    case color = "RGB24"
}

/// Resolutions of a source, in dots per inch.
public enum ESCLResolutions: Hashable, Sendable {
    /// Of both axes, ascending.
    case list([Int])
    case range(minimum: Int, maximum: Int, step: Int)

    private static let usual = [75, 100, 150, 200, 240, 300, 400, 600, 1200, 2400]

    /// The one that is nearest to what was wanted.
    public func nearest(to wanted: Int) -> Int {
        switch self {
        case .list(let list): return list.min { (abs($0 - wanted), $0) < (abs($1 - wanted), $1) } ?? wanted
        case .range(let minimum, let maximum, let step):
            let inside = min(max(wanted, minimum), maximum)
            let steps = (inside - minimum + step / 2) / step
            return min(minimum + steps * step, maximum)
        }
    }

    /// Leaves those up to `most`, and the least where all are above it.
    public mutating func limit(to most: Int) {
        switch self {
        case .list(let list):
            let left = list.filter { $0 <= most }
            self = .list(left.isEmpty ? Array(list.prefix(1)) : left)
        case .range(let minimum, let maximum, let step):
            self = .range(minimum: minimum, maximum: max(minimum, min(maximum, most)), step: step)
        }
    }

    /// For people to choose from.
    public var shown: [Int] {
        switch self {
        case .list(let list): list
        case .range(let minimum, let maximum, let step):
            Self.usual.filter { minimum...maximum ~= $0 && ($0 - minimum) % step == 0 || $0 == maximum }
        }
    }
}

/// `scan:InputSourceCaps`: of the platen, or of the feeder one-sided or two-sided.
public struct ESCLInputCapabilities: Hashable, Sendable {
    /// In 1/300 inch.
    public var minimumWidth: Int
    public var maximumWidth: Int
    public var minimumHeight: Int
    public var maximumHeight: Int
    public var colorModes: [ESCLColorMode]
    /// Media types, in lower case.
    public var formats: [String]
    public var resolutions: ESCLResolutions
    /// Formats are asked for by `scan:DocumentFormatExt` (eSCL 2.1).
    public var hasFormatExtension: Bool
}

/// Everything that matters here of a scanner's capabilities.
public struct ESCLCapabilities: Hashable, Sendable {
    /// `"2.63"`
    public var version: String
    /// `nil` if it says nothing, or nothing sensible.
    public var model: String?
    public var serialNumber: String?
    public var sources: [ESCLSource: ESCLInputCapabilities]

    private static let most = 64

    /// Throws where it is another kind of document, or names no source.
    public init(parsing bytes: [UInt8]) throws {
        let root = try XMLElement(parsing: bytes)
        guard root.name == "ScannerCapabilities" else { throw ESCLFailure.document(root.name, expected: "ScannerCapabilities") }
        version = root["Version"]?.text ?? "2.0"
        model = root["MakeAndModel"].map(\.text).flatMap { text in text.isEmpty || text.allSatisfy { $0 == "x" } ? nil : text }
        serialNumber = root["SerialNumber"].map(\.text).flatMap { $0.isEmpty ? nil : $0 }
        sources = [:]
        // Profiles may stand once, and be referred to by name, which nobody does without giving them.
        let shared = root["SettingProfiles"]?.all("SettingProfile") ?? []
        func read(_ source: ESCLSource, _ element: XMLElement?) {
            if let element { sources[source] = ESCLInputCapabilities(element, shared: Array(shared.prefix(Self.most))) }
        }
        read(.platen, root["Platen"]?["PlatenInputCaps"])
        let feeder = root["Adf"]
        read(.feeder, feeder?["AdfSimplexInputCaps"] ?? feeder?["AdfDuplexInputCaps"])
        let options = feeder?.descendants("AdfOption").map(\.text) ?? []
        if let duplex = feeder?["AdfDuplexInputCaps"] {
            read(.duplex, duplex)
        } else if options.contains("Duplex") {
            sources[.duplex] = sources[.feeder]
        }
        guard !sources.isEmpty else { throw ESCLFailure.noSource }
    }
}

extension ESCLInputCapabilities {
    fileprivate init(_ element: XMLElement, shared: [XMLElement]) {
        func number(_ name: String, _ fallback: Int) -> Int { element[name]?.number.flatMap { 1...1_000_000 ~= $0 ? $0 : nil } ?? fallback }
        minimumWidth = number("MinWidth", 16)
        minimumHeight = number("MinHeight", 16)
        // What is not said is a Letter page's.
        maximumWidth = max(number("MaxWidth", 2550), minimumWidth)
        maximumHeight = max(number("MaxHeight", 3508), minimumHeight)
        var profiles = element["SettingProfiles"]?.all("SettingProfile") ?? []
        if profiles.isEmpty { profiles = shared }
        let modes = profiles.flatMap { $0.descendants("ColorMode") }.map(\.text)
        colorModes = ESCLColorMode.allCases.filter { modes.contains($0.rawValue) }
        if colorModes.isEmpty { colorModes = [.color] }
        let extended = profiles.flatMap { $0.descendants("DocumentFormatExt") }
        hasFormatExtension = !extended.isEmpty
        formats = (profiles.flatMap { $0.descendants("DocumentFormat") } + extended).reduce(into: []) { list, element in
            let format = element.text.lowercased()
            if format.utf8.count <= 64, !format.isEmpty, !list.contains(format) { list.append(format) }
        }
        if formats.isEmpty { formats = ["image/jpeg"] }
        resolutions = Self.resolutions(profiles)
    }

    private static func resolutions(_ profiles: [XMLElement]) -> ESCLResolutions {
        let allowed = 1...19_200
        let found = profiles.flatMap { $0.descendants("DiscreteResolution") }.compactMap { entry -> Int? in
            guard let x = entry["XResolution"]?.number, entry["YResolution"]?.number == x, allowed ~= x else { return nil }
            return x
        }
        if !found.isEmpty { return .list(Set(found).sorted()) }
        if let range = profiles.lazy.flatMap({ $0.descendants("ResolutionRange") }).first,
            let x = range["XResolutionRange"] ?? range["XResolution"], let minimum = x["Min"]?.number, let maximum = x["Max"]?.number,
            allowed ~= minimum, allowed ~= maximum, minimum <= maximum
        {
            return .range(minimum: minimum, maximum: maximum, step: min(max(x["Step"]?.number ?? 1, 1), 19_200))
        }
        return .list([300])
    }
}

/// What is wrong with what a scanner said.
public enum ESCLFailure: Error, Hashable, Sendable, CustomStringConvertible {
    case document(String, expected: String)
    case noSource

    public var description: String {
        switch self {
        case .document(let name, let expected): "The scanner answered with the document \(name.prefix(60)) when asked for \(expected)."
        case .noSource: "The scanner names neither a flatbed nor a feeder."
        }
    }
}
