// `userdriver record`: a camera's frames into a film, as they are and when they were.

import ArgumentParser
import CLinux
import Glibc
import Threads
import UserDriverClient

struct RecordCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Record a camera into a .mkv, .mp4 or .avi file.",
        discussion: """
            Frames are not encoded again: the file holds what the camera sent, with the camera's own timing. Missing frames are a \
            pause in the film. Recording continues, with a message, when the driver dies, the device is unplugged or the daemon \
            ends. Ends after --duration, or on Ctrl-C.

            The file exists from the first frame on and plays while it grows, even if this program is killed or the disk is full. \
            When the camera's format or size changes, or after a pause of ten minutes, recording continues in another file: \
            film-0001.mkv after film.mkv, as with --segment.

            mkv holds every format, mp4 compressed ones (mjpeg, h264, h265), avi mjpeg and uncompressed frames. mkv and mp4 keep \
            each frame's own time. avi has a fixed rate: each frame takes the nearest place.

            --stats json prints the figures of `userdriver stream`, and "seconds" and "files" \
            [{"path","frames","bytes","seconds"}], as the last line. lost counts frames that never arrived or arrived damaged.

            Example:
              userdriver record -o film.mkv --duration 3
              userdriver record -o film.mp4 --format mjpeg --size 640x480 --duration 2s
              userdriver record -o long.mkv --segment 1s --duration 3s
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "The file to write, ending in .mkv, .mp4 or .avi. Left out: recording-DATE-TIME.mkv in this folder.", valueName: "file"),
        completion: .file(extensions: FilmContainer.allCases.map(\.rawValue)))
    var output: String?

    @Option(help: ArgumentHelp("End after this time, as in 90, 90s, 10m or 1h30m.", valueName: "time"))
    var duration: RecordingTime?

    @Flag(help: "Go on until Ctrl-C or SIGTERM, which is what happens without --duration.")
    var untilStopped = false

    @Option(help: ArgumentHelp("Start another file whenever one reaches this length.", valueName: "time"))
    var segment: RecordingTime?

    @Flag(help: "Overwrite existing files.")
    var force = false

    @OptionGroup var form: FrameOptions

    @Option(help: ArgumentHelp("Print figures at the end, as text or json.", valueName: "form"))
    var stats: StreamCommand.StatisticsForm?

    @Flag(name: [.short, .long], help: "Don't report what happens to the stream.")
    var quiet = false

    @Option(help: ArgumentHelp("How long the stream may take to start.", valueName: "seconds"))
    var timeout = Seconds(15)

    @Flag(help: "Within that time, also wait for the daemon and the device to appear.")
    var wait = false

    @Option(help: ArgumentHelp("End with an error if the daemon stays away for this long.", valueName: "seconds"))
    var giveUpAfter: Seconds?

    func validate() throws {
        if duration != nil, untilStopped { throw ValidationError("--duration and --until-stopped can't be combined.") }
        if let duration, duration.seconds <= 0 { throw ValidationError("--duration must be more than 0.") }
        if let segment, segment.seconds < 1 { throw ValidationError("--segment must be a second or more.") }
        if let output {
            let container = try FilmContainer(path: output)
            if let problem = form.format.flatMap({ container.problem(with: $0, path: output) }) { throw ValidationError(problem) }
        }
    }

    func run() throws {
        let path = output ?? Self.nameOfNow()
        let container = try FilmContainer(path: path)
        let names = FilmNames(path: path)
        let program = try MuxerProgram.path()
        try refuse(names)
        let cancellation = Cancellation()
        try Interrupt.onFirst { cancellation.cancel() }
        let options = FrameStream.Options(openTimeout: timeout.duration, waitsForDevice: wait, giveUpAfter: giveUpAfter?.duration)
        let stream = try ChosenCamera.open(
            daemon.client, target.selector, form.request, options: options, cancellation: cancellation)
        if let format = stream.description?.format { try container.check(format, path: path) }
        let queue = try FilmQueue()
        let quiet = quiet
        let writer = FilmWriter(
            .init(
                program: program, names: names, container: container, overwrites: force, segment: segment?.nanoseconds,
                say: { if !quiet { Terminal.note($0) } }), queue: queue)
        let thread: WorkerThread
        do {
            thread = try WorkerThread(name: "film", takesSignals: false) { writer.run() }
        } catch {
            throw CommandFailure("The thread that writes can't be started: \(error)")
        }
        if output == nil, !quiet { Terminal.note("recording to \(path)") }
        var session = RecordSession(
            queue: queue, writer: writer, length: duration?.nanoseconds, patience: UInt64(timeout.value * 1e9), quiet: quiet)
        var failure: (any Error)?
        do {
            try session.run(stream)
        } catch {
            failure = error
        }
        stream.stop()
        queue.close()
        thread.join()
        Terminal.endProgress()
        try finish(session, writer, failure: queue.failure ?? failure)
    }

    /// What the user is told at the end, and the status.
    private func finish(_ session: RecordSession, _ writer: FilmWriter, failure: (any Error)?) throws {
        var status = ExitStatus.done
        if let failure {
            status = ExitStatus.report(failure)
        } else if writer.parts.isEmpty {
            if !quiet || !session.isStopped { Terminal.note("userdriver: nothing was recorded: \(session.wait.why).") }
            status = session.wait.isAbsent ? ExitStatus.noSuchDevice : ExitStatus.failed
        } else {
            if Terminal.isTerminal(STDERR_FILENO), !quiet { Terminal.note(writer.kept) }
            // What there is plays; that it is shorter than it was to be, a script sees here.
            if session.isCut { status = session.wait.isAbsent ? ExitStatus.noSuchDevice : ExitStatus.failed }
        }
        let report = RecordReport(statistics: session.statistics, parts: writer.parts)
        switch stats {
        case .json: try Terminal.print(report.json)
        case .text: try Terminal.print(session.statistics.sentence)
        case nil: break
        }
        if status != ExitStatus.done { throw ExitCode(status) }
    }

    /// Throws what can be known before the camera is opened.
    private func refuse(_ names: FilmNames) throws {
        for number in 0...(segment == nil ? 0 : 1) {
            var status = stat()
            guard stat(names[number], &status) == 0 else { continue }
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw CommandFailure("'\(names[number])' is not a regular file, which a film needs.", status: ExitStatus.usage)
            }
            guard force else { throw CommandFailure("'\(names[number])' already exists: --force overwrites it.") }
        }
        let folder = names.path.lastIndex(of: "/").map { String(names.path[...$0]) } ?? "."
        guard access(folder, W_OK | X_OK) == 0 else { throw OutputError(number: errno, what: names.path) }
    }

    /// `recording-2026-11-28-213000.mkv`
    private static func nameOfNow() -> String {
        var seconds = time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        var buffer = [CChar](repeating: 0, count: 64)
        let count = strftime(&buffer, buffer.count, "recording-%Y-%m-%d-%H%M%S.mkv", &parts)
        return String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// A length of time, typed `90`, `90s`, `10m`, `1h30m`, `500ms`.
struct RecordingTime: ExpressibleByArgument, Hashable, CustomStringConvertible {
    var seconds: Double
    var nanoseconds: UInt64 { UInt64(seconds * 1e9) }
    var description: String { Figure.duration(milliseconds: seconds * 1000) }

    init?(argument: String) {
        let units: [(name: String, seconds: Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("min", 60), ("h", 3600)]
        var rest = argument.lowercased()[...]
        var total = 0.0
        var smallest = Double.infinity
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            let word = rest.dropFirst(digits.count).prefix { $0.isLetter }
            rest = rest.dropFirst(digits.count + word.count)
            // Bare seconds stand alone.
            let unit = word.isEmpty && digits.count == argument.count ? 1 : units.first { $0.name == word }?.seconds
            guard let number = Double(digits), number.isFinite, let unit, unit < smallest else { return nil }
            smallest = unit
            total += number * unit
        }
        guard total <= 1e9 else { return nil }
        seconds = total
    }
}

/// Where the muxer lies.
enum MuxerProgram {
    static let name = "userdriver-mux"

    /// Beside this program where it was built, in `lib/userdriver` where it is installed.
    static func path() throws -> String {
        let executable = try ProgramFolder.executable()
        let folder = executable.lastIndex(of: "/").map { String(executable[..<$0]) } ?? "."
        let installed = (folder.hasSuffix("/bin") ? String(folder.dropLast(4)) : "/usr") + "/lib/userdriver/" + name
        let candidates = [folder + "/" + name, installed]
        if let found = candidates.first(where: { access($0, X_OK) == 0 }) { return found }
        throw Muxer.missing(installed, errno)
    }
}
