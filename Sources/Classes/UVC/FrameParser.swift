// Parses a frame descriptor: one size, with the intervals it can be had at.

import USB

enum FrameParser {
    /// Where each kind of frame descriptor has its fields.
    private struct Layout {
        var width: Int
        var height: Int
        var minBitRate: Int
        var maxBitRate: Int
        var defaultInterval: Int
        /// `bFrameIntervalType`
        var intervalType: Int
        var intervals: Int
        var capabilities: Int?
        var maxFrameBytes: Int?
        var bytesPerLine: Int?
    }

    private static let layouts: [UInt8: Layout] = [
        VideoStreamingSubtype.uncompressedFrame: classic, VideoStreamingSubtype.mjpegFrame: classic,
        VideoStreamingSubtype.frameBasedFrame: Layout(
            width: 5, height: 7, minBitRate: 9, maxBitRate: 13, defaultInterval: 17, intervalType: 21, intervals: 26, capabilities: 4,
            bytesPerLine: 22),
        VideoStreamingSubtype.h264Frame: Layout(
            width: 4, height: 6, minBitRate: 31, maxBitRate: 35, defaultInterval: 39, intervalType: 43, intervals: 44),
        VideoStreamingSubtype.vp8Frame: Layout(
            width: 4, height: 6, minBitRate: 18, maxBitRate: 22, defaultInterval: 26, intervalType: 30, intervals: 31),
    ]

    private static let classic = Layout(
        width: 5, height: 7, minBitRate: 9, maxBitRate: 13, defaultInterval: 21, intervalType: 25, intervals: 26, capabilities: 4,
        maxFrameBytes: 17)

    /// Thirty a second, for a frame that names no rate at all.
    private static let fallback: UInt32 = 333_333

    /// `nil`, and said why, when there is not enough of the descriptor.
    static func frame(_ descriptor: RawDescriptor, format: UInt8, anomalies: inout DescriptorAnomalies) -> VideoFrame? {
        guard let layout = layouts[descriptor.subtype], let width = descriptor.word(at: layout.width),
            let height = descriptor.word(at: layout.height), let minBitRate = descriptor.doubleWord(at: layout.minBitRate),
            let maxBitRate = descriptor.doubleWord(at: layout.maxBitRate),
            let defaultInterval = descriptor.doubleWord(at: layout.defaultInterval), let type = descriptor.byte(at: layout.intervalType)
        else {
            anomalies.add(
                .lost, .length, at: descriptor.offset, "A frame descriptor of format \(format) has only \(descriptor.count) bytes.")
            return nil
        }
        let name = "Frame \(descriptor.bytes[3]) of format \(format)"
        var listed = (0..<(type == 0 ? 3 : Int(type))).compactMap { descriptor.doubleWord(at: layout.intervals + 4 * $0) }
        let expected = type == 0 ? 3 : Int(type)
        if listed.count < expected {
            anomalies.add(
                .wrong, .length, at: descriptor.offset + layout.intervalType,
                "\(name) announces \(expected) intervals (bFrameIntervalType) but has \(listed.count).")
        }
        let intervals: FrameIntervals
        if type == 0, listed.count == 3 {
            intervals = continuous(listed, name: name, offset: descriptor.offset, anomalies: &anomalies)
        } else {
            if listed.contains(0) {
                anomalies.add(.wrong, .value, at: descriptor.offset + layout.intervals, "\(name) has an interval of 0, which is skipped.")
                listed.removeAll { $0 == 0 }
            }
            intervals = .discrete(listed.isEmpty ? [defaultInterval == 0 ? fallback : defaultInterval] : listed)
        }
        let usable = allows(intervals, defaultInterval) ? defaultInterval : intervals.nearest(to: defaultInterval)
        if usable != defaultInterval {
            anomalies.add(
                .wrong, .value, at: descriptor.offset + layout.defaultInterval,
                "\(name) does not have its default interval, \(defaultInterval); \(usable) is used."
            )
        }
        return VideoFrame(
            index: descriptor.bytes[3], width: Int(width), height: Int(height),
            capabilities: layout.capabilities.flatMap { descriptor.byte(at: $0) } ?? 0, minBitRate: minBitRate, maxBitRate: maxBitRate,
            maxFrameBytes: layout.maxFrameBytes.flatMap { descriptor.doubleWord(at: $0) } ?? 0,
            bytesPerLine: layout.bytesPerLine.flatMap { descriptor.doubleWord(at: $0) } ?? 0, defaultInterval: usable,
            intervals: intervals)
    }

    private static func continuous(
        _ values: [UInt32], name: String, offset: Int, anomalies: inout DescriptorAnomalies
    ) -> FrameIntervals {
        let minimum = max(1, values[0])
        let maximum = max(minimum, values[1])
        if minimum != values[0] || maximum != values[1] {
            anomalies.add(.wrong, .value, at: offset, "\(name) allows intervals from \(values[0]) to \(values[1]), which makes no sense.")
        }
        return .continuous(minimum: minimum, maximum: maximum, step: values[2])
    }

    /// Whether the device offers it. Between the steps of a continuous range devices are not held to their word.
    private static func allows(_ intervals: FrameIntervals, _ interval: UInt32) -> Bool {
        switch intervals {
        case .discrete(let list): list.contains(interval)
        case .continuous(let minimum, let maximum, _): (minimum...maximum).contains(interval)
        }
    }
}
