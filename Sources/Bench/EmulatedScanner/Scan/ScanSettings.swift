// What a job is to be scanned with (eSCL: ScanSettings).

/// How a page is scanned.
public struct ScanSettings: Hashable, Sendable {
    public enum Source: String, CaseIterable, Hashable, Sendable {
        case platen = "Platen"
        case feeder = "Feeder"
    }

    public enum ColourMode: String, CaseIterable, Hashable, Sendable {
        case colour = "RGB24"
        case grey = "Grayscale8"
        case blackAndWhite = "BlackAndWhite1"
    }

    /// The document format, by its MIME type.
    public enum Format: String, CaseIterable, Hashable, Sendable {
        case jpeg = "image/jpeg"
        case png = "image/png"
        case pdf = "application/pdf"
    }

    /// In 1/300 inch, as eSCL's `ThreeHundredthsOfInches`.
    public struct Region: Hashable, Sendable {
        public var x: Int
        public var y: Int
        public var width: Int
        public var height: Int
        public init(x: Int = 0, y: Int = 0, width: Int, height: Int) {
            self.x = x
            self.y = y
            self.width = width
            self.height = height
        }

        /// A4, which each sheet has.
        public static let a4 = Region(width: 2480, height: 3508)
    }

    public static let resolutions = [75, 100, 150, 200, 300, 600]

    public var source = Source.feeder
    /// Of the feeder: both sides of each sheet.
    public var isDuplex = false
    public var colourMode = ColourMode.colour
    /// Pixels an inch, in both directions: one of ``resolutions``.
    public var resolution = 300
    public var region = Region.a4
    public var format = Format.jpeg

    public init() {}

    /// The picture's size in pixels.
    public var pixels: (width: Int, height: Int) {
        (max(1, region.width * resolution / 300), max(1, region.height * resolution / 300))
    }

    /// The largest region of a source.
    static func largest(_ source: Source) -> Region {
        source == .platen ? Region(width: 2550, height: 3508) : Region(width: 2550, height: 4200)
    }

    /// Why settings were refused.
    enum Refusal: Error, Hashable {
        /// No ScanSettings at all: 400.
        case malformed
        /// Settings that this scanner has not: 409.
        case unsupported
    }

    /// Reads the body of POST ScanJobs: any prefixes, elements in any order, what is left out as the
    /// scanner has it.
    init(xml: [UInt8]) throws(Refusal) {
        let elements = XMLElements.read(xml)
        guard elements.contains(where: { $0.name == "ScanSettings" }), elements.count <= 500 else { throw .malformed }
        func text(_ names: String...) -> String? {
            for name in names {
                if let found = elements.first(where: { $0.name == name && !$0.text.isEmpty }) { return found.text }
            }
            return nil
        }
        func number(_ name: String) throws(Refusal) -> Int? {
            guard let text = text(name) else { return nil }
            guard let value = Int(text), value >= 0, value < 1 << 20 else { throw .malformed }
            return value
        }
        if let name = text("InputSource") {
            guard let known = Source(rawValue: name) else { throw .unsupported }
            source = known
        } else {
            source = .platen
        }
        isDuplex = source == .feeder && text("Duplex") == "true"
        if let name = text("ColorMode") {
            guard let known = ColourMode(rawValue: name) else { throw .unsupported }
            colourMode = known
        }
        if let name = text("DocumentFormatExt", "DocumentFormat") {
            guard let known = Format(rawValue: name) else { throw .unsupported }
            format = known
        }
        let x = try number("XResolution")
        let y = try number("YResolution")
        resolution = x ?? y ?? 300
        guard (y ?? resolution) == resolution, Self.resolutions.contains(resolution) else { throw .unsupported }
        let largest = Self.largest(source)
        region.x = try number("XOffset") ?? 0
        region.y = try number("YOffset") ?? 0
        region.width = try number("Width") ?? largest.width
        region.height = try number("Height") ?? largest.height
        guard region.width > 0, region.height > 0, region.x + region.width <= largest.width,
            region.y + region.height <= largest.height
        else { throw .unsupported }
    }
}

/// The elements of an XML text with what stands in them: as much of XML as job settings need.
enum XMLElements {
    struct Element: Hashable {
        /// Without its prefix.
        var name: String
        /// Up to the next tag, without white space around it.
        var text: String
    }

    static func read(_ bytes: [UInt8]) -> [Element] {
        var elements: [Element] = []
        var position = 0
        while let start = bytes[position...].firstIndex(of: UInt8(ascii: "<")) {
            guard let end = bytes[start...].firstIndex(of: UInt8(ascii: ">")) else { break }
            position = end + 1
            let tag = bytes[start + 1..<end]
            guard let first = tag.first, first != UInt8(ascii: "/"), first != UInt8(ascii: "?"), first != UInt8(ascii: "!") else {
                continue
            }
            let name = tag.prefix { $0 > 0x20 && $0 != UInt8(ascii: "/") }
            let local = name.lastIndex(of: UInt8(ascii: ":")).map { name[($0 + 1)...] } ?? name
            let next = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
            elements.append(
                Element(
                    name: String(decoding: local, as: UTF8.self), text: String(decoding: trimmed(bytes[position..<next]), as: UTF8.self)))
        }
        return elements
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let front = bytes.drop { $0 <= 0x20 }
        guard let last = front.lastIndex(where: { $0 > 0x20 }) else { return [] }
        return front[...last]
    }
}
