// `userdriver stream`: a camera's frames, and how well they come.

import ArgumentParser
import CLinux
import FrameRing
import Glibc
import UserDriverClient

struct StreamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream",
        abstract: "Receive a camera's frames: count them, check them, write them.",
        discussion: """
            Continues, with a message, when the driver dies, the device is unplugged or the daemon ends. Ends after --frames or \
            --seconds, or on Ctrl-C. Only whole frames are counted and written. If none arrive for 3 s, it says why. The exit \
            status is 1 if none arrived, or fewer than --frames.

            --stats json prints, as the last line, {"frames","lost","torn","restarts","longestGapMs","fps","bytes"} on standard \
            output (standard error with -o -). lost counts frames that never arrived or arrived damaged, torn those whose bytes do \
            not belong together (by the stamps in the frames of the emulated webcam, else by the frames' numbers). restarts counts \
            drivers that were replaced, longestGapMs is the longest time between two frames.

            Example:
              userdriver stream --frames 300 --stats json
              userdriver stream --seconds 5 --format mjpeg -o film.mjpeg
              userdriver stream --seconds 2 --format nv12 --size 640x480 -o film.y4m
              userdriver stream --seconds 2 -o frame-%04d.jpg
              userdriver stream --seconds 5 --format mjpeg -o - |
                ffmpeg -f mjpeg -framerate 30 -i - -c copy film.mkv

            To watch with little delay:
              userdriver stream --format mjpeg -o - |
                ffplay -f mjpeg -fflags nobuffer -flags low_delay -framerate 30 -
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    @Option(name: [.short, .long], help: ArgumentHelp("End after this many whole frames.", valueName: "count"))
    var frames: UInt64?

    @Option(name: [.short, .long], help: ArgumentHelp("End after this time.", valueName: "seconds"))
    var seconds: Seconds?

    @OptionGroup var form: FrameOptions

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Write the frames: one after the other to a .mjpeg, .yuv or .raw file or, with -, to standard output; as a YUV4MPEG2 film to a .y4m file; or each to a file of its own, as in frame-%04d.jpg.",
            valueName: "file"),
        completion: .file())
    var output: String?

    @Option(help: ArgumentHelp("Print figures at the end, as text or json.", valueName: "form"))
    var stats: StatisticsForm?

    @Flag(name: [.short, .long], help: "Don't report what happens to the stream.")
    var quiet = false

    @Option(help: ArgumentHelp("How long the stream may take to start.", valueName: "seconds"))
    var timeout = Seconds(15)

    @Flag(help: "Within that time, also wait for the daemon and the device to appear.")
    var wait = false

    @Option(help: ArgumentHelp("End with an error if the daemon stays away for this long.", valueName: "seconds"))
    var giveUpAfter: Seconds?

    enum StatisticsForm: String, ExpressibleByArgument, CaseIterable {
        case json, text
    }

    func validate() throws {
        if frames == 0 { throw ValidationError("--frames must be 1 or more.") }
        if let output { _ = try frameFile(output) }
    }

    private func frameFile(_ path: String) throws -> FrameFile {
        let words = ["userdriver", "stream"] + [target.selector].compactMap { $0 } + daemon.words
        return try FrameFile(
            path: path, format: form.format, fps: form.fps, command: words.map(ShellText.quoted).joined(separator: " "))
    }

    func run() throws {
        let cancellation = Cancellation()
        try Interrupt.onFirst { cancellation.cancel() }
        let options = FrameStream.Options(
            openTimeout: timeout.duration, waitsForDevice: wait, giveUpAfter: giveUpAfter?.duration)
        let stream = try ChosenCamera.open(
            daemon.client, target.selector, form.request, options: options, cancellation: cancellation)
        // Only now: a stream that can't be opened leaves a file that is there as it was.
        let writer = try output.map { path in
            let form = try frameFile(path)
            if let format = stream.description?.format { try form.check(format, path: path) }
            return try FrameWriter(path: path, form: form)
        }
        var session = StreamSession(wanted: frames, quiet: quiet, writer: writer)
        let failure: (any Error)?
        var end = StreamSession.End.stopped
        do {
            end = try session.run(stream, until: seconds.map { clinux_monotonic_ns() + UInt64($0.value * 1e9) })
            failure = nil
        } catch {
            failure = error
        }
        Terminal.endProgress()
        // The figures come last on their stream, so what went wrong is said first.
        let status =
            try failure.map { failure in
                if let error = failure as? OutputError, error.isBrokenPipe { return ExitStatus.done }
                return ExitStatus.report(failure)
            } ?? session.close()
        let shortage = failure == nil ? shortage(session, end) : nil
        if let shortage, !quiet { Terminal.note("userdriver: \(shortage)") }
        try printStatistics(session.statistics)
        let isShort = session.statistics.frames < frames ?? 1
        guard status == ExitStatus.done else { throw ExitCode(status) }
        if isShort || end == .ended, failure == nil || frames != nil {
            throw ExitCode(session.wait.isAbsent ? ExitStatus.noSuchDevice : ExitStatus.failed)
        }
    }

    /// What is to be said of frames that were wanted and did not come, unless the user has ended it.
    private func shortage(_ session: StreamSession, _ end: StreamSession.End) -> String? {
        let count = session.statistics.frames
        guard count < frames ?? 1 else { return nil }
        let time: String
        switch end {
        case .stopped, .enough: return nil
        case .ended: time = "before the stream ended"
        case .deadline: time = "within \(Figure.duration(milliseconds: (seconds?.value ?? 0) * 1000))"
        }
        if count == 0 { return "no whole frame arrived \(time): \(session.wait.why)." }
        return "only \(count) of \(Figure.count(frames ?? 1, "frame")) arrived \(time)."
    }

    private func printStatistics(_ statistics: StreamStatistics) throws {
        let toError = output == "-"
        switch stats {
        case .json: if toError { Terminal.note(statistics.json) } else { try Terminal.print(statistics.json) }
        case .text: if toError { Terminal.note(statistics.sentence) } else { try Terminal.print(statistics.sentence) }
        case nil:
            if output == nil {
                try Terminal.print(statistics.sentence)
            } else if Terminal.isTerminal(STDERR_FILENO), !quiet {
                Terminal.note(statistics.sentence)
            }
        }
    }
}

extension StreamStatistics {
    /// The figures for people.
    var sentence: String {
        guard frames > 0 else { return "no frames" }
        return "\(Figure.count(frames, "frame")), \(Figure.decimal(fps, places: 2)) a second, \(lost == 0 ? "none" : "\(lost)") lost, "
            + "\(torn == 0 ? "none" : "\(torn)") torn, \(Figure.count(restarts, "restart")), "
            + "longest gap \(Figure.duration(milliseconds: longestGapMilliseconds)), \(Figure.bytes(Double(bytes)))"
    }
}
