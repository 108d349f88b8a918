// Probe and commit (UVC 1.1 §4.3.1.1): which format, size and rate the host will have.

import UVC

/// What is settled with the host. Values in, values out.
struct NodeNegotiation {
    static let length = 34
    static let headerLength = 12

    let formats: NodeFormats
    private(set) var parameters: StreamingParameters

    init(_ formats: NodeFormats) {
        self.formats = formats
        parameters = StreamingParameters()
        parameters = initial
    }

    /// What GET_DEF says: the first format's default frame.
    private var initial: StreamingParameters {
        guard let format = formats.formats.first else { return StreamingParameters() }
        let frame = formats.defaultFrame(of: format)
        return settled(
            StreamingParameters(
                formatIndex: 1, frameIndex: frame, frameInterval: formats.defaultInterval(of: format.frames[Int(frame) - 1])))
    }

    /// SET_CUR(PROBE): the nearest that there is.
    mutating func probe(_ bytes: [UInt8]) -> Bool {
        guard let wanted = StreamingParameters(bytes: bytes) else { return false }
        parameters = settled(wanted)
        return true
    }

    /// What SET_CUR(COMMIT) means; `nil` if there is no such format or frame.
    func commit(_ bytes: [UInt8]) -> NodeFormats.Choice? {
        guard let wanted = StreamingParameters(bytes: bytes) else { return nil }
        return formats.choice(format: wanted.formatIndex, frame: wanted.frameIndex, interval: wanted.frameInterval)
    }

    mutating func committed(_ bytes: [UInt8]) { _ = probe(bytes) }

    /// GET_CUR, GET_MIN, GET_MAX, GET_DEF.
    func answer(_ request: VideoRequest) -> [UInt8]? {
        switch request {
        case .getCur: return parameters.encoded(length: Self.length)
        case .getDef: return initial.encoded(length: Self.length)
        case .getMin, .getMax:
            // Of this format and frame: the interval is what has a range.
            var bound = parameters
            let format = Int(bound.formatIndex) - 1
            let frame = Int(bound.frameIndex) - 1
            if formats.formats.indices.contains(format), formats.formats[format].frames.indices.contains(frame) {
                let intervals = formats.formats[format].frames[frame].intervals
                bound.frameInterval = (request == .getMin ? intervals.first : intervals.last) ?? bound.frameInterval
            }
            return bound.encoded(length: Self.length)
        case .getLen: return [UInt8(Self.length), 0]
        case .getInfo: return [0x03]
        case .getRes, .setCur: return nil
        }
    }

    private func settled(_ wanted: StreamingParameters) -> StreamingParameters {
        guard !formats.formats.isEmpty else { return StreamingParameters() }
        let format = min(max(1, Int(wanted.formatIndex)), formats.formats.count)
        let frame = min(max(1, Int(wanted.frameIndex)), formats.formats[format - 1].frames.count)
        var result = StreamingParameters(
            formatIndex: UInt8(format), frameIndex: UInt8(frame), frameInterval: wanted.frameInterval)
        guard let choice = formats.choice(format: UInt8(format), frame: UInt8(frame), interval: wanted.frameInterval) else { return result }
        result.hint = wanted.hint & 1
        result.frameInterval = choice.interval
        result.maxVideoFrameSize = UInt32(clamping: choice.byteCount)
        result.maxPayloadTransferSize = UInt32(clamping: choice.byteCount + Self.headerLength)
        result.clockFrequency = NodeDescriptors.clockFrequency
        // FID and EOF mark the frames.
        result.framingInfo = 3
        (result.preferredVersion, result.minVersion, result.maxVersion) = (1, 1, 1)
        return result
    }
}
