// One `userdriver-mux`: a process that makes a file of frames, and nothing else.

import CLinux
import FileDescriptors
import Glibc
import Spawn
import UserDriverClient

/// A muxer and the file that it writes. Its process can do nothing but that, and nothing of the
/// film is lost with it.
struct Muxer: ~Copyable {
    /// What it says of its work.
    enum Report: Hashable {
        /// So many frames play, whatever comes; the file is as long as that then.
        case saved(frames: Int, bytes: Int64)
        case done(frames: Int, bytes: Int64)
        case failed(errno: Int32, frames: Int, bytes: Int64, words: String)

        init?(_ line: String) {
            let words = line.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
            let numbers = words.dropFirst().prefix(3).compactMap { Int64($0) }
            switch words.first {
            case "saved" where numbers.count == 2: self = .saved(frames: Int(numbers[0]), bytes: numbers[1])
            case "done" where numbers.count == 2: self = .done(frames: Int(numbers[0]), bytes: numbers[1])
            case "failed" where numbers.count == 3:
                self = .failed(
                    errno: Int32(clamping: numbers[0]), frames: Int(numbers[1]), bytes: numbers[2], words: words.count > 4 ? words[4] : "")
            default: return nil
            }
        }
    }

    private let process: ChildProcess
    /// Where frames go; `nil` once the end was said.
    private var input: OwnedDescriptor?
    private let reports: LineReader
    /// What of the frame that is being sent has not gone yet.
    private var rest: [UInt8] = []
    private var sent = 0

    /// Starts one for the open file.
    init(program: String, container: FilmContainer, form: StreamDescription, began: Int64, file: Int32) throws {
        guard let executable = OwnedDescriptor(opened: open(program, O_RDONLY | O_CLOEXEC)) else { throw Self.missing(program, errno) }
        let frames = try Pipe.forChild()
        let spoken = try Pipe.forChild()
        clinux_set_nonblocking(frames.writes.number, 1)
        let rate = FilmRate(form.fps)
        let words = [form.format, form.width, form.height, rate.numerator, rate.denominator, began] as [any CustomStringConvertible]
        do {
            // A session of its own: Ctrl-C is ours to see to. And no death signal: should this
            // process be killed, it finishes the file.
            process = try ChildProcess(
                executing: executable.number,
                .init(
                    arguments: [program, container.rawValue] + words.map(\.description),
                    descriptors: [frames.reads.number, spoken.writes.number, STDERR_FILENO, file], newSession: true))
        } catch {
            throw CommandFailure("The muxer can't be started: \(error).")
        }
        input = consume frames.writes
        reports = LineReader(spoken.reads)
    }

    static func missing(_ program: String, _ number: Int32) -> CommandFailure {
        CommandFailure(
            "Recording needs \(program), which can't be opened: \(String(cString: strerror(number))). It is in the package userdriver-record. To "
                + "build it, install Debian's libavformat-dev, then run `make build-record`, or `make install` again. Without it, "
                + "`userdriver stream -o film.mjpeg` writes films of bare frames.")
    }

    /// Whether all of the last frame has gone.
    var isReady: Bool { rest.isEmpty }

    /// Takes a frame, at this many nanoseconds after the first. Call it when `isReady`, and `push`
    /// until it is again.
    mutating func send(_ frame: FilmFrame, at time: UInt64, isFirst: Bool) {
        var record: [UInt8] = []
        record.reserveCapacity(frame.bytes.count + frame.parameters.count + 32)
        if isFirst, !frame.parameters.isEmpty { record += Self.header(frame.parameters.count, flags: 2, time: 0) + frame.parameters }
        record += Self.header(frame.bytes.count, flags: frame.isKey ? 1 : 0, time: time)
        record += frame.bytes
        (rest, sent) = (record, 0)
        push()
    }

    /// Length, flags, time: as `struct frame_header` of the muxer has them.
    private static func header(_ length: Int, flags: UInt32, time: UInt64) -> [UInt8] {
        [UInt32(length), flags].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
            + (0..<8).map { UInt8(truncatingIfNeeded: time >> ($0 * 8)) }
    }

    /// Sends on what the pipe takes. A muxer that has gone takes everything and keeps nothing: its
    /// reports end.
    mutating func push() {
        while let input = input.number, sent < rest.count {
            let count = rest.withUnsafeBytes { write(input, $0.baseAddress! + sent, $0.count - sent) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            guard count > 0 else { break }
            sent += count
        }
        (rest, sent) = ([], 0)
    }

    /// Waits until a frame can go on, it has said something, or `other` is readable.
    func wait(or other: Int32?) {
        var entries = [pollfd(fd: reports.descriptor, events: Int16(POLLIN), revents: 0)]
        if let input = input.number, !rest.isEmpty { entries.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
        if let other { entries.append(pollfd(fd: other, events: Int16(POLLIN), revents: 0)) }
        poll(&entries, nfds_t(entries.count), -1)
    }

    /// What it has said since.
    func takeReports() -> [Report] { reports.lines().compactMap(Report.init) }

    /// It says nothing more: it has ended, or is about to.
    var isAtEnd: Bool { reports.isAtEnd }

    /// No frame comes any more.
    mutating func finish() {
        input = nil
        (rest, sent) = ([], 0)
    }

    /// Collects the process, which has said its last.
    mutating func collect() throws -> ChildProcess.End {
        finish()
        return try process.wait(timeout: .seconds(10)) ?? process.tearDown([])
    }
}

/// Frames a second as a fraction, as containers have it.
struct FilmRate: Hashable {
    var numerator: Int
    var denominator: Int

    /// 0/1 where nobody knows.
    init(_ fps: Double) {
        guard fps.isFinite, fps >= 0.001, fps <= 10_000 else {
            (numerator, denominator) = (0, 1)
            return
        }
        let whole = fps.rounded()
        // Television's rates: 29.97 is 30000/1001.
        let television = (fps * 1.001).rounded()
        if abs(fps - whole) < 0.000_5, whole >= 1 {
            (numerator, denominator) = (Int(whole), 1)
        } else if abs(fps - television / 1.001) < 0.005, television >= 1 {
            (numerator, denominator) = (Int(television) * 1000, 1001)
        } else {
            (numerator, denominator) = (Int((fps * 1000).rounded()), 1000)
        }
    }
}
