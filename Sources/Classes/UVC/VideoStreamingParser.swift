// Parses a VideoStreaming interface: header, formats with their frames, stills, colours, alternate settings (UVC 1.5 §3.9).

import USB

struct VideoStreamingParser {
    private let settings: [InterfaceDescriptor]
    private let speed: USBSpeed
    private let number: UInt8
    private(set) var anomalies: DescriptorAnomalies
    private var stream: StreamingInterface
    private var headerEndpoint: EndpointAddress?
    private var formatIndices: Set<UInt8> = []
    /// The format that frames are added to; `nil` before the first, and behind one that is skipped.
    private var current: FormatParser?
    private var skippingFormat = false

    /// `settings` are the interface's alternate settings in the order of the bytes.
    init(_ settings: [InterfaceDescriptor], number: UInt8, speed: USBSpeed, anomalies: DescriptorAnomalies) {
        self.settings = settings
        self.speed = speed
        self.number = number
        self.anomalies = anomalies
        stream = StreamingInterface(number: number, endpoint: EndpointAddress(rawValue: 0))
    }

    mutating func parse() -> StreamingInterface {
        // The class-specific descriptors stand behind alternate setting 0; a device that puts them elsewhere is read, too.
        let all = settings.lazy.map(\.classDescriptors)
        let descriptors = all.first { $0.contains(where: Self.isHeader) } ?? all.first { !$0.isEmpty } ?? []
        let header = descriptors.first(where: Self.isHeader)
        var unknown = UnknownDescriptors()
        for descriptor in descriptors {
            if descriptor.type == DescriptorType.classInterface {
                take(descriptor, isHeader: descriptor == header, unknown: &unknown)
            } else if descriptor.type != DescriptorType.classEndpoint {
                unknown.add(descriptor)
            }
        }
        finishFormat()
        unknown.report(in: "streaming interface \(number)", to: &anomalies)
        findAlternateSettings()
        check(header: header, descriptors: descriptors)
        return stream
    }

    private static func isHeader(_ descriptor: RawDescriptor) -> Bool {
        descriptor.type == DescriptorType.classInterface
            && (descriptor.subtype == VideoStreamingSubtype.inputHeader || descriptor.subtype == VideoStreamingSubtype.outputHeader)
    }

    private mutating func take(_ descriptor: RawDescriptor, isHeader: Bool, unknown: inout UnknownDescriptors) {
        switch descriptor.subtype {
        case VideoStreamingSubtype.inputHeader, VideoStreamingSubtype.outputHeader:
            if isHeader { return readHeader(descriptor) }
            anomalies.add(.wrong, .duplicate, at: descriptor.offset, "Streaming interface \(number) has a second header, which is skipped.")
        case VideoStreamingSubtype.stillImageFrame: readStillImageFrame(descriptor)
        case VideoStreamingSubtype.colorMatching:
            guard let b = descriptor.bytes(at: 3, count: 3) else { return tooShort(descriptor, "colour matching") }
            current?.format.colorMatching = ColorMatching(primaries: b[0], transfer: b[1], matrix: b[2])
        case VideoStreamingSubtype.uncompressedFrame, VideoStreamingSubtype.mjpegFrame, VideoStreamingSubtype.frameBasedFrame,
            VideoStreamingSubtype.h264Frame, VideoStreamingSubtype.vp8Frame:
            if current != nil {
                current?.takeFrame(descriptor, anomalies: &anomalies)
            } else if !skippingFormat {
                anomalies.add(
                    .lost, .misplaced, at: descriptor.offset, "A frame descriptor of streaming interface \(number) follows no format.")
            }
        default:
            guard FormatParser.isFormat(descriptor) else { return unknown.add(descriptor) }
            startFormat(descriptor)
        }
    }

    private mutating func readHeader(_ header: RawDescriptor) {
        let isInput = header.subtype == VideoStreamingSubtype.inputHeader
        guard header.count >= (isInput ? 13 : 9) || header.count >= (isInput ? 9 : 8) else { return tooShort(header, "header") }
        headerEndpoint = EndpointAddress(rawValue: header.bytes[6])
        stream.terminalLink = header.byte(at: isInput ? 8 : 7) ?? 0
        if isInput {
            stream.changesFormatByItself = header.bytes[7] & 1 != 0
            stream.stillImage.method = header.byte(at: 9) ?? 0
            stream.stillImage.hasButton = header.byte(at: 10).map { $0 != 0 } ?? false
            stream.stillImage.buttonUsage = header.byte(at: 11) ?? 0
        }
        let sizeAt = isInput ? 12 : 8
        let size = Int(header.byte(at: sizeAt) ?? 0)
        guard size > 0 else { return }
        stream.formatControls = stride(from: sizeAt + 1, through: header.count - size, by: size).prefix(255).compactMap {
            header.bytes(at: $0, count: size).map { ControlBits(bytes: $0) }
        }
    }

