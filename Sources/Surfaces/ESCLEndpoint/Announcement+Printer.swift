// What DNS-SD says of a printer (service _ipp._tcp; PWG 5100.14 §4.2, Bonjour Printing 1.2.1), of the
// attributes that the printer has.

import IPPUSB
import Wire

extension Announcement {
    /// What has to be asked for, and no more: `media-col-database` and its like are long.
    static let printerAttributes = [
        "color-supported", "copies-supported", "document-format-supported", "ipp-features-supported", "media-size-supported",
        "print-color-mode-supported", "printer-device-id", "printer-dns-sd-name", "printer-info", "printer-kind", "printer-location",
        "printer-make-and-model", "printer-uuid", "sides-supported", "urf-supported",
    ]

    /// Keys for which the printer says nothing are left out. There is no `adminurl`, since there is no
    /// page of a printer's here, and no `TLS`.
    ///
    /// - Parameters:
    ///   - printer: the answer to Get-Printer-Attributes, with `printerAttributes`.
    ///   - identity: the UUID where the printer has none.
    init(_ printer: IPPResponse, identity: String, port: UInt16, name: String) {
        let device = DeviceIdentifier(printer.string("printer-device-id") ?? "")
        let model = Self.model(printer, device)
        let formats = Self.formats(printer)
        let languages = Self.rasterLanguages(printer, device)
        var strings = ["txtvers=1", "qtotal=1", "rp=ipp/print", "priority=50"]
        func add(_ key: String, _ value: String?) {
            guard let value, !Self.plain(value).isEmpty else { return }
            strings.append(Self.string(key, value))
        }
        func addList(_ key: String, _ values: [String]) {
            let text = Self.list(key, values)
            if text.utf8.count > key.utf8.count + 1 { strings.append(text) }
        }
        func addFlag(_ key: String, _ flag: Bool?) { if let flag { strings.append("\(key)=\(flag ? "T" : "F")") } }
        add("ty", model)
        // In parentheses, which are there to stay: the inside is cut.
        add("product", model.map { "(\(Self.plain($0).clipped(toBytes: 240)))" })
        addList("pdl", formats)
        addList("URF", languages)
        add("UUID", Self.uuid(printer) ?? identity)
        addFlag("Color", Self.prints(inColour: printer))
        addFlag("Duplex", Self.prints(onBothSides: printer))
        addFlag("Copies", Self.printsCopies(printer))
        addList("kind", printer.strings("printer-kind"))
        add("PaperMax", Self.largestPaper(printer)?.rawValue)
        add("usb_MFG", device.manufacturer)
        add("usb_MDL", device.model)
        addList("usb_CMD", Self.parts(device["CMD", "COMMAND SET"] ?? ""))
        add("note", printer.string("printer-location"))
        // IPP Everywhere's clients browse for the one, AirPrint's for the other.
        let isEverywhere = formats.contains("image/pwg-raster") || printer.strings("ipp-features-supported").contains("ipp-everywhere")
        let subtypes = (isEverywhere ? ["_print"] : []) + (languages.isEmpty ? [] : ["_universal"])
        self.init(.printer, subtypes: subtypes, port: port, name: name, strings: strings)
    }

    /// The instance's name without what tells it from others.
    static func base(_ printer: IPPResponse) -> String {
        let device = DeviceIdentifier(printer.string("printer-device-id") ?? "")
        let names = [printer.string("printer-dns-sd-name"), model(printer, device), printer.string("printer-info")]
        return base(names.compactMap(\.self).first { !plain($0).isEmpty } ?? "", otherwise: "Printer")
    }

    // MARK: What the attributes say

