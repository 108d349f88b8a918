// Who takes frames from the queue and sees to it that files hold them: one muxer after the other.

import CLinux
import FileDescriptors
import Glibc
import Spawn
import Threads
import UserDriverClient

/// A file of a recording, as far as it plays.
struct FilmPart: Hashable, Sendable {
    var path: String
    var frames = 0
    var bytes: Int64 = 0
    /// CLOCK_MONOTONIC ns of the first frame, and of the last that is saved.
    var first: UInt64 = 0
    var last: UInt64 = 0

    var seconds: Double { last > first ? Double(last - first) / 1e9 : 0 }
}

/// Writes what a queue holds, on a thread of its own.
///
/// A frame leaves the queue when its muxer says that it plays. A muxer that dies leaves a file that
/// plays up to there, and the next one goes on in the next file with the first frame that is not in
/// it.
final class FilmWriter: Sendable {
    struct Plan: Sendable {
        var program: String
        var names: FilmNames
        var container: FilmContainer
        var overwrites: Bool
        /// ns
        var segment: UInt64?
        /// A line for the user.
        var say: @Sendable (String) -> Void
    }

    /// Players are lost in longer pauses, and AVI's empty frames run out.
    private static let longestGap: UInt64 = 600_000_000_000
    /// Muxers in a row that may die before anything is saved.
    private static let mostDeaths = 3

    private let plan: Plan
    private let queue: FilmQueue
    /// The files so far, each time that more of them is safe.
    let saved = Monitored<[FilmPart]>([])

    init(_ plan: Plan, queue: FilmQueue) {
        self.plan = plan
        self.queue = queue
    }

    /// The files so far.
    var parts: [FilmPart] { saved.withLock { $0 } }

    /// A file in the making.
    private struct Open: ~Copyable {
        var muxer: Muxer
        let file: OwnedDescriptor
        var part: FilmPart
        var form: StreamDescription
        var times: [UInt64] = []
        /// The last frame that was sent.
        var latest: UInt64
        /// Frames of the queue that were sent and are not saved.
        var unsaved = 0
    }

    /// How a file ended.
    private enum Ending {
        case done, full(Int32), died(ChildProcess.End)
        case failed(Int32, String)
    }

    private enum Turn { case goesOn, next, ended }

    private struct State {
        var number = 0
        var deaths = 0
    }

    /// Returns when all frames are in files, or nothing more can be written; the queue says then
    /// why.
    func run() {
        var state = State()
        do {
            while try turn(&state) {}
        } catch {
            queue.fail(error)
        }
    }

    /// One file, or a part of one. False when there is nothing more to do.
    private func turn(_ state: inout State) throws -> Bool {
        let (first, isEnd) = queue.frame(after: 0)
        guard let first else {
            guard !isEnd else { return false }
            var entry = pollfd(fd: queue.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, -1)
            return true
        }
        var open = try begin(first, &state)
        let ending = try fill(&open)
        note(open.part)
        try conclude(open, ending, &state)
        return true
    }

    private func begin(_ frame: FilmFrame, _ state: inout State) throws -> Open {
        try plan.container.check(frame.form.format, path: plan.names.path)
        let (path, number) = try create(&state.number)
        let file = OwnedDescriptor(number)
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        let age = clinux_monotonic_ns() &- frame.time
        let began = Int64(wall.tv_sec) * 1_000_000 + Int64(wall.tv_nsec / 1000) - Int64(clamping: age / 1000)
        do {
            let muxer = try Muxer(program: plan.program, container: plan.container, form: frame.form, began: began, file: file.number)
            let part = FilmPart(path: path, first: frame.time, last: frame.time)
            return Open(muxer: muxer, file: file, part: part, form: frame.form, latest: frame.time)
        } catch {
            unlink(path)
            throw error
        }
    }

