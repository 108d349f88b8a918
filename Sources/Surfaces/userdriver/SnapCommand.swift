// `userdriver snap`: one picture.

import ArgumentParser
import CLinux
import Glibc
import Pictures
import UVC
import UserDriverClient

struct SnapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snap",
        abstract: "Take a picture, or a series of them.",
        discussion: """
            A JPEG frame is written as the camera sent it, with the standard Huffman tables added if it left them out; anything else is \
            converted. Damaged frames are skipped; a JPEG without its end is completed. The file appears whole or not at all.

            --burst takes consecutive frames, --interval one at a time until there are --burst of them, or until Ctrl-C. The \
            camera streams in between, so that its exposure stays settled. A series continues when the driver dies or the device \
            is unplugged; pictures whose time has passed are left out.

            Example:
              userdriver snap -o photo.jpg
              userdriver snap -o burst-%02d.jpg --burst 10
              userdriver snap -o day-%04d.jpg --interval 500ms --burst 3
              userdriver snap 1209:0001 --size 1280x720 -o photo.png
              userdriver snap -o - | display -
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("The file to write, ending in .jpg, .png or .ppm, or - for standard output.", valueName: "file"),
        completion: .file(extensions: ["jpg", "jpeg", "png", "ppm"]))
    var output: String

    @Option(help: ArgumentHelp("Take this many pictures, numbered in the file's name as in photo-%03d.jpg.", valueName: "count"))
    var burst: Int?

    @Option(help: ArgumentHelp("Take a picture at this interval, as in 500ms, 10s or 1h.", valueName: "time"))
    var interval: RecordingTime?

    @Option(help: ArgumentHelp("The kind of picture, if the file's name does not say it: jpg, png or ppm.", valueName: "kind"))
    var type: String?

    @OptionGroup var form: FrameOptions

    @Option(help: ArgumentHelp("JPEG quality from 1 to 100, if the camera does not send JPEG itself.", valueName: "quality"))
    var quality = 90

    @Option(help: ArgumentHelp("Good frames to skip first, while the camera adjusts its exposure.", valueName: "count"))
    var skip = 0

    @Option(help: ArgumentHelp("How long to wait for the picture.", valueName: "seconds"))
    var timeout = Seconds(30)

    @Flag(help: "Within that time, also wait for the daemon and the device to appear.")
    var wait = false

    func validate() throws {
        if !(1...100).contains(quality) { throw ValidationError("--quality must be from 1 to 100.") }
        if skip < 0 { throw ValidationError("--skip must be 0 or more.") }
        _ = try kind()
        if let burst, burst < 1 { throw ValidationError("--burst must be 1 or more.") }
        if let interval, interval.seconds <= 0 { throw ValidationError("--interval must be more than 0.") }
        if isSeries { _ = try PictureNames(path: output) }
    }

    private var isSeries: Bool { burst != nil || interval != nil }

    /// What is to be written.
    func kind() throws -> PictureFileFormat {
        guard !output.isEmpty else { throw ValidationError("-o needs the name of a file, or - for standard output.") }
        let name = type.map { "." + $0 } ?? (output == "-" ? ".jpg" : output)
        if let said = PictureFileFormat(path: output), let wanted = PictureFileFormat(path: name), said != wanted {
            throw ValidationError("'\(output)' would hold a different kind of picture than its name says: leave --type out, or rename it.")
        }
        switch PictureFileFormat(path: name) {
        case .jpeg: return .jpeg(quality: quality)
        case let kind?: return kind
        case nil:
            throw ValidationError(
                type.map { "'\($0)' is not a kind of picture that can be written: use jpg, png or ppm." }
                    ?? "'\(output)' does not say which kind of picture to write: end it in .jpg, .png or .ppm, or add --type.")
        }
    }

    func run() throws {
        let kind = try kind()
        if output == "-", Terminal.isTerminal(STDOUT_FILENO) {
            throw CommandFailure(
                "Standard output is a terminal, which can't show a picture: pipe it into a program, or write a file with -o FILE.",
                status: ExitStatus.usage)
        }
        let options = FrameStream.Options(openTimeout: timeout.duration, waitsForDevice: wait)
        if isSeries { return try takeSeries(as: kind, options) }
        let deadline = clinux_monotonic_ns() + UInt64(timeout.value * 1e9)
        let stream = try ChosenCamera.open(daemon.client, target.selector, form.request, options: options)
        var toSkip = skip
        var judge = FrameJudge()
        var wait = PictureWait(now: clinux_monotonic_ns())
        var spoiled: PictureError?
        while true {
            let now = clinux_monotonic_ns()
            guard now < deadline else { break }
            if let line = wait.line(now: now) { Terminal.note(line) }
            let next = min(deadline, wait.nextLine)
            switch try stream.next(timeout: .nanoseconds(Int64(clamping: next > now ? next - now : 0))) {
            case .timedOut: continue
            case .ended(let why): throw CommandFailure("The stream has ended" + (why.map { ": \($0)" } ?? "."))
            case .event(.frame(let frame)):
                let (verdict, bytes) = judge.judge(frame, copying: true)
                guard case .whole = verdict, let bytes else {
                    wait.tookDamaged(frame.damage)
                    continue
                }
                wait.tookWhole(now: clinux_monotonic_ns())
                guard toSkip == 0 else {
                    toSkip -= 1
                    continue
                }
                do {
                    let file = try PictureOfFrame.encode(bytes, stream: frame.stream, as: kind)
                    stream.stop()
                    return try write(file)
                } catch let error as PictureError where error.code == .malformed {
                    spoiled = error
                }
            case .event(let event): wait.took(event, now: clinux_monotonic_ns())
            }
        }
        var reason = wait.why
        if !wait.isAbsent {
            if let spoiled {
                reason = "the last frame was not a picture (\(spoiled.description))"
            } else if toSkip < skip {
                let came = "only \(skip - toSkip) of the \(Figure.count(skip, "frame")) to skip arrived"
                reason = came + "; skip fewer, or wait longer with --timeout"
            }
        }
        throw CommandFailure(
            "No picture within \(Figure.duration(milliseconds: timeout.value * 1000)): \(reason).",
            status: wait.isAbsent ? ExitStatus.noSuchDevice : ExitStatus.failed)
    }

    private func takeSeries(as kind: PictureFileFormat, _ options: FrameStream.Options) throws {
        let names = try PictureNames(path: output)
        let cancellation = Cancellation()
        try Interrupt.onFirst { cancellation.cancel() }
        let stream = try ChosenCamera.open(
            daemon.client, target.selector, form.request, options: options, cancellation: cancellation)
        var series = PictureSeries(
            names: names, kind: kind, count: burst, interval: interval?.nanoseconds, skip: skip, patience: UInt64(timeout.value * 1e9))
        defer { stream.stop() }
        try series.run(stream)
    }

    private func write(_ bytes: [UInt8]) throws {
        guard output == "-" else { return try WholeFile.write(bytes, to: output) }
        let failed = bytes.withUnsafeBytes { Terminal.writeAll($0, to: STDOUT_FILENO) }
        guard failed == 0 else { throw OutputError(number: failed) }
    }
}

enum PictureOfFrame {
    /// A frame as a picture's file.
    static func encode(_ bytes: [UInt8], stream: StreamDescription?, as kind: PictureFileFormat) throws -> [UInt8] {
        guard let stream else { throw CommandFailure("The driver does not say what its frames are.") }
        if MotionJPEG.isFormat(stream.format) {
            let complete = MotionJPEG.withHuffmanTables(bytes)
            // Decoded in any case: what is written is a picture, not just bytes that begin like one.
            let picture = try Picture(jpeg: complete)
            if case .jpeg = kind { return complete }
            return try picture.encoded(as: kind)
        }
        guard let format = RawFormat(rawValue: stream.format) else {
            throw CommandFailure(
                "Frames of the format \(stream.format) can't be turned into a picture here; ask for another with --format (userdriver inspect lists them)."
            )
        }
        let picture = try bytes.withUnsafeBytes { bytes in
            try Picture(format: format, width: stream.width, height: stream.height, bytes: bytes)
        }
        return try picture.encoded(as: kind)
    }
}
