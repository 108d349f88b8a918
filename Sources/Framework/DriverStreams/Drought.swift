// A stream that shows nothing: when that is worth saying, and what of it.

import FrameRing

/// Counts what came since the last whole frame. A pure value that is shown the time.
package struct Drought {
    /// What there is to say.
    package struct Report: Equatable {
        /// Nanoseconds without a whole frame.
        var duration: UInt64
        /// Frames that came damaged in that time.
        var damaged: UInt64
        /// The newest of them.
        var newest: StreamFrame?
        /// A transfer has brought pixels in that time.
        var hasPixels: Bool
    }

    /// After this long it is said, and again after three times as long, and so on.
    static let first: UInt64 = 3_000_000_000
    private var since: UInt64
    private var next = Drought.first
    private var report = Report(duration: 0, damaged: 0, newest: nil, hasPixels: false)

    init(now: UInt64) { since = now }

    /// A frame came: whole ones end it.
    mutating func take(_ frame: StreamFrame, now: UInt64) {
        guard !frame.isWhole else {
            self = Drought(now: now)
            return
        }
        report.damaged &+= 1
        report.newest = frame
    }

    mutating func tookPixels() { report.hasPixels = true }

    /// What is to be said now; `nil` for nothing.
    mutating func look(now: UInt64) -> Report? {
        guard now > since, now - since >= next else { return nil }
        let (tripled, overflow) = next.multipliedReportingOverflow(by: 3)
        next = overflow ? .max : tripled
        report.duration = now - since
        return report
    }
}

extension Drought.Report {
    /// For the log.
    /// - Parameter expected: bytes of a whole frame, where that is known.
    func sentence(expected: Int?) -> String {
        let seconds = duration / 1_000_000_000
        guard damaged > 0 else {
            return hasPixels
                ? "No frame has been completed for \(seconds) s, though the device is sending."
                : "No picture has arrived for \(seconds) s; waiting for the device."
        }
        var what = newest?.flags.reasons ?? []
        if let expected, let newest { what.append("\(newest.length) of \(expected) bytes") }
        return
            "No whole frame has arrived for \(seconds) s: \(damaged) arrived damaged\(what.isEmpty ? "" : " (\(what.joined(separator: ", ")))")."
    }
}
