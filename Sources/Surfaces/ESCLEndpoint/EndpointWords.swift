// io.userdriver.scanner's words in those of eSCL, and the other way round.

import ESCL
import ScannerClient

extension ScanMode {
    var escl: ESCLColorMode {
        switch self {
        case .color: .color
        case .gray: .gray
        case .blackAndWhite: .blackAndWhite
        }
    }

    init?(_ escl: String) {
        switch escl {
        case "RGB24", "RGB48": self = .color
        case "Grayscale8", "Grayscale16": self = .gray
        case "BlackAndWhite1": self = .blackAndWhite
        default: return nil
        }
    }
}

extension ScannerState {
    var escl: String {
        switch state {
        case .idle, .unknown: "Idle"
        case .processing: "Processing"
        case .testing: "Testing"
        case .stopped: "Stopped"
        case .down: "Down"
        }
    }
}

extension ScannerState.Feeder {
    var escl: String? {
        switch self {
        case .loaded: ESCLStatus.Feeder.loaded.rawValue
        case .empty: ESCLStatus.Feeder.empty.rawValue
        case .jam: ESCLStatus.Feeder.jam.rawValue
        case .open: ESCLStatus.Feeder.doorOpen.rawValue
        case .processing: ESCLStatus.Feeder.processing.rawValue
        case .unknown: nil
        }
    }
}

/// Why a client's `ScanSettings` are not taken.
enum SettingsRefusal: Error, Hashable {
    /// 400: it is no such document.
    case malformed(String)
    /// 409: the scanner has nothing of the kind.
    case unsupported(String)
}

extension ScanSettings {
    /// What a client asks for by POST …/ScanJobs, of a scanner that can do this. A page is wanted when
    /// it is asked for, and not before.
    init(document: [UInt8], for scanner: ScannerCapabilities) throws(SettingsRefusal) {
        var limits = XMLLimits()
        limits.bytes = ScannerEndpoint.longestSettings
        limits.elements = 512
        limits.depth = 16
        let root: XMLElement
        do throws(XMLFailure) { root = try XMLElement(parsing: document, limits: limits) } catch {
            throw .malformed("The settings can't be read: \(error.reason) in line \(error.line).")
        }
        guard root.name == "ScanSettings" else { throw .malformed("The settings are not ScanSettings.") }
        func text(_ name: String) -> String? { root[name].map(\.text).flatMap { $0.isEmpty ? nil : $0 } }
        func number(_ element: XMLElement?, _ name: String) throws(SettingsRefusal) -> Int? {
            guard let element = element?[name] else { return nil }
            guard let number = element.number, 0...1_000_000 ~= number else { throw .malformed("\(name) is not a number.") }
            return number
        }
        self.init(held: true)
        source = try Self.source(text("InputSource"), isDuplex: text("Duplex") == "true", of: scanner)
        guard let input = scanner.sources.first(where: { $0.source == source }) else {
            throw .unsupported("The scanner has no such InputSource.")
        }
        if let name = text("ColorMode") {
            guard let known = ScanMode(name), input.modes.contains(known) else { throw .unsupported("The scanner has no such ColorMode.") }
            mode = known
        }
        if let wanted = (text("DocumentFormatExt") ?? text("DocumentFormat"))?.lowercased() {
            guard input.formats.contains(wanted) else { throw .unsupported("The scanner has no such DocumentFormat.") }
            format = wanted
        }
        let (across, down) = (try number(root, "XResolution"), try number(root, "YResolution"))
        resolution = across ?? down
        if let resolution {
            guard (down ?? resolution) == resolution, (1...19_200).contains(resolution) else {
                throw .unsupported("The scanner has no such resolution.")
            }
        }
        let region = root["ScanRegions"]?.all("ScanRegion").first ?? root["ScanRegion"]
        (x, y) = (try number(region, "XOffset"), try number(region, "YOffset"))
        (width, height) = (try number(region, "Width"), try number(region, "Height"))
    }

    private static func source(_ name: String?, isDuplex: Bool, of scanner: ScannerCapabilities) throws(SettingsRefusal) -> ScanSource {
        switch name {
        case "Platen": return .flatbed
        case "Feeder", "Adf", "ADF": return isDuplex ? .feederDuplex : .feeder
        case nil: return scanner.sources.contains { $0.source == .flatbed } ? .flatbed : .feeder
        default: throw .unsupported("The scanner has no such InputSource.")
        }
    }
}
