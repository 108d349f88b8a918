// `userdriver snap --burst` and `--interval`: pictures in numbered files.

import ArgumentParser
import CLinux
import Glibc
import Pictures
import UserDriverClient

/// `photo-%03d.jpg`: a name with a place for the picture's number.
struct PictureNames: Hashable {
    private let before: String
    private let digits: Int
    private let after: String

    /// Throws `ValidationError` if there is no such place, or more than one.
    init(path: String) throws {
        guard path != "-" else { throw ValidationError("Several pictures need files: -o photo-%03d.jpg.") }
        guard case .pictures(let before, let digits, let after, _)? = try FrameFile.pattern(path) else {
            let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
            let type = name.lastIndex(of: ".").map { name[$0...].count } ?? 0
            throw ValidationError(
                "Several pictures need several names: \(ShellText.quoted(path.dropLast(type) + "-%03d" + path.suffix(type))) numbers them.")
        }
        (self.before, self.digits, self.after) = (before, digits, after)
    }

    /// From 1.
    subscript(_ number: Int) -> String {
        let number = String(number)
        return before + String(repeating: "0", count: max(0, digits - number.count)) + number + after
    }
}

/// Takes one picture after the other.
struct PictureSeries {
    /// Bytes of frames that a burst keeps before it writes them: writing takes longer than the
    /// camera waits.
    private static let most = 256 << 20

    let names: PictureNames
    let kind: PictureFileFormat
    /// `nil`: until it is stopped.
    let count: Int?
    /// ns; `nil`: each frame.
    let interval: UInt64?
    var skip: Int
    /// How long a picture may take, ns: each one of a burst, and the first of others.
    let patience: UInt64

    private struct Kept {
        var bytes: [UInt8]
        var stream: StreamDescription?
    }

    private var kept: [Kept] = []
    private var keptBytes = 0
    private var written = 0
    private var judge = FrameJudge()
    private var wait = PictureWait(now: clinux_monotonic_ns())
    private var spoiled: PictureError?
    /// When the next picture is due: CLOCK_MONOTONIC ns.
    private var due: UInt64 = 0

    init(names: PictureNames, kind: PictureFileFormat, count: Int?, interval: UInt64?, skip: Int, patience: UInt64) {
        (self.names, self.kind, self.count, self.interval, self.skip, self.patience) = (names, kind, count, interval, skip, patience)
    }

    private var isDone: Bool { count.map { written + kept.count >= $0 } ?? false }

    /// Returns when all pictures are in their files, or when it is stopped.
    mutating func run(_ stream: FrameStream) throws {
        var deadline = clinux_monotonic_ns() + patience
        while true {
            if isDone {
                try write()
                // Those that were no pictures are taken again.
                guard !isDone else { return }
            }
            let now = clinux_monotonic_ns()
            if now >= deadline { throw try lateness() }
            if let line = wait.line(now: now) { Terminal.note(line) }
            let next = min(deadline, wait.nextLine)
            switch try stream.next(timeout: .nanoseconds(Int64(clamping: next > now ? next - now : 0))) {
            case .timedOut: break
            case .ended(let reason):
                try write()
                guard let reason else { return try stopped() }
                throw CommandFailure("The stream has ended" + (reason.isEmpty ? "." : ": \(reason)"))
            case .event(.frame(let frame)):
                guard try take(frame) else { break }
                deadline = interval == nil ? clinux_monotonic_ns() + patience : .max
            case .event(let event):
                wait.took(event, now: clinux_monotonic_ns())
                if interval != nil, let line = StreamNews.line(event) { tell(event, line) }
            }
        }
    }

    /// Between two pictures only what matters to the next is told.
    private func tell(_ event: FrameEvent, _ line: String) {
        switch event {
        case .deviceAbsent, .deviceBack, .driverFailed, .supervisorLost, .supervisorBack, .changed: Terminal.note(line)
        default: break
        }
    }

    /// Whether the frame became a picture.
    private mutating func take(_ frame: Frame) throws -> Bool {
        guard interval == nil || frame.captured >= due else {
            wait.tookWhole(now: clinux_monotonic_ns())
            return false
        }
        let (verdict, bytes) = judge.judge(frame, copying: true)
        guard case .whole = verdict, let bytes else {
            wait.tookDamaged(frame.damage)
            return false
        }
        wait.tookWhole(now: clinux_monotonic_ns())
        guard skip == 0 else {
            skip -= 1
            return false
        }
        kept.append(Kept(bytes: bytes, stream: frame.stream))
        keptBytes += bytes.count
        guard let interval else {
            if keptBytes > Self.most { try write() }
            return true
        }
        let before = written
        try write()
        // What is no picture leaves its place to the next frame.
        guard written > before else { return false }
        plan(interval, after: frame.captured)
        return true
    }

    /// The times of pictures keep their rhythm; those that have passed are left out.
    private mutating func plan(_ interval: UInt64, after captured: UInt64) {
        guard due > 0 else {
            due = captured &+ interval
            return
        }
        // A driver's word: not later than now.
        let reached = min(max(captured, due), max(due, clinux_monotonic_ns()))
        let passed = (reached - due) / interval
        if passed > 0 { Terminal.note("\(Figure.count(passed, "picture")) left out: no frame arrived in time") }
        due = due &+ interval &* (passed &+ 1)
    }

    private mutating func write() throws {
        let frames = kept
        (kept, keptBytes) = ([], 0)
        for frame in frames {
            do {
                let file = try PictureOfFrame.encode(frame.bytes, stream: frame.stream, as: kind)
                try WholeFile.write(file, to: names[written + 1])
                written += 1
                if let count { Terminal.showProgress("\(written) of \(count) pictures") } else { Terminal.showProgress(names[written]) }
            } catch let error as PictureError where error.code == .malformed {
                spoiled = error
            }
        }
        Terminal.endProgress()
    }

    private func stopped() throws {
        guard written < count ?? 1 else { return }
        throw CommandFailure("Stopped after \(Figure.count(written, "picture")).")
    }

    private mutating func lateness() throws -> CommandFailure {
        try write()
        let reason = spoiled.map { "the last frame was not a picture (\($0.description))" } ?? wait.why
        let number = count.map { " \(written + 1) of \($0)" } ?? ""
        return CommandFailure(
            "No picture\(number) within \(Figure.duration(milliseconds: Double(patience) / 1e6)): \(reason).",
            status: wait.isAbsent ? ExitStatus.noSuchDevice : ExitStatus.failed)
    }
}
