// A stream that brings nothing: when that is worth a line, and what the line says.

import FrameRing
import UserDriverClient

/// What came since the last whole frame. Shown the time (CLOCK_MONOTONIC ns), it says something after 3 s, 9 s, 27 s…
struct PictureWait {
    private static let first: UInt64 = 3_000_000_000

    private var since: UInt64
    private var patience = PictureWait.first
    private var hasFrames = false
    private var damaged: UInt64 = 0
    private var damage: [String] = []
    /// Frames that never came, but for those that this program was too slow for.
    private var missing: UInt64 = 0
    private var cause = GapCause.unknown
    /// Why nothing can come, as was told already.
    private var absence: String?

    init(now: UInt64) { since = now }

    /// Damaged frames came since the last whole one.
    var isDamaged: Bool { damaged > 0 }

    /// The device, its driver or the daemon is not there.
    var isAbsent: Bool { absence != nil }

    mutating func tookWhole(now: UInt64) {
        self = PictureWait(now: now)
        hasFrames = true
    }

    mutating func tookDamaged(_ reasons: [String]) {
        damaged += 1
        damage = reasons
        absence = nil
    }

    mutating func took(_ event: FrameEvent, now: UInt64) {
        switch event {
        case .gap(_, let count, let cause):
            guard cause != .tooSlow, count > 0 else { break }
            missing &+= count
            self.cause = cause
        case .deviceAbsent: absence = "the camera is not there"
        case .driverFailed: absence = "its driver has failed"
        case .supervisorLost: absence = "the daemon is not there"
        case .deviceBack, .supervisorBack, .driverRestarted:
            guard isAbsent else { break }
            (absence, since, patience) = (nil, now, Self.first)
        case .frame, .changed, .notice: break
        }
    }

    /// When there may be something to say next.
    var nextLine: UInt64 {
        let (time, overflow) = since.addingReportingOverflow(patience)
        return overflow ? .max : time
    }

    /// A line for standard error; `nil` while there is nothing to say.
    mutating func line(now: UInt64) -> String? {
        guard now >= nextLine else { return nil }
        patience = patience.multipliedReportingOverflow(by: 3).overflow ? .max : patience * 3
        guard !isAbsent else { return nil }
        return "\(hasFrames ? "no picture" : "no picture yet") for \(Figure.duration(milliseconds: Double(now - since) / 1e6)): \(why)"
    }

    /// What stands in the way, as a part of a sentence.
    var why: String {
        if let absence { return absence }
        if damaged > 0 {
            let reason = damage.isEmpty ? "" : " (\(damage.joined(separator: ", ")))"
            return damaged == 1
                ? "the only frame that arrived is damaged\(reason)" : "all \(damaged) frames that arrived are damaged\(reason)"
        }
        if missing > 0 { return "\(Figure.count(missing, "frame")) missing: \(cause)" }
        return "the camera has sent none"
    }
}
