// The loop of `userdriver stream`.

import CLinux
import FrameRing
import Glibc
import UserDriverClient

/// Takes a stream's events until it has what is wanted.
struct StreamSession {
    let wanted: UInt64?
    let quiet: Bool
    let writer: FrameWriter?
    /// Why it has come to its end.
    enum End {
        case enough, deadline
        /// By the user, or by the stream itself.
        case stopped, ended
    }

    private(set) var statistics = StreamStatistics()
    private(set) var wait = PictureWait(now: clinux_monotonic_ns())
    private var judge = FrameJudge()
    private var shownAt: UInt64 = 0

    init(wanted: UInt64?, quiet: Bool, writer: FrameWriter?) {
        self.wanted = wanted
        self.quiet = quiet
        self.writer = writer
    }

    private var isDone: Bool { wanted.map { statistics.frames >= $0 } ?? false }

    /// Returns when the wanted frames have come, at `deadline` (CLOCK_MONOTONIC ns), or when the stream is stopped or has ended.
    mutating func run(_ stream: FrameStream, until deadline: UInt64?) throws -> End {
        while !isDone {
            let now = clinux_monotonic_ns()
            if let deadline, now >= deadline { return .deadline }
            if let line = wait.line(now: now) { say(line) }
            let next = min(deadline ?? .max, wait.nextLine)
            switch try stream.next(timeout: .nanoseconds(Int64(clamping: next > now ? next - now : 0))) {
            case .timedOut: break
            case .ended(let reason):
                if let reason, !reason.isEmpty { say("stream ended: \(reason)") }
                return reason == nil ? .stopped : .ended
            case .event(.frame(let frame)): try take(frame)
            case .event(let event): take(event)
            }
        }
        return .enough
    }

    private mutating func take(_ frame: Frame) throws {
        statistics.wrote(generation: frame.generation)
        let (verdict, bytes) = judge.judge(frame, copying: writer != nil)
        switch verdict {
        case .whole(let number):
            let now = clinux_monotonic_ns()
            statistics.delivered(number, byteCount: frame.byteCount, at: now)
            wait.tookWhole(now: now)
            if let bytes { try writer?.write(bytes, of: frame.stream) }
        case .torn:
            statistics.deliveredTorn()
            say("frame \(frame.sequence) is torn")
        case .unusable:
            statistics.missed()
            if frame.isDamaged { wait.tookDamaged(frame.damage) }
        }
        showProgress()
    }

    private mutating func take(_ event: FrameEvent) {
        switch event {
        case .driverRestarted(let generation, _, _): statistics.wrote(generation: generation)
        case .gap(_, let count, _): statistics.missed(count)
        case .deviceAbsent, .supervisorLost: statistics.countsDriversAnew()
        default: break
        }
        wait.took(event, now: clinux_monotonic_ns())
        // Those between damaged frames are a part of the same news.
        if case .gap(_, _, .damaged) = event, wait.isDamaged { return }
        if let line = StreamNews.line(event) { say(line) }
    }

    private func say(_ line: String) {
        if !quiet { Terminal.note(line) }
    }

    private mutating func showProgress() {
        let now = clinux_monotonic_ns()
        guard !quiet, now &- shownAt > 200_000_000 else { return }
        shownAt = now
        let goal = wanted.map { " of \($0)" } ?? ""
        Terminal.showProgress(
            "\(statistics.frames)\(goal) frames  \(Figure.decimal(statistics.fps, places: 1)) fps  \(statistics.lost) lost  "
                + "\(Figure.bytes(statistics.bytesPerSecond))/s"
                + (statistics.restarts > 0 ? "  \(Figure.count(statistics.restarts, "restart"))" : ""))
    }

    /// Ends what was written. 0, or the status to end with.
    func close() throws -> Int32 {
        guard let writer else { return ExitStatus.done }
        do {
            try writer.close()
            return ExitStatus.done
        } catch {
            return ExitStatus.report(error)
        }
    }
}
