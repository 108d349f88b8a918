// What is asked for by POST …/ScanJobs: `scan:ScanSettings` (Mopria eSCL 2.97 §10).

/// A scan's settings, as a scanner's capabilities allow them.
public struct ESCLSettings: Codable, Hashable, Sendable {
    public var version: String
    public var source: ESCLSource
    public var colorMode: ESCLColorMode
    /// Dots per inch.
    public var resolution: Int
    /// A media type.
    public var format: String
    public var hasFormatExtension: Bool
    /// In 1/300 inch.
    public var x: Int
    public var y: Int
    public var width: Int
    public var height: Int

    /// The settings nearest to what is wanted. `nil` if there is no such source; a mode or format
    /// that it does not have is replaced by one that it has.
    public init?(
        _ capabilities: ESCLCapabilities, source: ESCLSource, colorMode: ESCLColorMode = .color, resolution: Int = 300,
        format: String = "image/jpeg", x: Int = 0, y: Int = 0, width: Int? = nil, height: Int? = nil
    ) {
        guard let input = capabilities.sources[source] else { return nil }
        version = capabilities.version
        self.source = source
        self.colorMode = input.colorModes.contains(colorMode) ? colorMode : input.colorModes.last ?? colorMode
        self.resolution = input.resolutions.nearest(to: resolution)
        self.format =
            input.formats.contains(format)
            ? format : input.formats.contains("image/jpeg") ? "image/jpeg" : input.formats.first ?? format
        hasFormatExtension = input.hasFormatExtension
        self.width = min(max(width ?? input.maximumWidth, input.minimumWidth), input.maximumWidth)
        self.height = min(max(height ?? input.maximumHeight, input.minimumHeight), input.maximumHeight)
        self.x = min(max(x, 0), input.maximumWidth - self.width)
        self.y = min(max(y, 0), input.maximumHeight - self.height)
    }

    /// The document that is sent. In the order that the schema has: some devices read no other.
    public var document: [UInt8] {
        func element(_ name: String, _ value: some CustomStringConvertible) -> String {
            "<\(name)>\(XMLText.escaped("\(value)"))</\(name)>"
        }
        var body = element("pwg:Version", version)
        body += "<pwg:ScanRegions><pwg:ScanRegion>"
        body += element("pwg:ContentRegionUnits", "escl:ThreeHundredthsOfInches")
        body += element("pwg:Height", height) + element("pwg:Width", width)
        body += element("pwg:XOffset", x) + element("pwg:YOffset", y)
        body += "</pwg:ScanRegion></pwg:ScanRegions>"
        body += element("pwg:InputSource", source == .platen ? "Platen" : "Feeder")
        body += element("pwg:DocumentFormat", format)
        if hasFormatExtension { body += element("scan:DocumentFormatExt", format) }
        body += element("scan:XResolution", resolution) + element("scan:YResolution", resolution)
        body += element("scan:ColorMode", colorMode.rawValue)
        if source != .platen { body += element("scan:Duplex", source == .duplex) }
        return Array(
            """
            <?xml version="1.0" encoding="UTF-8"?>
            <scan:ScanSettings xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm" \
            xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03">\(body)</scan:ScanSettings>

            """.utf8)
    }
}
