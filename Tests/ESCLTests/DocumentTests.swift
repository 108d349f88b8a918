// Capabilities, status, paths and settings, as scanners have them and as some get them wrong.

import ESCL
import Testing

@Suite struct DocumentTests {
    static func capabilities(prefix: String = "scan", head: String = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>") -> [UInt8] {
        let p = prefix.isEmpty ? "" : prefix + ":"
        func input(_ resolutions: String) -> String {
            """
            <\(p)MinWidth>16</\(p)MinWidth><\(p)MaxWidth>2550</\(p)MaxWidth><\(p)MinHeight>16</\(p)MinHeight><\(p)MaxHeight>3508</\(p)MaxHeight>
            <\(p)SettingProfiles><\(p)SettingProfile>
              <\(p)ColorModes><\(p)ColorMode>Grayscale8</\(p)ColorMode><\(p)ColorMode>RGB24</\(p)ColorMode></\(p)ColorModes>
              <\(p)DocumentFormats><pwg:DocumentFormat>image/jpeg</pwg:DocumentFormat>
                <\(p)DocumentFormatExt>application/pdf</\(p)DocumentFormatExt></\(p)DocumentFormats>
              <\(p)SupportedResolutions>\(resolutions)</\(p)SupportedResolutions>
            </\(p)SettingProfile></\(p)SettingProfiles>
            """
        }
        let discrete = [300, 75, 600].map {
            "<\(p)DiscreteResolution><\(p)XResolution>\($0)</\(p)XResolution><\(p)YResolution>\($0)</\(p)YResolution></\(p)DiscreteResolution>"
        }.joined()
        let range =
            "<\(p)ResolutionRange><\(p)XResolutionRange><\(p)Min>100</\(p)Min><\(p)Max>1200</\(p)Max><\(p)Normal>300</\(p)Normal>"
            + "<\(p)Step>50</\(p)Step></\(p)XResolutionRange></\(p)ResolutionRange>"
        return Array(
            """
            \(head)<!-- --><\(p)ScannerCapabilities xmlns:\(prefix.isEmpty ? "x" : prefix)="http://schemas.hp.com/imaging/escl/2011/05/03" \
            xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm">
            <pwg:Version>2.63</pwg:Version><pwg:MakeAndModel> Example &amp; Sons 12 </pwg:MakeAndModel><pwg:SerialNumber>S1</pwg:SerialNumber>
            <\(p)Platen><\(p)PlatenInputCaps>\(input(discrete))</\(p)PlatenInputCaps></\(p)Platen>
            <\(p)Adf><\(p)AdfSimplexInputCaps>\(input(range))</\(p)AdfSimplexInputCaps><\(p)FeederCapacity>35</\(p)FeederCapacity>
              <\(p)AdfOptions><\(p)AdfOption>Duplex</\(p)AdfOption></\(p)AdfOptions></\(p)Adf>
            </\(p)ScannerCapabilities>
            """.utf8)
    }

    @Test(arguments: ["scan", "escl", ""]) func whateverThePrefixIs(prefix: String) throws {
        let found = try ESCLCapabilities(parsing: Self.capabilities(prefix: prefix))
        #expect(found.version == "2.63" && found.model == "Example & Sons 12" && found.serialNumber == "S1")
        #expect(Set(found.sources.keys) == [.platen, .feeder, .duplex])
        let platen = try #require(found.sources[.platen])
        #expect(platen.resolutions == .list([75, 300, 600]) && platen.colorModes == [.gray, .color])
        #expect(platen.formats == ["image/jpeg", "application/pdf"] && platen.hasFormatExtension)
        #expect(platen.maximumWidth == 2550 && platen.maximumHeight == 3508)
        #expect(found.sources[.feeder]?.resolutions == .range(minimum: 100, maximum: 1200, step: 50))
    }

    @Test func aDoctypeIsPassedOverAndEntitiesAreRefused() throws {
        let plain = Self.capabilities(
            head: "<?xml version=\"1.0\"?><!DOCTYPE scan:ScannerCapabilities SYSTEM \"http://example.org/x.dtd\">")
        #expect(try ESCLCapabilities(parsing: plain).version == "2.63")
        let bomb = Self.capabilities(head: "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>")
        #expect(throws: XMLFailure.self) { try ESCLCapabilities(parsing: bomb) }
    }

    @Test func documentsAreBounded() {
        #expect(throws: XMLFailure.self) { try XMLElement(parsing: Array(String(repeating: "<a>", count: 100).utf8)) }
        let flat = "<a>" + String(repeating: "<b/>", count: 9000) + "</a>"
        #expect(throws: XMLFailure.self) { try XMLElement(parsing: Array(flat.utf8)) }
        #expect(throws: XMLFailure.self) { try XMLElement(parsing: [UInt8](repeating: 0x20, count: 300_000)) }
        for text in ["", "<a>", "<a></b>", "no", "<a b=>"] {
            #expect(throws: XMLFailure.self) { try XMLElement(parsing: Array(text.utf8)) }
        }
        #expect(throws: ESCLFailure.self) { try ESCLCapabilities(parsing: Array("<html/>".utf8)) }
    }

