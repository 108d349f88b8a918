// Parses a format descriptor and the frame descriptors that follow it (UVC 1.5 §3.9.2 and the payload documents).

import USB

struct FormatParser {
    var format: VideoFormat
    private let offset: Int
    private let frameSubtype: UInt8
    private let declaredFrameCount: UInt8
    private var indices: Set<UInt8> = []
    /// Frame descriptors, those that were skipped as well.
    private var frameCount = 0
    /// Frames whose `dwMaxVideoFrameBufferSize` is not what their size makes.
    private var wrongBuffers = 0

    static func isFormat(_ descriptor: RawDescriptor) -> Bool { frameSubtypes[descriptor.subtype] != nil }

    /// The subtype of a format's frames; 0 for formats without frames.
    private static let frameSubtypes: [UInt8: UInt8] = [
        VideoStreamingSubtype.uncompressedFormat: VideoStreamingSubtype.uncompressedFrame,
        VideoStreamingSubtype.mjpegFormat: VideoStreamingSubtype.mjpegFrame,
        VideoStreamingSubtype.frameBasedFormat: VideoStreamingSubtype.frameBasedFrame,
        VideoStreamingSubtype.h264Format: VideoStreamingSubtype.h264Frame,
        VideoStreamingSubtype.h264SimulcastFormat: VideoStreamingSubtype.h264Frame,
        VideoStreamingSubtype.vp8Format: VideoStreamingSubtype.vp8Frame,
        VideoStreamingSubtype.vp8SimulcastFormat: VideoStreamingSubtype.vp8Frame,
        VideoStreamingSubtype.mpeg2TransportStreamFormat: 0, VideoStreamingSubtype.dvFormat: 0,
        VideoStreamingSubtype.streamBasedFormat: 0,
    ]

    /// `nil` when the descriptor is too short to tell what it is.
    init?(_ descriptor: RawDescriptor) {
        guard let frameSubtype = Self.frameSubtypes[descriptor.subtype], let index = descriptor.byte(at: 3) else { return nil }
        let kind: VideoFormat.Kind
        var defaultAt = 5
        var interlaceAt: Int?
        switch descriptor.subtype {
        case VideoStreamingSubtype.uncompressedFormat:
            guard let guid = descriptor.guid(at: 5), let bits = descriptor.byte(at: 21) else { return nil }
            kind = .uncompressed(guid, bitsPerPixel: bits)
            (defaultAt, interlaceAt) = (22, 25)
        case VideoStreamingSubtype.frameBasedFormat:
            guard let guid = descriptor.guid(at: 5), let bits = descriptor.byte(at: 21) else { return nil }
            kind = .frameBased(guid, bitsPerPixel: bits, variableSize: descriptor.byte(at: 27).map { $0 != 0 } ?? true)
            (defaultAt, interlaceAt) = (22, 25)
        case VideoStreamingSubtype.mjpegFormat:
            kind = .mjpeg
            (defaultAt, interlaceAt) = (6, 9)
        case VideoStreamingSubtype.h264Format: kind = .h264(simulcast: false)
        case VideoStreamingSubtype.h264SimulcastFormat: kind = .h264(simulcast: true)
        case VideoStreamingSubtype.vp8Format: kind = .vp8(simulcast: false)
        case VideoStreamingSubtype.vp8SimulcastFormat: kind = .vp8(simulcast: true)
        default: kind = .stream(subtype: descriptor.subtype)
        }
        self.frameSubtype = frameSubtype
        offset = descriptor.offset
        declaredFrameCount = frameSubtype == 0 ? 0 : descriptor.byte(at: 4) ?? 0
        format = VideoFormat(
            index: index, kind: kind, defaultFrameIndex: frameSubtype == 0 ? 0 : descriptor.byte(at: defaultAt) ?? 0,
            interlaceFlags: interlaceAt.flatMap { descriptor.byte(at: $0) } ?? 0)
    }

    mutating func takeFrame(_ descriptor: RawDescriptor, anomalies: inout DescriptorAnomalies) {
        guard frameSubtype != 0 else {
            anomalies.add(
                .lost, .misplaced, at: descriptor.offset, "Format \(format.index) (\(format.name)) has a frame, which such formats do not.")
            return
        }
        frameCount += 1
        if descriptor.subtype != frameSubtype {
            anomalies.add(
                .wrong, .misplaced, at: descriptor.offset + 2,
                "Format \(format.index) has a frame of subtype 0x\(hexadecimal(descriptor.subtype, digits: 2)), another format's."
            )
        }
        guard let frame = FrameParser.frame(descriptor, format: format.index, anomalies: &anomalies) else { return }
        if frame.width == 0 || frame.height == 0 {
            anomalies.add(
                .lost, .value, at: descriptor.offset,
                "Frame \(frame.index) of format \(format.index) is \(frame.width)×\(frame.height) and is skipped.")
            return
        }
        guard indices.insert(frame.index).inserted else {
            anomalies.add(
                .lost, .duplicate, at: descriptor.offset + 3,
                "Format \(format.index) has two frames \(frame.index): the second (\(frame.width)×\(frame.height)) can't be asked for."
            )
            return
        }
        if frame.maxFrameBytes != 0, let bytes = format.frameBytes(width: frame.width, height: frame.height),
            bytes != Int(frame.maxFrameBytes)
        {
            wrongBuffers += 1
        }
        format.frames.append(frame)
    }

    /// The format with all of its frames.
    mutating func finish(anomalies: inout DescriptorAnomalies) -> VideoFormat {
        let name = "Format \(format.index) (\(format.name))"
        if frameCount != Int(declaredFrameCount) {
            anomalies.add(
                .wrong, .count, at: offset + 4,
                "\(name) announces \(declaredFrameCount) frames (bNumFrameDescriptors) but has \(frameCount).")
        }
        if let first = format.frames.first, !indices.contains(format.defaultFrameIndex) {
            anomalies.add(
                .wrong, .missing, at: offset,
                "The default frame \(format.defaultFrameIndex) of format \(format.index) does not exist; \(first.index) is used.")
            format.defaultFrameIndex = first.index
        } else if format.frames.isEmpty {
            format.defaultFrameIndex = 0
        }
        if wrongBuffers > 0 {
            anomalies.add(
                .note, .value, at: offset,
                "\(name) has \(wrongBuffers) frames whose dwMaxVideoFrameBufferSize does not match their size."
            )
        }
        checkBits(name: name, anomalies: &anomalies)
        return format
    }

    private func checkBits(name: String, anomalies: inout DescriptorAnomalies) {
        guard case .uncompressed(_, let bits) = format.kind else { return }
        if let known = format.pixelFormat {
            if known.bitsPerPixel != Int(bits) {
                anomalies.add(
                    .wrong, .value, at: offset + 21,
                    known.isCompressed
                        ? "\(name) is called uncompressed."
                        : "\(name) announces \(bits) bits a pixel (bBitsPerPixel) instead of \(known.bitsPerPixel).")
            }
        } else {
            anomalies.add(.note, .unknown, at: offset + 5, "The GUID of format \(format.index), \(format.title), is not a format we know.")
        }
    }
}
