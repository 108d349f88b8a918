// What DNS-SD is told of a printer, whatever the printer says of itself.

import IPPUSB
import Testing

@testable import ESCLEndpoint

@Suite struct PrinterAnnouncementTests {
    private static func size(_ x: Int32, _ y: Int32) -> IPPValue {
        .collection([IPPAttribute("x-dimension", .integer(x)), IPPAttribute("y-dimension", .integer(y))])
    }

    private static let attributes = [
        IPPAttribute("printer-make-and-model", .text("Maker Model 1")),
        IPPAttribute("printer-device-id", .text("MFG:Maker;MDL:Model 1;CMD:PWGRaster,AppleRaster , PDF;URF:W8;")),
        IPPAttribute("printer-uuid", .uri("urn:uuid:4509A320-00a0-008f-00b6-002507510eca")),
        IPPAttribute("printer-location", .text("2nd floor")),
        IPPAttribute("printer-kind", .keyword("document"), .keyword("photo")),
        IPPAttribute(
            "document-format-supported", .mimeMediaType("application/octet-stream"), .mimeMediaType("application/vnd.x"),
            .mimeMediaType("application/pdf"), .mimeMediaType("image/pwg-raster"), .mimeMediaType("image/urf")),
        IPPAttribute("urf-supported", .keyword("V1.4"), .keyword("W8"), .keyword("DM1")),
        IPPAttribute("color-supported", .boolean(false)),
        IPPAttribute("sides-supported", .keyword("one-sided"), .keyword("two-sided-long-edge")),
        IPPAttribute("copies-supported", .rangeOfInteger(lower: 1, upper: 99)),
        IPPAttribute("media-size-supported", size(21_000, 29_700), size(21_590, 27_940)),
    ]

    private func announcement(_ attributes: [IPPAttribute], name: String = "x (USB)") -> Announcement {
        let printer = IPPResponse(groups: [IPPGroup(.operation), IPPGroup(.printer, attributes)])
        return Announcement(printer, identity: "01234567", port: 8742, name: name)
    }

    @Test func `a record has what clients look for`() {
        let announcement = announcement(Self.attributes)
        #expect(
            announcement.strings == [
                "txtvers=1", "qtotal=1", "rp=ipp/print", "priority=50", "ty=Maker Model 1", "product=(Maker Model 1)",
                "pdl=image/urf,image/pwg-raster,application/pdf,application/vnd.x", "URF=V1.4,W8,DM1",
                "UUID=4509a320-00a0-008f-00b6-002507510eca", "Color=F", "Duplex=T", "Copies=T", "kind=document,photo",
                "PaperMax=legal-A4", "usb_MFG=Maker", "usb_MDL=Model 1", "usb_CMD=PWGRaster,AppleRaster,PDF", "note=2nd floor",
            ])
        #expect(announcement.subtypes == ["_print", "_universal"])
        #expect(announcement.line.hasPrefix("announce\t_ipp._tcp,_print,_universal\t8742\tx (USB)\ttxtvers=1\t"))
        #expect(Announcement.withdrawal(announcement.key) == "withdraw\t_ipp._tcp\t8742\n")
        for attribute in Self.attributes { #expect(Announcement.printerAttributes.contains(attribute.name)) }
    }

    @Test func `what a printer does not say is left out`() {
        let announcement = announcement([])
        #expect(announcement.strings == ["txtvers=1", "qtotal=1", "rp=ipp/print", "priority=50", "UUID=01234567"])
        #expect(announcement.subtypes.isEmpty && announcement.line.hasPrefix("announce\t_ipp._tcp\t8742\t"))
    }

    @Test func `the device's identifier stands in for attributes`() {
        let announcement = announcement([
            IPPAttribute("printer-device-id", .text("MANUFACTURER:M;MODEL:N;COMMAND SET:A,B;URF:CP1,W8")),
            IPPAttribute("printer-uuid", .uri("urn:uuid:none")), IPPAttribute("print-color-mode-supported", .keyword("color")),
            IPPAttribute("copies-supported", .rangeOfInteger(lower: 1, upper: 1)),
        ])
        for string in ["ty=M N", "product=(M N)", "usb_MFG=M", "usb_MDL=N", "usb_CMD=A,B", "URF=CP1,W8", "UUID=01234567", "Color=T"] {
            #expect(announcement.strings.contains(string))
        }
        #expect(announcement.strings.contains("Copies=F") && announcement.subtypes == ["_universal"])
    }

    @Test(
        arguments: [
            ([(10_000, 15_000)], "<legal-A4"), ([(21_590, 35_560)], "legal-A4"), ([(29_700, 21_000)], "legal-A4"),
            ([(21_000, 29_700), (29_700, 42_000)], "tabloid-A3"), ([(42_000, 59_400)], "isoC-A2"), ([(91_400, 120_000)], ">isoC-A2"),
            ([(0, 0), (-1, 5)], nil),
        ] as [([(Int32, Int32)], String?)])
    func `the largest sheet is told by its name`(sizes: [(Int32, Int32)], word: String?) {
        let announcement = announcement([IPPAttribute("media-size-supported", sizes.map { Self.size($0.0, $0.1) })])
        let found = announcement.strings.first { $0.hasPrefix("PaperMax=") }
        #expect(found == word.map { "PaperMax=" + $0 })
    }

    @Test func `a name is what the printer is called`() {
        func base(_ attributes: [IPPAttribute]) -> String { Announcement.base(IPPResponse(groups: [IPPGroup(.printer, attributes)])) }
        #expect(base(Self.attributes) == "Maker Model 1" && base([]) == "Printer")
        #expect(base(Self.attributes + [IPPAttribute("printer-dns-sd-name", .name("Desk"))]) == "Desk")
        #expect(base([IPPAttribute("printer-dns-sd-name", .name(" \n")), IPPAttribute("printer-info", .text("Info"))]) == "Info")
    }

    @Test(arguments: [
        String(repeating: "ä", count: 5000), "a\tb\nwithdraw\t_ipp._tcp\t8742\n\u{0}\u{1b}[2J\u{202e}x", "", "   \t", "\u{ffff}\u{feff}",
        String(repeating: "a\u{300}", count: 300), String(repeating: ",;:=", count: 100), "MFG:\tx\n;MDL:\u{0};CMD:,,,;URF:,",
    ])
    func `nothing that a printer says breaks a line or a limit`(text: String) {
        let attributes = Announcement.printerAttributes.map { name in
            IPPAttribute(name, (0..<40).map { IPPValue.text(text + ($0 == 0 ? "" : "\($0)")) })
        }
        let printer = IPPResponse(groups: [IPPGroup(.printer, attributes)])
        let announcement = announcement(attributes, name: Announcement.base(printer))
        #expect((1...63).contains(announcement.name.utf8.count))
        #expect(announcement.strings.count <= 24 && announcement.line.utf8.count <= 8192)
        for string in announcement.strings {
            let key = string.prefix { $0 != "=" }
            #expect(string.utf8.count <= 255 && !key.isEmpty && key.utf8.count < string.utf8.count)
        }
        let fields = announcement.line.split(separator: "\t", omittingEmptySubsequences: false)
        #expect(fields.count == 4 + announcement.strings.count)
        #expect(announcement.line.unicodeScalars.dropLast().allSatisfy { $0 == "\t" || $0.value >= 0x20 })
    }
}
