// `userdriver controls`: what can be set on a camera.

import ArgumentParser
import Glibc
import UserDriverClient

struct ControlsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "controls",
        abstract: "Show and set a camera's controls: brightness, exposure, focus…",
        discussion: """
            Example:
              userdriver controls list
              userdriver controls get brightness
              userdriver controls set brightness 40
              userdriver controls set brightness=50% contrast=default
              userdriver controls reset
            """,
        subcommands: [ControlsListCommand.self, ControlsGetCommand.self, ControlsSetCommand.self, ControlsResetCommand.self],
        defaultSubcommand: ControlsListCommand.self)
}

/// The camera whose controls are meant.
struct CameraOption: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: ArgumentHelp("An id, vid:pid, bus path or part of the name. Left out: the only camera.", valueName: "device"))
    var device: String?
}

struct ControlList: Encodable {
    var controls: [CameraControl]
}

struct ControlsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List a camera's controls with their ranges (the default).",
        discussion: """
            Example:
              userdriver controls list
              userdriver controls list 1209:0001
            """)
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws {
        let camera = daemon.client.camera(target.selector)
        // One after the other, so that a slow control keeps nobody waiting for those before it.
        let names = try await camera.controlNames().map(\.name)
        var listing = ControlListing(names: names, isShown: !output.json)
        for name in names { try listing.add(try await camera.controls([name]).filter { $0.problem != "refused" }) }
        if output.json { return try output.printJSON(ControlList(controls: listing.controls)) }
        try listing.show()
        if listing.controls.isEmpty { Terminal.note("The camera has no controls.") }
    }
}

/// A table that is printed whole where it is there at once, and else row by row.
private struct ControlListing {
    private static let patience = Duration.milliseconds(500)

    let names: [String]
    let isShown: Bool
    private(set) var controls: [CameraControl] = []
    private var shown = 0
    private let begun = ContinuousClock.now

    init(names: [String], isShown: Bool) {
        self.names = names
        self.isShown = isShown
    }

    mutating func add(_ more: [CameraControl]) throws {
        controls += more
        if isShown, ContinuousClock.now - begun > Self.patience { try show() }
    }

    /// Prints the rows that are not printed yet.
    mutating func show() throws {
        guard controls.count > shown else { return }
        let awaited = names.filter { name in !controls.contains { $0.name == name } }
        let lines = ControlText.table(controls, awaiting: awaited).lines(
            colours: Terminal.showsColours(STDOUT_FILENO), width: Terminal.width(STDOUT_FILENO), utf8: Terminal.isUTF8)
        if shown == 0, let heading = lines.first { try Terminal.print(heading, styled: true) }
        for line in lines.dropFirst(1 + shown).prefix(controls.count - shown) { try Terminal.print(line, styled: true) }
        shown = controls.count
    }
}

struct ControlsGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Print a control's value.",
        discussion: """
            Example:
              userdriver controls get brightness
            """)
    @Argument(help: "The control's name in `userdriver controls list`.") var name: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var camera: CameraOption

    func run() async throws {
        let camera = daemon.client.camera(camera.device)
        try show(try await camera.control(name))
    }

    private func show(_ control: CameraControl) throws {
        if output.json { return try output.printJSON(control) }
        guard control.readable else { throw CommandFailure("\(control.name) can only be set: the camera does not say its value.") }
        try Terminal.print("\(control.value)")
    }
}

struct ControlsSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set a control, or several.",
        usage: "userdriver controls set NAME VALUE [OPTIONS]\n       userdriver controls set NAME=VALUE... [OPTIONS]",
        discussion: """
            VALUE is a number (as the control counts, decimal or 0x…), a share of the range (50%), min, max or default; for a switch on or off; \
            for a menu the name of an entry.

            Example:
              userdriver controls set brightness 40
              userdriver controls set hue=-1000 power_line_frequency="50 Hz"
            """)
    @Argument(
        parsing: .allUnrecognized,  // a negative number looks like an option
        help: ArgumentHelp("NAME VALUE, or NAME=VALUE as often as you like.", valueName: "setting"))
    var settings: [String]
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var camera: CameraOption

    func validate() throws { _ = try ControlText.settings(settings) }

    func run() async throws {
        let camera = daemon.client.camera(camera.device)
        let settings = try ControlText.settings(settings)
        // All are looked at before the first is set: a mistake in the last leaves everything as it was.
        var known: [String: CameraControl] = [:]
        for (name, _) in settings where known[name] == nil { known[name] = try await camera.control(name) }
        var changed: [CameraControl] = []
        do {
            for change in try ControlText.changes(settings, of: known) { changed.append(try await set(change, of: camera)) }
        } catch {
            // What was set before stays so, and is said.
            if output.json, !changed.isEmpty { try output.printJSON(ControlList(controls: changed)) }
            throw error
        }
        if output.json { try output.printJSON(ControlList(controls: changed)) }
    }

    private func set(_ change: ControlText.Change, of camera: Camera) async throws -> CameraControl {
        let control = try await camera.setControl(change.name, to: change.value)
        // Some cameras take a value for what an automatic control drives, and go on as before.
        if control.automatic, control.readable, control.value != change.value {
            let remedy = control.remedy ?? "the camera adjusts it by itself now"
            throw CommandFailure("\(control.name) is \(control.value) and not \(change.value): \(remedy).")
        }
        if !output.json { try Terminal.print("\(control.name) = \(control.value)") }
        return control
    }
}

struct ControlsResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Put a control, or all that can be set, back to the device's default.",
        discussion: """
            Example:
              userdriver controls reset
              userdriver controls reset brightness
            """)
    @Argument(help: "The control's name. Left out: all.") var name: String?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var camera: CameraOption

    func run() async throws {
        let camera = daemon.client.camera(camera.device)
        if let name {
            let control = try await camera.resetControls(name)
            if output.json { return try output.printJSON(CameraControlReset(controls: control)) }
            for control in control { try Terminal.print("\(control.name) = \(control.value)") }
            return
        }
        var result = CameraControlReset()
        var names = try await camera.controlNames().map(\.name)
        while !names.isEmpty {
            let part = try await camera.resetControls(names)
            // What there was no time for comes in the next call.
            let left = part.failed.filter { $0.reason == "unread" }.map(\.name)
            let failed = part.failed.filter { left.count == names.count || $0.reason != "unread" }
            if !output.json { try show(CameraControlReset(controls: part.controls, failed: failed)) }
            result.controls += part.controls
            result.failed += failed
            names = left.count < names.count ? left : []
        }
        if output.json { try output.printJSON(result) }
        // What is in automatic hands by default is as it is by default.
        let failures = result.failed.filter { $0.reason != "held" && $0.reason != "readOnly" }
        guard failures.isEmpty else {
            throw CommandFailure(
                "\(failures.map(\.name).joined(separator: ", ")) could not be reset; \(Figure.count(result.controls.count, "control")) could."
            )
        }
    }

    private func show(_ result: CameraControlReset) throws {
        for control in result.controls { try Terminal.print("\(control.name) = \(control.value)") }
        for failure in result.failed where failure.reason != "readOnly" {
            Terminal.note("\(failure.name) is not reset: \(failure.message)")
        }
    }
}
