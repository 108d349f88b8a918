// What clients ask for, and what is refused before the scanner hears of it.

import ESCL
import ScannerClient
import Testing

@testable import ESCLEndpoint

@Suite struct SettingsTests {
    static let scanner = ScannerCapabilities(
        name: "Scanner & Sons", serial: "1",
        sources: [
            .init(
                source: .flatbed, minimum: .init(width: 16, height: 16), maximum: .init(width: 2550, height: 3508), modes: [.color, .gray],
                formats: ["image/jpeg", "image/png"], resolutions: [75, 300]),
            .init(
                source: .feeder, minimum: .init(width: 16, height: 16), maximum: .init(width: 2550, height: 4200), modes: [.color],
                formats: ["image/jpeg"], resolutions: [300]),
            .init(
                source: .feederDuplex, minimum: .init(width: 16, height: 16), maximum: .init(width: 2550, height: 4200), modes: [.color],
                formats: ["image/jpeg"], resolutions: [300]),
        ])

    private func read(_ body: String) throws(SettingsRefusal) -> ScanSettings {
        let document = "<?xml version=\"1.0\"?><s:ScanSettings xmlns:s=\"a\" xmlns:p=\"b\">\(body)</s:ScanSettings>"
        return try ScanSettings(document: Array(document.utf8), for: Self.scanner)
    }

    @Test func `a whole document is read, whatever its prefixes`() throws {
        let settings = try read(
            """
            <p:ScanRegions><p:ScanRegion><p:Height>3300</p:Height><p:Width>2500</p:Width><p:XOffset>10</p:XOffset>\
            <p:YOffset>20</p:YOffset></p:ScanRegion></p:ScanRegions><p:InputSource>Feeder</p:InputSource><s:Duplex>true</s:Duplex>\
            <p:DocumentFormat>image/jpeg</p:DocumentFormat><s:XResolution>300</s:XResolution><s:YResolution>300</s:YResolution>\
            <s:ColorMode>RGB24</s:ColorMode>
            """)
        #expect(
            settings
                == ScanSettings(
                    source: .feederDuplex, resolution: 300, mode: .color, format: "image/jpeg", x: 10, y: 20, width: 2500, height: 3300,
                    held: true))
    }

    @Test func `what is left out is the scanner's choice`() throws {
        #expect(try read("") == ScanSettings(source: .flatbed, held: true))
    }

    @Test(arguments: [
        "<s:InputSource>Camera</s:InputSource>", "<s:ColorMode>CMYK</s:ColorMode>",
        "<s:InputSource>Feeder</s:InputSource><s:ColorMode>Grayscale8</s:ColorMode>",
        "<s:DocumentFormat>image/webp</s:DocumentFormat>", "<s:XResolution>300</s:XResolution><s:YResolution>75</s:YResolution>",
        "<s:XResolution>0</s:XResolution>", "<s:XResolution>30000</s:XResolution>",
    ]) func `what the scanner does not have is refused`(body: String) {
        do throws(SettingsRefusal) {
            _ = try read(body)
            Issue.record("it was taken: \(body)")
        } catch {
            guard case .unsupported = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test(arguments: [
        "", "<", "<a/>", "<ScanSettings>", "<ScanSettings><XResolution>many</XResolution></ScanSettings>",
        "<ScanSettings><XResolution>-1</XResolution></ScanSettings>", "<ScanSettings><XResolution>99999999999</XResolution></ScanSettings>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><ScanSettings>&b;</ScanSettings>", "\u{0}\u{1}\u{2}",
        String(repeating: "<ScanSettings>", count: 100), "<ScanSettings>" + String(repeating: "<a/>", count: 1000) + "</ScanSettings>",
        "<ScanSettings>" + String(repeating: " ", count: 70_000) + "</ScanSettings>",
    ]) func `what is no such document is refused`(text: String) {
        do throws(SettingsRefusal) {
            _ = try ScanSettings(document: Array(text.utf8), for: Self.scanner)
            Issue.record("it was taken: \(text.prefix(60))")
        } catch {
            guard case .malformed = error else {
                Issue.record("\(error)")
                return
            }
        }
    }
}
