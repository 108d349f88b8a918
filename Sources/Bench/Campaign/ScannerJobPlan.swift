// One job of a scanner campaign: what is scanned, by whom, and what has to come of it.

import EmulatedScanner
import FoundationEssentials
import Glibc

/// How pages are asked for.
enum ScannerWay: String, CaseIterable, Sendable {
    /// `userdriver scan`
    case command
    /// eSCL through `userdriver-escl`
    case escl
}

struct ScannerJobPlan: Sendable {
    enum Source: String, CaseIterable, Sendable { case feeder, duplex, flatbed }

    var number: Int
    var way: ScannerWay
    var source: Source
    var settings: ScanSettings
    /// In the feeder when it begins; 0 for the flatbed.
    var sheets: Int
    /// Where its client writes.
    var folder: String

    init(number: Int, in folder: String, _ random: inout SplitMix) {
        self.number = number
        self.folder = "\(folder)/job-\(number)"
        way = ScannerWay.allCases.randomElement(using: &random) ?? .escl
        source = Source.allCases.randomElement(using: &random) ?? .feeder
        settings = ScanSettings()
        settings.source = source == .flatbed ? .platen : .feeder
        settings.isDuplex = source == .duplex
        settings.format = ScanSettings.Format.allCases.randomElement(using: &random) ?? .jpeg
        settings.colourMode = ScanSettings.ColourMode.allCases.randomElement(using: &random) ?? .colour
        // A JPEG of two colours is grey; whose bytes are whose is the same question.
        settings.resolution = [75, 100].randomElement(using: &random) ?? 75
        sheets = source == .flatbed ? 0 : Int.random(in: 1...3, using: &random)
    }

    var kind: String { "\(way.rawValue), \(source.rawValue), \(suffix)" }

    /// Of its pages' files.
    var suffix: String {
        switch settings.format {
        case .jpeg: "jpg"
        case .png: "png"
        case .pdf: "pdf"
        }
    }

    var pages: Int {
        switch source {
        case .feeder: sheets
        case .duplex: 2 * sheets
        case .flatbed: 1
        }
    }

    /// The arguments of `userdriver`. A second process takes the same and goes on.
    func command(token: String) -> [String] {
        let modes: [ScanSettings.ColourMode: String] = [.colour: "color", .grey: "gray", .blackAndWhite: "bw"]
        let sources: [Source: String] = [.feeder: "adf", .duplex: "adf-duplex", .flatbed: "flatbed"]
        return [
            "scan", "--job", token, "--source", sources[source] ?? "", "--resolution", "\(settings.resolution)", "--mode",
            modes[settings.colourMode] ?? "", "--size", "A4", "--json", "-o", "\(folder)/page-%d.\(suffix)",
        ]
    }

    /// What is sent by POST …/ScanJobs.
    var document: String {
        """
        <?xml version="1.0"?><scan:ScanSettings xmlns:scan="s" xmlns:pwg="p"><pwg:ScanRegions><pwg:ScanRegion><pwg:Height>\
        \(settings.region.height)</pwg:Height><pwg:Width>\(settings.region.width)</pwg:Width><pwg:XOffset>0</pwg:XOffset>\
        <pwg:YOffset>0</pwg:YOffset></pwg:ScanRegion></pwg:ScanRegions><pwg:InputSource>\(settings.source.rawValue)</pwg:InputSource>\
        <scan:Duplex>\(settings.isDuplex)</scan:Duplex><scan:ColorMode>\(settings.colourMode.rawValue)</scan:ColorMode>\
        <pwg:DocumentFormat>\(settings.format.rawValue)</pwg:DocumentFormat><scan:XResolution>\(settings.resolution)</scan:XResolution>\
        <scan:YResolution>\(settings.resolution)</scan:YResolution></scan:ScanSettings>
        """
    }

    // MARK: What has come

    /// A page as its client has it.
    struct Page {
        /// From 1.
        var number: Int
        var bytes: [UInt8]
        /// Its end was told.
        var isComplete: Bool
    }

    /// In the order in which they came. Of `userdriver scan`: files. Of the endpoint: its answers.
    func found() throws -> [Page] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted { ($0.count, $0) < ($1.count, $1) }
        return names.compactMap { name in
            let bytes = FileManager.default.contents(atPath: "\(folder)/\(name)").map { [UInt8]($0) } ?? []
            switch way {
            case .command:
                guard name.hasPrefix("page-"), let number = Int(name.dropFirst(5).prefix { $0.isNumber }), name.hasSuffix(suffix) else {
                    return nil
                }
                return Page(number: number, bytes: bytes, isComplete: true)
            case .escl:
                guard name.hasPrefix("answer-") else { return nil }
                let answer = RawAnswer(bytes)
                guard answer.status == 200, let number = answer.page else { return nil }
                return Page(number: number, bytes: answer.body, isComplete: answer.isComplete)
            }
        }
    }

    /// Whether that is what the scanner sent.
    func isRight(_ bytes: [UInt8], _ sent: [UInt8]) -> Bool {
        guard way == .command, settings.format == .pdf else { return bytes == sent }
        // The command asks for JPEG and makes the PDF itself: the picture stands in it as it came.
        guard bytes.starts(with: Array("%PDF-".utf8)), bytes.count > sent.count else { return false }
        return RawAnswer.find(sent, in: bytes[...]) != nil
    }

    /// What the scanner was asked for.
    var sentSettings: ScanSettings {
        var sent = settings
        if way == .command, sent.format == .pdf { sent.format = .jpeg }
        return sent
    }
}

/// An answer of the endpoint as it came over the wire, perhaps in part. Read strictly, and not by the
/// driver's parser: that forgives what scanners get wrong and a program might not.
struct RawAnswer {
    private(set) var status = 0
    private(set) var fields: [String: String] = [:]
    /// Without the chunks' frames.
    private(set) var body: [UInt8] = []
    private(set) var isComplete = false

    init(_ bytes: [UInt8]) {
        let end = Array("\r\n\r\n".utf8)
        guard let place = Self.find(end, in: bytes[...]) else { return }
        let lines = String(decoding: bytes[..<place], as: UTF8.self).split(separator: "\r\n")
        status = Int(lines.first?.split(separator: " ").dropFirst().first ?? "") ?? 0
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        let rest = bytes[(place + 4)...]
        if fields["transfer-encoding"]?.lowercased().contains("chunked") == true {
            unchunk(rest)
        } else {
            let length = Int(fields["content-length"] ?? "") ?? 0
            body = Array(rest.prefix(length))
            isComplete = rest.count >= length
        }
    }

    private mutating func unchunk(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while let line = Self.find([13, 10], in: rest) {
            guard let size = Int(String(decoding: rest[rest.startIndex..<line], as: UTF8.self), radix: 16) else { return }
            let content = rest[(line + 2)...]
            if size == 0 {
                isComplete = true
                return
            }
            body += content.prefix(size)
            guard content.count >= size + 2 else { return }
            rest = content.dropFirst(size + 2)
        }
    }

    /// Where these bytes begin.
    static func find(_ needle: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard let first = needle.first else { return nil }
        return bytes.withUnsafeBytes { all -> Int? in
            var place = 0
            while all.count - place >= needle.count {
                guard let found = all[place...].firstIndex(of: first), all.count - found >= needle.count else { return nil }
                if memcmp(all.baseAddress! + found, needle, needle.count) == 0 { return found + bytes.startIndex }
                place = found + 1
            }
            return nil
        }
    }

    /// The number that the endpoint gives the page.
    var page: Int? { fields["content-location"]?.split(separator: "/").last.flatMap { Int($0) } }
}
