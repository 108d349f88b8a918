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
        let camera = try await ChosenCamera.camera(daemon.client, target.selector)
        // One after the other, so that a slow control keeps nobody waiting for those before it.
        var listing = ControlListing(names: try await camera.names(), isShown: !output.json)
        for name in listing.names { try listing.add(try await camera.shown(name)) }
        try end(&listing)
    }

    private func end(_ listing: inout ControlListing) throws {
        if output.json { return try output.printJSON(ControlList(controls: listing.controls)) }
        try listing.show()
        if listing.controls.isEmpty { Terminal.note("The camera has no controls.") }
    }
}

/// The calls that commands make in loops, each a function of its own: the compiler (6.3.1) crashes on an asynchronous loop in which errors of a
/// type are thrown on as any error.
extension Camera {
    @inline(never)
    fileprivate func names() async throws -> [String] {
        let found = try await controlNames()
        return found.map(\.name)
    }

    /// A control, unless the camera refuses to tell of it.
    @inline(never)
    fileprivate func shown(_ name: String) async throws -> [CameraControl] {
        let found = try await controls([name])
        return found.filter { $0.problem != "refused" }
    }

    @inline(never)
    fileprivate func one(_ name: String) async throws -> CameraControl { try await control(name) }

    @inline(never)
    fileprivate func reset(_ name: String) async throws -> CameraControlReset {
        let controls = try await resetControls(name)
        return CameraControlReset(controls: controls)
    }

    @inline(never)
    fileprivate func reset(_ names: [String]) async throws -> CameraControlReset { try await resetControls(names) }
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
        let camera = try await ChosenCamera.camera(daemon.client, camera.device)
        try show(try await camera.control(name))
    }

    private func show(_ control: CameraControl) throws {
        if output.json { return try output.printJSON(control) }
        guard control.readable else { throw CommandFailure("\(control.name) can only be set: the camera does not report its value.") }
        try Terminal.print("\(control.value)")
    }
}

struct ControlsSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set a control, or several.",
        usage: "userdriver controls set NAME VALUE [OPTIONS]\n       userdriver controls set NAME=VALUE... [OPTIONS]",
        discussion: """
            VALUE is a number in the control's own units (decimal or 0x…), a percentage of its range (50%), min, max or default. A \
            switch also takes on or off, a menu the name of an entry.

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
        let camera = try await ChosenCamera.camera(daemon.client, camera.device)
        let settings = try ControlText.settings(settings)
        // All are looked at before the first is set: a mistake in the last leaves everything as it was.
        let changes = try ControlText.changes(settings, of: try await controls(of: camera, in: settings))
        var changed: [CameraControl] = []
        var failure: (any Error)?
        for change in changes where failure == nil {
            do { changed.append(try await set(change, of: camera)) } catch { failure = error }
        }
        try end(changed, failure)
    }

    @inline(never)
    private func controls(of camera: Camera, in settings: [(name: String, value: String)]) async throws -> [String: CameraControl] {
        var known: [String: CameraControl] = [:]
        for (name, _) in settings where known[name] == nil { known[name] = try await camera.one(name) }
        return known
    }

    /// What was set before something failed stays so, and is said.
    @inline(never)
    private func end(_ changed: [CameraControl], _ failure: (any Error)?) throws {
        if output.json, failure == nil || !changed.isEmpty { try output.printJSON(ControlList(controls: changed)) }
        if let failure { throw failure }
    }

    @inline(never)
    private func set(_ change: ControlText.Change, of camera: Camera) async throws -> CameraControl {
        let control = try await camera.setControl(change.name, to: change.value)
        // Some cameras take a value for what an automatic control drives, and go on as before.
        if control.automatic, control.readable, control.value != change.value {
            let remedy = control.remedy ?? "the camera now adjusts it by itself"
            throw CommandFailure("\(control.name) is \(control.value) and not \(change.value): \(remedy).")
        }
        if !output.json { try Terminal.print("\(control.name) = \(control.value)") }
        return control
    }
}

struct ControlsResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Reset a control, or all of them, to the device's default.",
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
        let camera = try await ChosenCamera.camera(daemon.client, camera.device)
        if let name {
            let reset = try await camera.reset(name)
            return try end(reset, isAll: false)
        }
        try end(try await resetAll(of: camera), isAll: true)
    }

    @inline(never)
    private func resetAll(of camera: Camera) async throws -> CameraControlReset {
        var result = CameraControlReset()
        var names = try await camera.names()
        while !names.isEmpty {
            let part = try await camera.reset(names)
            // What there was no time for comes in the next call.
            let left = part.failed.filter { $0.reason == "unread" }.map(\.name)
            let failed = part.failed.filter { left.count == names.count || $0.reason != "unread" }
            try show(CameraControlReset(controls: part.controls, failed: failed))
            result.controls += part.controls
            result.failed += failed
            names = left.count < names.count ? left : []
        }
        return result
    }

    @inline(never)
    private func end(_ result: CameraControlReset, isAll: Bool) throws {
        if output.json { try output.printJSON(result) }
        guard isAll else { return try show(result) }
        // What is in automatic hands by default is as it is by default.
        let failures = result.failed.filter { $0.reason != "held" && $0.reason != "readOnly" }
        guard failures.isEmpty else {
            throw CommandFailure(
                "\(failures.map(\.name).joined(separator: ", ")) could not be reset; \(Figure.count(result.controls.count, "control")) could."
            )
        }
    }

    @inline(never)
    private func show(_ result: CameraControlReset) throws {
        guard !output.json else { return }
        for control in result.controls { try Terminal.print("\(control.name) = \(control.value)") }
        for failure in result.failed where failure.reason != "readOnly" {
            Terminal.note("\(failure.name) was not reset: \(failure.message)")
        }
    }
}
