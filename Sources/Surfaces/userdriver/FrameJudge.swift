// Whether a frame that was delivered is whole, and which number it bears.

import Pictures
import UserDriverClient

/// Judges frames one after the other: by their stamps once a stamped one has come, else by the ring.
struct FrameJudge {
    enum Verdict: Hashable {
        case whole(StreamStatistics.Number)
        /// Its bytes do not belong together, though nobody had said so.
        case torn
        /// Known to be unusable: marked so by the driver, or overwritten before it could be read. Its number will be missing.
        case unusable
    }

    /// Frames of this stream bear stamps: one without is torn.
    private(set) var isStamped = false

    /// `bytes` are the frame's, that are known to be what the ring held.
    mutating func judge(_ bytes: UnsafeRawBufferPointer, format: String, sequence: UInt64, epoch: Int) -> Verdict {
        switch FrameStamp.read(format: format, bytes: bytes) {
        case .whole(let stamp):
            isStamped = true
            return .whole(.stamp(stamp))
        case .torn: return .torn
        case .none: return isStamped ? .torn : .whole(.ring(sequence, epoch: epoch))
        }
    }

    /// Judges a frame in its ring, and gives its bytes to `body` where they are wanted and whole.
    mutating func judge(_ frame: Frame, copying: Bool) -> (verdict: Verdict, bytes: [UInt8]?) {
        guard !frame.isDamaged else { return (.unusable, nil) }
        let format = frame.stream?.format ?? ""
        if copying {
            guard let bytes = frame.copy() else { return (.unusable, nil) }
            let verdict = bytes.withUnsafeBytes { judge($0, format: format, sequence: frame.sequence, epoch: frame.epoch) }
            return (Self.excused(verdict, frame), bytes)
        }
        var next = self
        var verdict = Verdict.unusable
        let isWhole = frame.withBytes { verdict = next.judge($0, format: format, sequence: frame.sequence, epoch: frame.epoch) }
        guard isWhole else { return (.unusable, nil) }
        self = next
        return (Self.excused(verdict, frame), nil)
    }

    /// A picture whose end was put right may have been cut off by the camera: that was said.
    private static func excused(_ verdict: Verdict, _ frame: Frame) -> Verdict {
        verdict == .torn && frame.isRepaired ? .unusable : verdict
    }
}
