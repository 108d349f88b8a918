// The XML that the scanner speaks (eSCL 2.6): capabilities, status, what a page was scanned as.

struct ScannerText: Sendable {
    private let options: EmulatedScannerOptions
    private let faults: ScannerFaults

    init(_ options: EmulatedScannerOptions) {
        self.options = options
        faults = options.faults
    }

    func capabilities() -> String {
        document(
            "ScannerCapabilities",
            """
              <pwg:Version>2.63</pwg:Version>
              <pwg:MakeAndModel>\(escaped(options.manufacturer)) \(escaped(options.model))</pwg:MakeAndModel>
              <pwg:SerialNumber>\(escaped(options.serial))</pwg:SerialNumber>
              <scan:UUID>\(options.uuid)</scan:UUID>
              <scan:Platen>
                <scan:PlatenInputCaps>
            \(inputCapabilities(.platen))
                </scan:PlatenInputCaps>
              </scan:Platen>
              <scan:Adf>
                <scan:AdfSimplexInputCaps>
            \(inputCapabilities(.feeder))
                </scan:AdfSimplexInputCaps>
                <scan:AdfDuplexInputCaps>
            \(inputCapabilities(.feeder))
                </scan:AdfDuplexInputCaps>
                <scan:FeederCapacity>50</scan:FeederCapacity>
                <scan:AdfOptions>
                  <scan:AdfOption>DetectPaperLoaded</scan:AdfOption>
                  <scan:AdfOption>Duplex</scan:AdfOption>
                </scan:AdfOptions>
              </scan:Adf>
            """)
    }

    private func inputCapabilities(_ source: ScanSettings.Source) -> String {
        let largest = ScanSettings.largest(source)
        let resolutions =
            faults.has(.resolutionRange)
            ? """
                      <scan:ResolutionRange>
                        <scan:XResolutionRange><scan:Min>75</scan:Min><scan:Max>600</scan:Max><scan:Normal>300</scan:Normal><scan:Step>25</scan:Step></scan:XResolutionRange>
                        <scan:YResolutionRange><scan:Min>75</scan:Min><scan:Max>600</scan:Max><scan:Normal>300</scan:Normal><scan:Step>25</scan:Step></scan:YResolutionRange>
                      </scan:ResolutionRange>
            """
            : "          <scan:DiscreteResolutions>\n"
                + ScanSettings.resolutions.map {
                    "            <scan:DiscreteResolution><scan:XResolution>\($0)</scan:XResolution><scan:YResolution>\($0)</scan:YResolution></scan:DiscreteResolution>"
                }.joined(separator: "\n") + "\n          </scan:DiscreteResolutions>"
        let modes = ScanSettings.ColourMode.allCases.map { "            <scan:ColorMode>\($0.rawValue)</scan:ColorMode>" }
        let formats = ScanSettings.Format.allCases.flatMap {
            [
                "            <pwg:DocumentFormat>\($0.rawValue)</pwg:DocumentFormat>",
                "            <scan:DocumentFormatExt>\($0.rawValue)</scan:DocumentFormatExt>",
            ]
        }
        return """
                  <scan:MinWidth>16</scan:MinWidth>
                  <scan:MaxWidth>\(largest.width)</scan:MaxWidth>
                  <scan:MinHeight>16</scan:MinHeight>
                  <scan:MaxHeight>\(largest.height)</scan:MaxHeight>
                  <scan:MaxScanRegions>1</scan:MaxScanRegions>
                  <scan:SettingProfiles>
                    <scan:SettingProfile>
                      <scan:ColorModes>
            \(modes.joined(separator: "\n"))
                      </scan:ColorModes>
                      <scan:DocumentFormats>
            \(formats.joined(separator: "\n"))
                      </scan:DocumentFormats>
                      <scan:SupportedResolutions>
            \(resolutions)
                      </scan:SupportedResolutions>
                    </scan:SettingProfile>
                  </scan:SettingProfiles>
                  <scan:SupportedIntents>
                    <scan:Intent>Document</scan:Intent>
                    <scan:Intent>Photo</scan:Intent>
                    <scan:Intent>Preview</scan:Intent>
                    <scan:Intent>TextAndGraphic</scan:Intent>
                  </scan:SupportedIntents>
                  <scan:MaxOpticalXResolution>600</scan:MaxOpticalXResolution>
                  <scan:MaxOpticalYResolution>600</scan:MaxOpticalYResolution>
            """
    }