    private mutating func readStillImageFrame(_ descriptor: RawDescriptor) {
        guard let address = descriptor.byte(at: 3), let count = descriptor.byte(at: 4) else { return tooShort(descriptor, "still image") }
        let present = min(Int(count), max(0, descriptor.count - 5) / 4)
        if present < Int(count) {
            anomalies.add(.wrong, .length, at: descriptor.offset, "A still image descriptor announces \(count) sizes but lists \(present).")
        }
        let sizes = (0..<present).map {
            StillImageFrame.Size(width: Int(descriptor.word(at: 5 + 4 * $0) ?? 0), height: Int(descriptor.word(at: 7 + 4 * $0) ?? 0))
        }
        let compressionsAt = 5 + 4 * present
        let compressions = min(Int(descriptor.byte(at: compressionsAt) ?? 0), max(0, descriptor.count - compressionsAt - 1))
        // Format 0 does not exist: a still without a format keeps its place there.
        stream.stillImage.frames[current?.format.index ?? 0] = StillImageFrame(
            endpoint: EndpointAddress(rawValue: address), sizes: sizes,
            compressions: descriptor.bytes(at: compressionsAt + 1, count: compressions) ?? [])
    }

    private mutating func startFormat(_ descriptor: RawDescriptor) {
        finishFormat()
        guard let parser = FormatParser(descriptor) else {
            skippingFormat = true
            return tooShort(descriptor, "format")
        }
        guard formatIndices.insert(parser.format.index).inserted else {
            skippingFormat = true
            anomalies.add(
                .lost, .duplicate, at: descriptor.offset + 3,
                "Streaming interface \(number) has two formats with the index \(parser.format.index); the first counts.")
            return
        }
        skippingFormat = false
        current = parser
    }

    private mutating func finishFormat() {
        guard var parser = current else { return }
        stream.formats.append(parser.finish(anomalies: &anomalies))
        current = nil
    }

    private mutating func tooShort(_ descriptor: RawDescriptor, _ what: String) {
        anomalies.add(
            .lost, .length, at: descriptor.offset,
            "A \(what) descriptor of streaming interface \(number) has only \(descriptor.count) bytes.")
    }

    private mutating func findAlternateSettings() {
        let streaming = settings.flatMap { setting in setting.endpoints.filter(Self.canStream).map { (setting, $0) } }
        let addresses = Set(streaming.map { $0.1.address })
        if let headerEndpoint, addresses.contains(headerEndpoint) {
            stream.endpoint = headerEndpoint
        } else {
            stream.endpoint = streaming.first?.1.address ?? headerEndpoint ?? EndpointAddress(rawValue: 0)
            let place = settings.first?.offset ?? 0
            if let headerEndpoint, !streaming.isEmpty {
                anomalies.add(
                    .wrong, .missing, at: place,
                    "Streaming interface \(number) names \(headerEndpoint), which it does not have; \(stream.endpoint) is used.")
            }
        }
        var seen: Set<UInt8> = []
        for (setting, endpoint) in streaming where endpoint.address == stream.endpoint && seen.insert(setting.alternateSetting).inserted {
            stream.alternateSettings.append(
                StreamingAlternateSetting(
                    number: setting.alternateSetting, endpoint: endpoint.address, type: endpoint.transferType,
                    bytesPerInterval: endpoint.bytesPerInterval(speed: speed), interval: endpoint.interval))
            if setting.alternateSetting == 0, endpoint.transferType == .isochronous {
                anomalies.add(
                    .note, .misplaced, at: endpoint.offset,
                    "Streaming interface \(number) has an isochronous endpoint in alternate setting 0.")
            }
        }
        stream.alternateSettings.sort { $0.number < $1.number }
    }

    private static func canStream(_ endpoint: EndpointDescriptor) -> Bool {
        endpoint.transferType == .isochronous || endpoint.transferType == .bulk
    }

    private mutating func check(header: RawDescriptor?, descriptors: [RawDescriptor]) {
        let place = settings.first?.offset ?? 0
        if let header {
            let declared = header.byte(at: 3) ?? 0
            if Int(declared) != stream.formats.count {
                anomalies.add(
                    .wrong, .count, at: header.offset + 3,
                    "Streaming interface \(number) announces \(declared) formats (bNumFormats) but has \(stream.formats.count).")
            }
            let total = header.word(at: 4) ?? 0
            let actual = descriptors.filter { $0.type == DescriptorType.classInterface }.reduce(0) { $0 + $1.count }
            if Int(total) != actual {
                anomalies.add(
                    .wrong, .length, at: header.offset + 4,
                    "Streaming interface \(number) announces \(total) bytes (wTotalLength) but has \(actual).")
            }
        } else {
            anomalies.add(.lost, .missing, at: place, "Streaming interface \(number) has no header.")
        }
        if stream.formats.isEmpty { anomalies.add(.lost, .missing, at: place, "Streaming interface \(number) has no format.") }
        if stream.alternateSettings.isEmpty {
            anomalies.add(.lost, .missing, at: place, "Streaming interface \(number) has no endpoint to stream from.")
        }
    }
}
