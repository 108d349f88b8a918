// The XML that the endpoint speaks (Mopria eSCL 2.97): a scanner's capabilities and its status, in
// words of our own. Nothing of the device's documents is passed on.

import ESCL
import ScannerClient

enum EndpointText {
    static let version = "2.63"

    // MARK: Capabilities

    static func capabilities(_ scanner: ScannerCapabilities, identity: String) -> String {
        func source(_ source: ScanSource) -> ScannerCapabilities.Source? { scanner.sources.first { $0.source == source } }
        var body = element("pwg:Version", version)
        body += element("pwg:MakeAndModel", scanner.name)
        if let serial = scanner.serial { body += element("pwg:SerialNumber", serial) }
        body += element("scan:UUID", identity)
        if let flatbed = source(.flatbed) {
            body += tag("scan:Platen", tag("scan:PlatenInputCaps", input(flatbed)))
        }
        if let feeder = source(.feeder) ?? source(.feederDuplex) {
            var content = tag("scan:AdfSimplexInputCaps", input(feeder))
            var options = element("scan:AdfOption", "DetectPaperLoaded")
            if let duplex = source(.feederDuplex) {
                content += tag("scan:AdfDuplexInputCaps", input(duplex))
                options += element("scan:AdfOption", "Duplex")
            }
            body += tag("scan:Adf", content + tag("scan:AdfOptions", options))
        }
        return document("ScannerCapabilities", body)
    }

    private static func input(_ source: ScannerCapabilities.Source) -> String {
        var text = element("scan:MinWidth", source.minimum.width) + element("scan:MaxWidth", source.maximum.width)
        text += element("scan:MinHeight", source.minimum.height) + element("scan:MaxHeight", source.maximum.height)
        text += element("scan:MaxScanRegions", 1)
        let modes = source.modes.map { element("scan:ColorMode", $0.escl.rawValue) }.joined()
        let formats = source.formats.map { element("pwg:DocumentFormat", $0) + element("scan:DocumentFormatExt", $0) }.joined()
        let resolutions = source.resolutions.map {
            tag("scan:DiscreteResolution", element("scan:XResolution", $0) + element("scan:YResolution", $0))
        }.joined()
        let profile =
            tag("scan:ColorModes", modes) + tag("scan:DocumentFormats", formats)
            + tag("scan:SupportedResolutions", tag("scan:DiscreteResolutions", resolutions))
        text += tag("scan:SettingProfiles", tag("scan:SettingProfile", profile))
        let most = source.resolutions.max() ?? 300
        return text + element("scan:MaxOpticalXResolution", most) + element("scan:MaxOpticalYResolution", most)
    }

    // MARK: Status

    /// A job as `ScannerStatus` lists it.
    struct Job {
        var token: String
        var state: String
        var reason: String
        /// Seconds since it was begun.
        var age: Int
        var completed: Int
        var waiting: Int
    }

    static func status(state: String, feeder: String?, jobs: [Job]) -> String {
        var body = element("pwg:Version", version) + element("pwg:State", state)
        if let feeder { body += element("scan:AdfState", feeder) }
        if !jobs.isEmpty {
            body += tag(
                "scan:Jobs",
                jobs.map { job in
                    tag(
                        "scan:JobInfo",
                        element("pwg:JobUri", EndpointPath.job(job.token)) + element("pwg:JobUuid", job.token)
                            + element("scan:Age", job.age)
                            + element("pwg:ImagesCompleted", job.completed) + element("pwg:ImagesToTransfer", job.waiting)
                            + element("pwg:JobState", job.state)
                            + tag("pwg:JobStateReasons", element("pwg:JobStateReason", job.reason)))
                }.joined())
        }
        return document("ScannerStatus", body)
    }

    // MARK: XML

    private static func document(_ root: String, _ content: String) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <scan:\(root) xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03" \
        xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm">\(content)</scan:\(root)>

        """
    }

    private static func tag(_ name: String, _ content: String) -> String { "<\(name)>\(content)</\(name)>" }

    private static func element(_ name: String, _ value: some CustomStringConvertible) -> String { tag(name, XMLText.escaped("\(value)")) }
}

/// The endpoint's paths.
enum EndpointPath: Equatable {
    case capabilities
    case status
    case jobs
    case job(token: String)
    case nextDocument(token: String)

    /// `nil` for any other path.
    init?(_ path: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[0].isEmpty, parts[1] == "eSCL" else { return nil }
        switch (parts[2], parts.count) {
        case ("ScannerCapabilities", 3): self = .capabilities
        case ("ScannerStatus", 3): self = .status
        case ("ScanJobs", 3): self = .jobs
        case ("ScanJobs", 4) where Self.isToken(parts[3]): self = .job(token: String(parts[3]))
        case ("ScanJobs", 5) where Self.isToken(parts[3]) && parts[4] == "NextDocument": self = .nextDocument(token: String(parts[3]))
        default: return nil
        }
    }

    static func job(_ token: String) -> String { "/eSCL/ScanJobs/\(token)" }

    /// As `DeviceJob.newToken` makes them.
    private static func isToken(_ text: Substring) -> Bool {
        text.utf8.count == 32
            && text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0 }
    }

    /// What may be done there.
    var methods: [String] {
        switch self {
        case .capabilities, .status: ["GET"]
        case .jobs: ["POST"]
        case .job: ["DELETE"]
        case .nextDocument: ["GET"]
        }
    }
}