    func status(_ machine: ScanMachine, now: UInt64) -> String {
        let open = machine.openJob
        let isCoverOpen = machine.feeder.trouble == .coverOpen || machine.faults.number(.coverOpen) == .max
        let state =
            isCoverOpen || machine.feeder.trouble != nil
            ? "Stopped" : open.map { now < $0.warmUntil ? "Testing" : "Processing" } ?? "Idle"
        let feeder =
            if isCoverOpen {
                "ScannerAdfDoorOpen"
            } else if machine.feeder.trouble == .jam {
                "ScannerAdfJam"
            } else if open?.settings.source == .feeder, open?.isPageMoving == true {
                "ScannerAdfProcessing"
            } else {
                machine.feeder.sheets > 0 ? "ScannerAdfLoaded" : "ScannerAdfEmpty"
            }
        let jobs = machine.jobs.reversed().map { job in
            """
                <scan:JobInfo>
                  <pwg:JobUri>/eSCL/ScanJobs/\(job.name)</pwg:JobUri>
                  <pwg:JobUuid>\(job.name)</pwg:JobUuid>
                  <scan:Age>\((now - min(now, job.created)) / ScanMachine.second)</scan:Age>
                  <pwg:ImagesCompleted>\(job.imagesCompleted)</pwg:ImagesCompleted>
                  <pwg:ImagesToTransfer>\(job.isPageMoving ? 1 : 0)</pwg:ImagesToTransfer>
                  <pwg:JobState>\(job.state.rawValue)</pwg:JobState>
                  <pwg:JobStateReasons>
                    <pwg:JobStateReason>\(reason(job))</pwg:JobStateReason>
                  </pwg:JobStateReasons>
                </scan:JobInfo>
            """
        }
        return document(
            "ScannerStatus",
            """
              <pwg:Version>2.63</pwg:Version>
              <pwg:State>\(state)</pwg:State>
              <scan:AdfState>\(feeder)</scan:AdfState>
            """ + (jobs.isEmpty ? "" : "\n  <scan:Jobs>\n" + jobs.joined(separator: "\n") + "\n  </scan:Jobs>"))
    }

    private func reason(_ job: ScanJob) -> String {
        switch job.state {
        case .processing: "JobScanning"
        case .completed: "JobCompletedSuccessfully"
        case .cancelled: "JobCanceledByUser"
        case .aborted: "AbortedBySystem"
        }
    }

    func imageInformation(_ job: ScanJob) -> String {
        let (width, height) = job.settings.pixels
        let bits =
            switch job.settings.colourMode {
            case .colour: 24
            case .grey: 8
            case .blackAndWhite: 1
            }
        return document(
            "ScanImageInfo",
            """
              <pwg:JobUri>/eSCL/ScanJobs/\(job.name)</pwg:JobUri>
              <pwg:JobUuid>\(job.name)</pwg:JobUuid>
              <scan:ActualWidth>\(width)</scan:ActualWidth>
              <scan:ActualHeight>\(height)</scan:ActualHeight>
              <scan:ActualBytesPerLine>\((width * bits + 7) / 8)</scan:ActualBytesPerLine>
            """)
    }

    private func document(_ root: String, _ content: String) -> String {
        let declaration =
            #"<?xml version="1.0" encoding="UTF-8"?>"# + "\n" + (faults.has(.documentType) ? "<!DOCTYPE scan:\(root)>\n<!-- -->\n" : "")
        let spaces = #"http://schemas.hp.com/imaging/escl/2011/05/03" xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm""#
        let text = declaration + "<scan:\(root) xmlns:scan=\"\(spaces)>\n\(content)\n</scan:\(root)>\n"
        return faults.has(.otherPrefixes) ? Self.renamed(text) : text
    }

    /// `scan:` becomes the default namespace, `pwg:` is called `sm9:`.
    private static func renamed(_ text: String) -> String {
        var result: [UInt8] = []
        let bytes = Array(text.utf8)
        var position = 0
        while position < bytes.count {
            let rest = bytes[position...]
            if rest.starts(with: "xmlns:scan=".utf8) {
                result += Array("xmlns=".utf8)
                position += 11
            } else if rest.starts(with: "scan:".utf8) {
                position += 5
            } else if rest.starts(with: "pwg:".utf8) || rest.starts(with: "pwg=".utf8) {
                result += Array("sm9".utf8)
                position += 3
            } else {
                result.append(bytes[position])
                position += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            default: result.append(character)
            }
        }
    }
}
