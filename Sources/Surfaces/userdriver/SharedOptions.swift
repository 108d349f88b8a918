// Options that several verbs share.

import ArgumentParser
import UserDriverClient
import Wire

/// Which daemon a verb talks to.
struct DaemonOptions: ParsableArguments {
    @Option(
        name: .customLong("runtime-dir"),
        help: ArgumentHelp(
            "The folder of the daemon to talk to.",
            discussion:
                "Left out: $USERDRIVER_RUNTIME_DIR, else the first of $XDG_RUNTIME_DIR/userdriver, /tmp/userdriver-UID and /run/userdriver that has a daemon's socket.",
            valueName: "folder"),
        completion: .directory)
    var runtimeDirectory: String?

    /// The same option as words of a command line.
    var words: [String] { runtimeDirectory.map { ["--runtime-dir", $0] } ?? [] }

    var client: UserDriverClient { UserDriverClient(runtimeDirectory: RuntimeDirectory.client(option: runtimeDirectory)) }
}

/// Facts as JSON, for scripts.
struct OutputOptions: ParsableArguments {
    @Flag(name: .long, help: "Print JSON: on one line, or indented on a terminal.")
    var json = false

    func printJSON(_ value: some Encodable) throws {
        let bytes = try JSON.encode(value, pretty: Terminal.isTerminal(1))
        try Terminal.print(PlainText.escaped(String(decoding: bytes, as: UTF8.self)), styled: true)
    }
}

/// A device by any of its names.
struct DeviceSelection<Otherwise: DefaultSelection>: ParsableArguments {
    @Argument(
        help: ArgumentHelp("An id, vid:pid, bus path or part of the name. Left out: \(Otherwise.words).", valueName: "device"))
    var device: String?

    /// The same as an option, as verbs take it whose first words mean something else.
    @Option(name: [.customShort("d"), .customLong("device")], help: .hidden)
    var deviceOption: String?

    var selector: String? { device ?? deviceOption }

    func validate() throws {
        // An empty name is a variable that was not set, and not one that was left out.
        for name in [device, deviceOption].compactMap(\.self) where name.allSatisfy(\.isWhitespace) {
            throw ValidationError("The device's name is empty.")
        }
        if let device, let deviceOption, device != deviceOption {
            throw ValidationError("Two devices are named, '\(device)' and '\(deviceOption)': name one.")
        }
    }
}

/// What a verb goes by where no device is named, in the words of its help.
protocol DefaultSelection { static var words: String { get } }
enum OnlyDevice: DefaultSelection { static let words = "the only one" }
enum AllDevices: DefaultSelection { static let words = "all" }

typealias DeviceArgument = DeviceSelection<OnlyDevice>
typealias DevicesArgument = DeviceSelection<AllDevices>

/// Width and height, typed `640x480`.
struct PictureSize: ExpressibleByArgument, Hashable, CustomStringConvertible {
    var width: Int
    var height: Int

    init?(argument: String) {
        let parts = argument.lowercased().split(whereSeparator: { $0 == "x" || $0 == "×" })
        guard parts.count == 2, let width = Int(parts[0]), let height = Int(parts[1]), (1...65_536).contains(width),
            (1...65_536).contains(height)
        else { return nil }
        self.width = width
        self.height = height
    }
    var description: String { "\(width)x\(height)" }
}

/// A time in seconds, typed `10`, `2.5` or `500ms`.
struct Seconds: ExpressibleByArgument, Hashable, CustomStringConvertible {
    var value: Double

    init(_ value: Double) { self.value = value }
    init?(argument: String) {
        let (text, scale): (Substring, Double) =
            argument.hasSuffix("ms")
            ? (argument.dropLast(2), 0.001) : argument.hasSuffix("s") ? (argument.dropLast(), 1) : (argument[...], 1)
        guard let number = Double(text), number.isFinite, number >= 0, number <= 1e9 else { return nil }
        value = number * scale
    }
    var duration: Duration { .seconds(value) }
    var description: String { Figure.decimal(value, places: 3) }
}

/// The form in which frames are wanted.
struct FrameOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The format of the frames: mjpeg, yuy2, nv12 or another that the camera offers.", valueName: "format"))
    var format: String?

    @Option(help: ArgumentHelp("The size of the frames, as in 640x480.", valueName: "WxH"))
    var size: PictureSize?

    @Option(help: ArgumentHelp("Frames per second.", valueName: "rate"))
    var fps: Double?

    func validate() throws {
        if let fps, !(fps.isFinite && fps > 0 && fps <= 10_000) { throw ValidationError("--fps must be more than 0 and at most 10000.") }
    }

    var request: CameraRequest {
        CameraRequest(format: format?.lowercased(), width: size?.width, height: size?.height, fps: fps)
    }
}