    @Test func aZeroByteBehindTheDocumentHarmsNobody() throws {
        #expect(try XMLElement(parsing: Array("<a>x</a>".utf8) + [0]).text == "x")
    }

    @Test func aModelOfNothingButXIsNone() throws {
        let text =
            "<c:ScannerCapabilities xmlns:c='x'><c:MakeAndModel>xxxx</c:MakeAndModel><c:Platen><c:PlatenInputCaps/></c:Platen></c:ScannerCapabilities>"
        let found = try ESCLCapabilities(parsing: Array(text.utf8))
        #expect(found.model == nil)
        #expect(found.sources[.platen]?.resolutions == .list([300]), "what is not said is what all can")
    }

    @Test func aStatusTellsStateFeederAndJobs() throws {
        let text = """
            <scan:ScannerStatus xmlns:scan="a" xmlns:pwg="b"><pwg:Version>2.6</pwg:Version><pwg:State>Processing</pwg:State>
            <scan:AdfState>ScannerAdfLoaded</scan:AdfState><scan:Jobs><scan:JobInfo><pwg:JobUri>http://BR54.hpLedmUSB/eSCL/ScanJobs/urn:uuid:1</pwg:JobUri>
            <pwg:JobState>Processing</pwg:JobState><pwg:ImagesToTransfer>2</pwg:ImagesToTransfer><pwg:ImagesCompleted>1</pwg:ImagesCompleted></scan:JobInfo>
            <scan:JobInfo><pwg:JobUri>/eSCL/ScanJobs/2</pwg:JobUri><pwg:JobState>Completed</pwg:JobState></scan:JobInfo></scan:Jobs></scan:ScannerStatus>
            """
        let status = try ESCLStatus(parsing: Array(text.utf8))
        #expect(status.state == .processing && status.feeder == .loaded && status.jobs.count == 2)
        #expect(status.jobs[0].path == "/eSCL/ScanJobs/urn:uuid:1" && status.jobs[0].isOpen && status.jobs[0].imagesToTransfer == 2)
        #expect(!status.jobs[1].isOpen)
        let odd = try ESCLStatus(parsing: Array("<x:ScannerStatus xmlns:x='a'><x:State>Busy</x:State></x:ScannerStatus>".utf8))
        #expect(odd.state == .unknown && odd.feeder == nil)
    }

    @Test(arguments: [
        ("http://BR54BFB02C05XK.03f011c2.hpLedmUSB/eSCL/ScanJobs/1", "/eSCL/ScanJobs/1"),
        ("https://192.168.1.2:443/eSCL/ScanJobs/1/", "/eSCL/ScanJobs/1"),
        ("/eSCL/ScanJobs/urn:uuid:4509a320", "/eSCL/ScanJobs/urn:uuid:4509a320"), ("ScanJobs/7", "/eSCL/ScanJobs/7"),
        ("7", "/eSCL/ScanJobs/7"),
        (" /eSCL/ScanJobs/1?x=y \r\n", "/eSCL/ScanJobs/1"), ("urn:uuid:7", "/eSCL/ScanJobs/urn:uuid:7"),
    ]) func onlyThePathOfALocationCounts(location: String, path: String) {
        #expect(ESCLPath.path(of: location, root: "/eSCL") == path)
    }

    @Test(arguments: ["", "http://host", "/a b", "/é", "/" + String(repeating: "x", count: 300)]) func noPathIsNone(location: String) {
        #expect(ESCLPath.path(of: location, root: "/eSCL") == nil)
    }

    @Test func settingsComeNearest() throws {
        let capabilities = try ESCLCapabilities(parsing: Self.capabilities())
        let settings = try #require(
            ESCLSettings(
                capabilities, source: .duplex, colorMode: .blackAndWhite, resolution: 333, format: "image/png", x: 100, width: 9999,
                height: 1))
        #expect(settings.colorMode == .color && settings.resolution == 350 && settings.format == "image/jpeg")
        #expect(settings.width == 2550 && settings.x == 0 && settings.height == 16)
        let document = try XMLElement(parsing: settings.document)
        #expect(document["InputSource"]?.text == "Feeder" && document["Duplex"]?.text == "true" && document["XResolution"]?.number == 350)
        #expect(document["DocumentFormatExt"]?.text == "image/jpeg" && document.descendants("Width").first?.number == 2550)
    }

    @Test func whatADeviceSaidGoesBackAsText() throws {
        var settings = try #require(ESCLSettings(try ESCLCapabilities(parsing: Self.capabilities()), source: .platen))
        settings.version = "2.0</pwg:Version><x/>&\u{1}"
        #expect(try XMLElement(parsing: settings.document)["Version"]?.text == "2.0</pwg:Version><x/>&")
    }
}
