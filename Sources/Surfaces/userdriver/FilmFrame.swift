// A frame on its way into a file, and the time at which it belongs there.

import Pictures
import UVC
import UserDriverClient

/// A frame as it is recorded.
struct FilmFrame: Sendable {
    var bytes: [UInt8]
    /// CLOCK_MONOTONIC nanoseconds, later than that of the frame before.
    var time: UInt64
    var form: StreamDescription
    /// A film can begin with it.
    var isKey = true
    /// What a decoder has to know before the first frame (H.264's and H.265's parameter sets);
    /// empty if that is in every frame.
    var parameters: [UInt8] = []

    /// `nil` for a frame that is no picture of this form, or can't be decoded alone before the
    /// first that can.
    init?(_ bytes: [UInt8], of form: StreamDescription, at time: UInt64, coded: inout CodedVideo) {
        var form = form
        form.format = FilmContainer.canonical(form.format)
        self.form = form
        self.time = time
        self.bytes = bytes
        if MotionJPEG.isFormat(form.format) {
            self.bytes = MotionJPEG.withHuffmanTables(bytes)
        } else if let raw = RawFormat(rawValue: form.format) {
            let count = raw.byteCount(width: form.width, height: form.height)
            guard bytes.count >= count else { return nil }
            if bytes.count > count { self.bytes.removeLast(bytes.count - count) }
        } else if let kind = CodedVideo.Kind(rawValue: form.format) {
            guard let picture = coded.take(bytes, as: kind) else { return nil }
            isKey = picture.isKey
            parameters = picture.parameters
        }
        guard !self.bytes.isEmpty else { return nil }
    }
}

/// The times of frames, as drivers say them, made fit for a film: they only go forward, and not
/// beyond now.
struct FilmClock {
    /// How old the first frame may be, ns.
    private static let oldest: UInt64 = 30_000_000_000
    private var last: UInt64?

    /// The frame's time, of which the driver says that it is `captured`. `now` is CLOCK_MONOTONIC.
    mutating func time(captured: UInt64, now: UInt64) -> UInt64 {
        let earliest = last.map { $0 + 1 } ?? (now > Self.oldest ? now - Self.oldest : 0)
        let time = captured >= earliest && captured <= now ? captured : max(now, earliest)
        last = time
        return time
    }
}

/// H.264 and H.265 as cameras send them: NAL units behind start codes (ITU-T H.264 and H.265, annex
/// B).
struct CodedVideo {
    enum Kind: String { case h264, h265 }

    private var parameters: [UInt8] = []
    private var kind: Kind?

    /// What a frame is; `nil` before the first that stands alone and whose parameter sets are
    /// known.
    mutating func take(_ frame: [UInt8], as kind: Kind) -> (isKey: Bool, parameters: [UInt8])? {
        if self.kind != kind { (self.kind, parameters) = (kind, []) }
        var isKey = false
        var sets: [UInt8] = []
        scan: for unit in Self.units(frame) {
            guard let first = frame[unit].first else { continue }
            let type = kind == .h264 ? first & 0x1f : first >> 1 & 0x3f
            switch (kind, type) {
            case (.h264, 7), (.h264, 8), (.h265, 32...34): sets += [0, 0, 0, 1] + frame[unit]
            case (.h264, 5), (.h265, 16...23):
                isKey = true
                break scan
            case (.h264, 1...4), (.h265, 0...15): break scan
            default: break
            }
        }
        // More would be no parameter sets of a camera's.
        if !sets.isEmpty, sets.count <= 65_536 { parameters = sets }
        return parameters.isEmpty ? nil : (isKey, parameters)
    }

    /// Where the units lie, without their start codes.
    private static func units(_ bytes: [UInt8]) -> [Range<Int>] {
        var starts: [(code: Int, unit: Int)] = []
        var at = 0
        // Parameter sets and the first slice are among the first units.
        while at + 3 <= bytes.count, starts.count < 64 {
            if bytes[at + 2] > 1 {
                at += 3
            } else if bytes[at] == 0, bytes[at + 1] == 0, bytes[at + 2] == 1 {
                starts.append((at, at + 3))
                at += 3
            } else {
                at += 1
            }
        }
        return starts.indices.map { index in
            let end = index + 1 < starts.count ? starts[index + 1].code : bytes.count
            return starts[index].unit..<max(starts[index].unit, end)
        }
    }
}
