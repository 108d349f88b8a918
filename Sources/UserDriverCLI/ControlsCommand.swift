// `userdriver controls`: what can be set on a camera.

import ArgumentParser
import UserDriverClient

struct ControlsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "controls",
        abstract: "Show and set a camera's controls: brightness, exposure, focus…",
        discussion: """
            Example:
              userdriver controls list
              userdriver controls get brightness
              userdriver controls set brightness 120
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
        try show(try await camera.controls())
    }

    private func show(_ controls: [CameraControl]) throws {
        if output.json { return try output.printJSON(ControlList(controls: controls)) }
        if controls.isEmpty { return Terminal.note("The camera has no controls.") }
        try Terminal.print(ControlText.table(controls))
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
              userdriver controls set brightness 120
              userdriver controls set hue=-10 power_line_frequency="50 Hz"
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
        let known = try await camera.controls()
        // All are looked at before the first is set: a mistake in the last leaves everything as it was.
        let wanted = try ControlText.changes(settings, of: known)
        var changed: [CameraControl] = []
        for change in wanted { changed.append(try await camera.setControl(change.name, to: change.value)) }
        try show(changed)
    }

    private func show(_ changed: [CameraControl]) throws {
        if output.json { return try output.printJSON(ControlList(controls: changed)) }
        for control in changed { try Terminal.print("\(control.name) = \(control.value)") }
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
        try show(try await camera.resetControls(name))
    }

    private func show(_ controls: [CameraControl]) throws {
        if output.json { return try output.printJSON(ControlList(controls: controls)) }
        for control in controls { try Terminal.print("\(control.name) = \(control.value)") }
    }
}