    /// The next file that may be written.
    private func create(_ number: inout Int) throws -> (path: String, file: Int32) {
        while true {
            let path = plan.names[number]
            number += 1
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (plan.overwrites ? O_TRUNC : O_EXCL), 0o666)
            if file >= 0 { return (path, file) }
            // The first was looked at before the camera was; those after it may be somebody else's.
            guard errno == EEXIST, number > 1, number < 1_000_000 else { throw OutputError(number: errno, what: path) }
        }
    }

    /// Sends frames until the file is to end, and waits for its end.
    private func fill(_ open: inout Open) throws -> Ending {
        var isLast = false
        var report: Muxer.Report?
        while true {
            while !isLast, open.muxer.isReady {
                let (next, isEnd) = queue.frame(after: open.unsaved)
                guard let next else {
                    isLast = isEnd
                    break
                }
                isLast = ends(open, before: next)
                if !isLast { send(next, &open) }
            }
            if isLast { open.muxer.finish() }
            // Everything that it said is heard before its end is.
            let isAtEnd = open.muxer.isAtEnd
            for said in open.muxer.takeReports() {
                report = said
                switch said {
                case .saved(let frames, let bytes), .done(let frames, let bytes), .failed(_, let frames, let bytes, _):
                    keep(frames, bytes, &open)
                }
            }
            if isAtEnd { break }
            open.muxer.wait(or: isLast || !open.muxer.isReady ? nil : queue.descriptor)
            open.muxer.push()
        }
        let end = try open.muxer.collect()
        switch report {
        case .done: return .done
        case .failed(let number, _, _, _) where [ENOSPC, EDQUOT, EFBIG].contains(number): return .full(number)
        case .failed(let number, _, _, let words): return .failed(number, words)
        case .saved, nil: return .died(end)
        }
    }

    private func ends(_ open: borrowing Open, before frame: FilmFrame) -> Bool {
        guard frame.isKey, frame.time > open.part.first else { return false }
        if frame.form.format != open.form.format || frame.form.width != open.form.width || frame.form.height != open.form.height {
            return true
        }
        if frame.time - open.latest > Self.longestGap { return true }
        return plan.segment.map { frame.time - open.part.first >= $0 } ?? false
    }

    private func send(_ frame: FilmFrame, _ open: inout Open) {
        open.muxer.send(frame, at: frame.time - open.part.first, isFirst: open.times.isEmpty && open.part.frames == 0)
        open.times.append(frame.time)
        open.latest = frame.time
        open.unsaved += 1
    }

    /// So many frames of the file are safe.
    private func keep(_ frames: Int, _ bytes: Int64, _ open: inout Open) {
        // A muxer is a process of its own: what it says is bounded by what it was sent.
        let count = min(max(0, frames - open.part.frames), open.unsaved)
        if count > 0 {
            open.part.last = open.times[count - 1]
            open.times.removeFirst(count)
            open.unsaved -= count
            open.part.frames += count
            queue.drop(count)
        }
        open.part.bytes = max(0, bytes)
        note(open.part)
    }

    private func note(_ part: FilmPart) {
        saved.change { parts in
            parts.removeAll { $0.path == part.path }
            if part.frames > 0 { parts.append(part) }
        }
    }

    /// What an ended file means for the rest.
    private func conclude(_ open: borrowing Open, _ ending: Ending, _ state: inout State) throws {
        let path = open.part.path
        let isEmpty = open.part.frames == 0
        if isEmpty {
            unlink(path)
            state.number -= 1
        }
        switch ending {
        case .done:
            state.deaths = 0
        case .full(EFBIG) where !isEmpty:
            state.deaths = 0
            plan.say("\(path) can't grow any further: continuing in \(plan.names[state.number])")
        case .full(let number):
            let reason =
                number == EDQUOT ? "your quota is used up" : number == EFBIG ? "files here can't be that large" : "the disk is full"
            throw CommandFailure("The recording has ended, \(reason). " + kept)
        case .failed(EINVAL, let words) where isEmpty:
            throw CommandFailure("The frames (\(open.form)) can't be put into \(path)" + (words.isEmpty ? "." : ": \(words)."))
        case .failed(let number, _):
            throw CommandFailure("Writing \(path) failed: \(String(cString: strerror(number))). " + kept)
        case .died(let end):
            state.deaths = isEmpty ? state.deaths + 1 : 1
            // What comes after the last flush is a part of something.
            if !isEmpty { ftruncate(open.file.number, Int(open.part.bytes)) }
            guard state.deaths < Self.mostDeaths else {
                throw CommandFailure("The muxer keeps dying before it has written a frame (\(end)). " + kept)
            }
            plan.say("the muxer died (\(end))" + (isEmpty ? "; a new one starts over" : ": continuing in \(plan.names[state.number])"))
        }
    }

    /// What there is, in words.
    var kept: String {
        let parts = self.parts
        guard let last = parts.last else { return "No frame was saved." }
        let files = parts.count == 1 ? last.path : "\(parts.count) files, \(parts[0].path) to \(last.path),"
        let time = Figure.duration(milliseconds: parts.reduce(0) { $0 + $1.seconds } * 1000)
        let frames = Figure.count(parts.reduce(0) { $0 + $1.frames }, "frame")
        let size = Figure.bytes(Double(parts.reduce(0) { $0 + $1.bytes }))
        return "\(files) \(parts.count == 1 ? "plays" : "play"): \(time), \(frames), \(size)."
    }
}
