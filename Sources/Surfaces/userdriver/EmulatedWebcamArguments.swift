// The emulated webcam's options, for `emulate webcam` and for `up --emulate webcam`.

import ArgumentParser
import EmulatedWebcam
import USBEmulation

struct EmulatedWebcamArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The camera's serial number; more cameras count up from it.", valueName: "serial"))
    var serial: String?

    @Flag(help: "Send the stream over a bulk endpoint instead of an isochronous one.")
    var bulk = false

    @Flag(
        name: .customLong("h264"), help: "Also offer H.264 from a second streaming interface. The frames are noise that no decoder accepts."
    )
    var h264 = false

    @Flag(help: "Have a button for still images; SIGUSR1 presses it.")
    var button = false

    @Flag(help: "Have a shutter before the lens, in place of a privacy control that can be set; SIGUSR2 moves it.")
    var shutter = false

    @Option(
        help: ArgumentHelp("Milliseconds from \"start streaming\" to the first payload, as with a real camera.", valueName: "ms"))
    var startupMs = 300

    @Option(
        help: ArgumentHelp("Show this picture (JPEG, PNG, PPM) or film (MJPEG, Y4M) instead of the scene.", valueName: "file"),
        completion: .file())
    var source: String?

    @Option(
        help: ArgumentHelp(
            "A fault to inject, as in error-bit@100 or lost-eof@50:every; list prints them all. Repeatable, or separated by commas.",
            valueName: "fault"))
    var fault: [String] = []

    @Option(
        help: ArgumentHelp(
            "What happens to isochronous slots that nobody asked for in time: drop, as on a bus, or hold.",
            valueName: "what"))
    var late = Lateness.drop

    @Flag(help: "Leave the standard Huffman tables out of JPEGs, as many cameras do.")
    var withoutHuffman = false

    @Flag(help: "Emulate a laptop's camera: an infrared (grey) camera and a colour camera in one device.")
    var infrared = false

    enum Lateness: String, ExpressibleByArgument, CaseIterable {
        case drop, hold
    }

    func validate() throws {
        guard (0...600_000).contains(startupMs) else { throw ValidationError("--startup-ms must be from 0 to 600000.") }
        guard !infrared || !hasHands else { throw ValidationError("--infrared can't be combined with --button or --shutter.") }
        if fault == ["list"] { throw CleanExit.message(FaultPlan.documentation) }
        _ = try plan()
    }

    /// Somebody may press or move something.
    var hasHands: Bool { button || shutter }

    func plan() throws -> FaultPlan {
        do {
            return try FaultPlan(parsing: fault.joined(separator: ","))
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// The options of camera `index`, from 0.
    func options(_ index: Int) throws -> EmulatedWebcamOptions {
        var options = EmulatedWebcamOptions()
        options.variant = bulk ? .bulk : .isochronous
        options.offersH264 = h264
        options.hasButton = button
        options.hasShutter = shutter
        options.serial = Self.serial(serial ?? options.serial, index)
        options.startupMilliseconds = startupMs
        options.source = source
        options.faults = try plan()
        options.omitsHuffmanTables = withoutHuffman
        return options
    }

    /// Camera `index`, from 0. `log` is called from any thread.
    func device(_ index: Int, log: (@Sendable (String) -> Void)?) throws -> any EmulatedDevice {
        let options = try options(index)
        return infrared ? try TwoCameras(options: options, log: log) : try EmulatedWebcam(options: options, log: log)
    }

    /// `EMU0001`, `EMU0002`…: digits at the end count up; where there are none, a number is put behind.
    static func serial(_ first: String, _ index: Int) -> String {
        guard index > 0 else { return first }
        let digits = String(first.reversed().prefix { $0.isASCII && $0.isNumber }.reversed())
        guard !digits.isEmpty, let number = Int(digits), number < Int.max - index else { return "\(first)-\(index + 1)" }
        let next = String(number + index)
        return first.dropLast(digits.count) + String(repeating: "0", count: max(0, digits.count - next.count)) + next
    }

    /// The same options as words of a command line.
    var words: [String] {
        var words = ["--startup-ms", "\(startupMs)", "--late", late.rawValue]
        if let serial { words += ["--serial=\(serial)"] }
        if let source { words += ["--source=\(source)"] }
        if !fault.isEmpty { words += ["--fault=\(fault.joined(separator: ","))"] }
        if bulk { words.append("--bulk") }
        if h264 { words.append("--h264") }
        if button { words.append("--button") }
        if shutter { words.append("--shutter") }
        if infrared { words.append("--infrared") }
        if withoutHuffman { words.append("--without-huffman") }
        return words
    }
}
