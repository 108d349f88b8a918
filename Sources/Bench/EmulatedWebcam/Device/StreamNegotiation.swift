// Probe and commit (UVC 1.1 §4.3.1.1): the host proposes, the camera answers with what it can do.

/// What a stream is made of.
struct StreamParameters: Hashable, Sendable {
    /// From 1.
    var formatIndex: UInt8
    var frameIndex: UInt8
    var mode: WebcamMode
    /// In 100 ns.
    var interval: UInt32
    /// `wCompQuality`, 1000…9000: hundredths of libjpeg's quality.
    var quality: UInt16
    /// `dwMaxPayloadTransferSize`, header included.
    var payloadSize: Int

    var intervalNanoseconds: UInt64 { UInt64(interval) * 100 }
    var frameSize: Int { mode.maximumFrameSize(interval: interval) }
}

struct StreamNegotiation {
    /// UVC 1.1's block.
    static let length = 34
    /// The lengths that hosts send: UVC 1.0, 1.1 and 1.5.
    static let allLengths = [26, 34, 48]
    static let qualities: ClosedRange<UInt16> = 1000...9000
    static let defaultQuality: UInt16 = 8000

    let formats: [WebcamFormat]
    let variant: EmulatedWebcamOptions.Variant
    let repertoire: EmulatedWebcamOptions.Repertoire
    /// `dwMaxPayloadTransferSize` as it is told, where that is not the truth.
    private let toldPayloadSize: UInt32?
    /// Blocks of other lengths are refused.
    let acceptedLengths: [Int]
    private(set) var probed: StreamParameters
    private(set) var committed: StreamParameters?

    /// That of one streaming interface.
    init(_ options: EmulatedWebcamOptions, formats: [WebcamFormat]) {
        self.init(
            formats: formats, variant: options.variant, repertoire: options.repertoire,
            toldPayloadSize: options.variant == .bulk && options.faults.has(.boundlessPayload) ? .max : nil,
            acceptedLengths: options.probeLengths)
    }

    init(
        formats: [WebcamFormat], variant: EmulatedWebcamOptions.Variant, repertoire: EmulatedWebcamOptions.Repertoire = .full,
        toldPayloadSize: UInt32? = nil, acceptedLengths: [Int] = Self.allLengths
    ) {
        self.acceptedLengths = acceptedLengths
        self.formats = formats
        self.variant = variant
        self.repertoire = repertoire
        self.toldPayloadSize = toldPayloadSize
        probed = Self.clamped(formats, variant, repertoire, format: 0, frame: 0, interval: 0, quality: Self.defaultQuality)
    }

    /// The nearest thing to a wish that exists. Zeros, and formats or frames that don't exist, mean "you choose".
    private static func clamped(
        _ formats: [WebcamFormat], _ variant: EmulatedWebcamOptions.Variant, _ repertoire: EmulatedWebcamOptions.Repertoire, format: UInt8,
        frame: UInt8, interval: UInt32, quality: UInt16
    ) -> StreamParameters {
        let formatIndex = format >= 1 && Int(format) <= formats.count ? format : 1
        let modes = WebcamMode.all(of: formats[Int(formatIndex) - 1], repertoire)
        let defaultFrame = UInt8((modes.firstIndex { $0.height == 480 } ?? 0) + 1)
        let frameIndex = frame >= 1 && Int(frame) <= modes.count ? frame : defaultFrame
        let mode = modes[Int(frameIndex) - 1]
        let interval = mode.nearestInterval(to: interval)
        let payloadSize =
            switch variant {
            case .isochronous: AlternateSettings.bytes(carrying: mode.bytesPerMicroframe(interval: interval))
            case .bulk: mode.maximumFrameSize(interval: interval) + WebcamMode.headerLength
            }
        return StreamParameters(
            formatIndex: formatIndex, frameIndex: frameIndex, mode: mode, interval: interval,
            quality: quality == 0 ? defaultQuality : min(max(quality, qualities.lowerBound), qualities.upperBound), payloadSize: payloadSize
        )
    }

    private func parsed(_ data: [UInt8]) throws(RequestError) -> StreamParameters {
        guard acceptedLengths.contains(data.count) else { throw .invalidRequest }
        func number(_ offset: Int, _ size: Int) -> UInt32 {
            (0..<size).reduce(0) { $0 | UInt32(data[offset + $1]) << UInt32($1 * 8) }
        }
        return Self.clamped(
            formats, variant, repertoire, format: data[2], frame: data[3], interval: number(4, 4), quality: UInt16(number(12, 2)))
    }

    /// The block on the wire.
    private func encoded(_ parameters: StreamParameters) -> [UInt8] {
        var bytes = Bytes()
        // bmHint: nothing is fixed.
        bytes.append16(0)
        bytes.append8(parameters.formatIndex, parameters.frameIndex)
        bytes.append32(parameters.interval)
        // wKeyFrameRate, wPFrameRate: not for intra-only formats. wCompQuality: for MJPEG. wCompWindowSize. wDelay: a frame, in ms.
        bytes.append16(0, 0, parameters.mode.format == .mjpeg ? parameters.quality : 0, 0, UInt16(parameters.interval / 10_000))
        bytes.append32(UInt32(parameters.frameSize), toldPayloadSize ?? UInt32(parameters.payloadSize), WebcamDescriptors.clockFrequency)
        // bmFramingInfo: FID and EOF are in the payload headers. Versions of the payload format: 1.
        bytes.append8(0x03, 1, 1, 1)
        return bytes.bytes
    }

    /// GET_LEN's answer.
    private var length: Int { acceptedLengths.contains(Self.length) ? Self.length : acceptedLengths.first ?? Self.length }

    mutating func probe(_ request: VideoRequest, data: [UInt8]) throws(RequestError) -> [UInt8] {
        switch request.kind {
        case .setCurrent:
            probed = try parsed(data)
            return []
        case .getCurrent: return encoded(probed)
        case .getMinimum: return encoded(extreme(interval: probed.mode.intervals.first, Self.qualities.lowerBound))
        case .getMaximum: return encoded(extreme(interval: probed.mode.intervals.last, Self.qualities.upperBound))
        case .getDefault:
            return encoded(Self.clamped(formats, variant, repertoire, format: 0, frame: 0, interval: 0, quality: Self.defaultQuality))
        case .getResolution: throw .invalidRequest
        case .getLength: return [UInt8(length), 0]
        case .getInformation: return [ControlInformation.get | ControlInformation.set]
        }
    }

    private func extreme(interval: UInt32?, _ quality: UInt16) -> StreamParameters {
        Self.clamped(
            formats, variant, repertoire, format: probed.formatIndex, frame: probed.frameIndex, interval: interval ?? 0, quality: quality)
    }

    /// `isStreaming`: alternate setting ≠ 0; the stream's shape can't change then.
    mutating func commit(_ request: VideoRequest, data: [UInt8], isStreaming: Bool) throws(RequestError) -> [UInt8] {
        switch request.kind {
        case .setCurrent:
            guard !isStreaming else { throw .wrongState }
            let parameters = try parsed(data)
            probed = parameters
            committed = parameters
            return []
        case .getCurrent: return encoded(committed ?? probed)
        case .getLength: return [UInt8(length), 0]
        case .getInformation: return [ControlInformation.get | ControlInformation.set]
        case .getMinimum, .getMaximum, .getDefault, .getResolution: throw .invalidRequest
        }
    }
}
