// The loop of `userdriver record`.

import CLinux
import FrameRing
import Glibc
import UserDriverClient
import Wire

/// Takes a stream's events and puts its frames into the queue, until the film is long enough.
struct RecordSession {
    /// A frame of the film's last moment may come as late as this.
    private static let grace: UInt64 = 250_000_000

    private let queue: FilmQueue
    private let writer: FilmWriter
    /// ns
    private let length: UInt64?
    private let quiet: Bool
    private(set) var statistics = StreamStatistics()
    private(set) var wait = PictureWait(now: clinux_monotonic_ns())
    /// By the user.
    private(set) var isStopped = false
    /// By whoever gives the frames.
    private(set) var isCut = false
    private var judge = FrameJudge()
    private var clock = FilmClock()
    private var coded = CodedVideo()
    private var end: UInt64?
    private var first: UInt64?
    private var latest: UInt64 = 0
    private var shownAt: UInt64 = 0
    private var isLongEnough = false

    /// `patience` is how long the first frame may take, ns.
    init(queue: FilmQueue, writer: FilmWriter, length: UInt64?, patience: UInt64, quiet: Bool) {
        self.queue = queue
        self.writer = writer
        self.length = length
        self.quiet = quiet
        // Until there is a frame from which the length counts.
        end = length.map { clinux_monotonic_ns() &+ max($0, patience) }
    }

    /// Returns when the film is as long as it is to be, or when the stream is stopped or has ended.
    mutating func run(_ stream: FrameStream) throws {
        while !isLongEnough {
            let now = clinux_monotonic_ns()
            let deadline = end.map { $0 &+ Self.grace }
            if let deadline, now >= deadline { return }
            if let failure = queue.failure { throw failure }
            if let line = wait.line(now: now) { say(line) }
            showProgress(now)
            // Woken at times, to hear of a full disk where no frame comes, and to show that time
            // goes on.
            let next = min(deadline ?? .max, wait.nextLine, now + 500_000_000)
            switch try stream.next(timeout: .nanoseconds(Int64(clamping: next > now ? next - now : 0))) {
            case .timedOut: break
            case .ended(let reason):
                if let reason, !reason.isEmpty { say("stream ended: \(reason)") }
                isStopped = reason == nil
                isCut = reason != nil
                return
            case .event(.frame(let frame)): try take(frame)
            case .event(let event): take(event)
            }
        }
    }

    private mutating func take(_ frame: Frame) throws {
        statistics.wrote(generation: frame.generation)
        let (verdict, bytes) = judge.judge(frame, copying: true)
        switch verdict {
        case .whole(let number):
            let now = clinux_monotonic_ns()
            wait.tookWhole(now: now)
            guard let bytes, let form = frame.stream else {
                throw CommandFailure("The driver does not say what its frames are: they can't become a film.")
            }
            let time = clock.time(captured: frame.captured, now: now)
            if let length, let first, time - first >= length {
                isLongEnough = true
                return
            }
            guard let recorded = FilmFrame(bytes, of: form, at: time, coded: &coded) else { return statistics.missed() }
            try queue.put(recorded)
            statistics.delivered(number, byteCount: recorded.bytes.count, at: now)
            if first == nil {
                first = time
                end = length.map { time &+ $0 }
            }
            latest = time
        case .torn:
            statistics.deliveredTorn()
            say("frame \(frame.sequence) is torn")
        case .unusable:
            statistics.missed()
            if frame.isDamaged { wait.tookDamaged(frame.damage) }
        }
    }

    private mutating func take(_ event: FrameEvent) {
        switch event {
        case .driverRestarted(let generation, _, _): statistics.wrote(generation: generation)
        case .gap(_, let count, _): statistics.missed(count)
        case .deviceAbsent, .supervisorLost: statistics.countsDriversAnew()
        default: break
        }
        wait.took(event, now: clinux_monotonic_ns())
        if case .gap(_, _, .damaged) = event, wait.isDamaged { return }
        if let line = StreamNews.line(event) { say(line) }
    }

    private func say(_ line: String) {
        if !quiet { Terminal.note(line) }
    }

    private mutating func showProgress(_ now: UInt64) {
        guard !quiet, let first, now &- shownAt > 200_000_000 else { return }
        shownAt = now
        let size = writer.parts.reduce(0) { $0 + $1.bytes }
        Terminal.showProgress(
            "\(RecordReport.clock(seconds: Double(max(latest, first) - first) / 1e9))  \(Figure.count(statistics.frames, "frame"))  "
                + "\(Figure.bytes(Double(size)))  \(statistics.lost) lost"
                + (statistics.restarts > 0 ? "  \(Figure.count(statistics.restarts, "restart"))" : ""))
    }
}

/// The figures of a recording.
struct RecordReport {
    var statistics: StreamStatistics
    var parts: [FilmPart]

    /// `1:02:03`, `2:03`
    static func clock(seconds: Double) -> String {
        let whole = Int(min(max(seconds, 0), 1e12))
        func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let minutes = whole / 60 % 60
        return (whole >= 3600 ? "\(whole / 3600):\(padded(minutes))" : "\(minutes)") + ":\(padded(whole % 60))"
    }

    private struct File: Encodable {
        var path: String
        var frames: Int
        var bytes: Int64
        var seconds: Double
    }

    /// One line of JSON, without its end: that of a stream, with the files behind it.
    var json: String {
        get throws {
            let files = parts.map { File(path: $0.path, frames: $0.frames, bytes: $0.bytes, seconds: ($0.seconds * 1000).rounded() / 1000) }
            let seconds = Figure.decimal(parts.reduce(0) { $0 + $1.seconds }, places: 3)
            let list = String(decoding: try JSON.encode(files), as: UTF8.self)
            return statistics.json.dropLast() + ",\"seconds\":\(seconds),\"files\":\(PlainText.escaped(list))}"
        }
    }
}