    private static func model(_ printer: IPPResponse, _ device: DeviceIdentifier) -> String? {
        if let name = printer.string("printer-make-and-model"), !plain(name).isEmpty { return name }
        let parts = [device.manufacturer, device.model].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: " ")
    }

    /// First what needs no driver, which clients look for: not all may have room.
    private static func formats(_ printer: IPPResponse) -> [String] {
        let known = ["image/urf", "image/pwg-raster", "application/pdf", "image/jpeg"]
        let all = printer.strings("document-format-supported").map { $0.lowercased() }
        // Nothing is a language that may be any.
        return known.filter(all.contains) + all.filter { !known.contains($0) && $0 != "application/octet-stream" }
    }

    /// Apple's raster: what of it the printer takes.
    private static func rasterLanguages(_ printer: IPPResponse, _ device: DeviceIdentifier) -> [String] {
        let said = printer.strings("urf-supported").filter { !plain($0).isEmpty }
        let words = said.isEmpty ? parts(device["URF"] ?? "") : said
        // Some say that they take none.
        return words == ["none"] ? [] : words
    }

    private static func parts(_ list: String) -> [String] {
        list.utf8.split(separator: UInt8(ascii: ",")).map { plain(String(Substring($0))) }.filter { !$0.isEmpty }
    }

    /// Of `urn:uuid:01234567-89ab-…`, in small letters. `nil` for what is none.
    private static func uuid(_ printer: IPPResponse) -> String? {
        guard var text = printer.string("printer-uuid")?.lowercased() else { return nil }
        if text.hasPrefix("urn:uuid:") { text.removeFirst(9) }
        let groups = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        let digits = Set("0123456789abcdef".utf8)
        return groups.map(\.count) == [8, 4, 4, 4, 12] && groups.allSatisfy { $0.allSatisfy(digits.contains) } ? text : nil
    }

    private static func prints(inColour printer: IPPResponse) -> Bool? {
        if let flag = printer.boolean("color-supported") { return flag }
        let modes = printer.strings("print-color-mode-supported")
        return modes.isEmpty ? nil : modes.contains("color")
    }

    private static func prints(onBothSides printer: IPPResponse) -> Bool? {
        let sides = printer.strings("sides-supported")
        return sides.isEmpty ? nil : sides.contains { $0.hasPrefix("two-sided") }
    }

    private static func printsCopies(_ printer: IPPResponse) -> Bool? {
        switch printer.values("copies-supported").first {
        case .rangeOfInteger(_, let upper): upper > 1
        case .integer(let most): most > 1
        default: nil
        }
    }

    // MARK: Paper

    /// Bonjour Printing's words for the largest sheet.
    private enum Paper: String {
        case small = "<legal-A4"
        case legal = "legal-A4"
        case tabloid = "tabloid-A3"
        case large = "isoC-A2"
        case larger = ">isoC-A2"
    }

    /// Of `media-size-supported`, hundredths of millimetres. `nil` if it says nothing.
    private static func largestPaper(_ printer: IPPResponse) -> Paper? {
        func dimension(_ members: [IPPAttribute], _ name: String) -> Int? {
            switch members.first(where: { $0.name == name })?.values.first {
            case .integer(let number): Int(number)
            case .rangeOfInteger(_, let upper): Int(upper)
            default: nil
            }
        }
        var sizes: [(short: Int, long: Int)] = []
        for case .collection(let members) in printer.values("media-size-supported") {
            guard let x = dimension(members, "x-dimension"), let y = dimension(members, "y-dimension"), x > 0, y > 0 else { continue }
            sizes.append((min(x, y), max(x, y)))
        }
        guard !sizes.isEmpty else { return nil }
        func holds(_ short: Int, _ long: Int) -> Bool { sizes.contains { $0.short >= short && $0.long >= long } }
        // ANSI's C and A2; tabloid and A3; legal and A4.
        if sizes.contains(where: { $0.short > 43_180 && $0.long > 59_400 }) { return .larger }
        if holds(43_180, 55_880) || holds(42_000, 59_400) { return .large }
        if holds(27_940, 43_180) || holds(29_700, 42_000) { return .tabloid }
        return holds(21_590, 35_560) || holds(21_000, 29_700) ? .legal : .small
    }
}
