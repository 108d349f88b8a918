// Arguments, the statuses that mistakes end with, and the help of every verb.

import ArgumentParser
import Glibc
import Testing
import UserDriverClient

@testable import UserDriverCLI

@Suite struct ArgumentTests {
    @Test func streamUnderstandsWhatScriptsSay() throws {
        let command = try #require(
            try UserDriverCommand.parseAsRoot([
                "stream", "cam", "--frames", "300", "--format", "MJPEG", "--size", "640x480", "--fps", "29.97", "-o", "-", "--stats",
                "json",
                "--runtime-dir", "/x",
            ]) as? StreamCommand)
        #expect(command.target.selector == "cam" && command.frames == 300 && command.output == "-" && command.stats == .json)
        #expect(command.form.request == CameraRequest(format: "mjpeg", width: 640, height: 480, fps: 29.97))
        #expect(command.daemon.client.runtimeDirectory.path == "/x")
    }

    @Test func negativeNumbersAreValues() throws {
        let command = try #require(
            try UserDriverCommand.parseAsRoot(["controls", "set", "hue", "-10", "-d", "cam"]) as? ControlsSetCommand)
        #expect(command.settings == ["hue", "-10"] && command.camera.device == "cam")
    }

    @Test func crashesListIsTheDefault() throws {
        #expect(try UserDriverCommand.parseAsRoot(["crashes"]) is CrashesListCommand)
        #expect(try UserDriverCommand.parseAsRoot(["crashes", "show", "3"]) is CrashesShowCommand)
        #expect(try UserDriverCommand.parseAsRoot(["controls"]) is ControlsListCommand)
        #expect(try UserDriverCommand.parseAsRoot(["video"]) is VideoListCommand)
    }

    @Test(arguments: [
        ["bogus"], ["snap"], ["snap", "-o", "x.bmp"], ["stream", "--frames", "0"], ["stream", "--size", "big"],
        ["stream", "--stats", "xml"],
        ["attach", "x"], ["attach"], ["up", "--emulate", "toaster"], ["emulate", "webcam", "--fault", "nonsense"],
        ["controls", "set", "x"],
        ["emulate", "scanner", "--fault", "jam"], ["emulate", "scanner", "--pairs", "5"], ["emulate", "scanner", "--pace", "slow"],
        ["up", "--emulate", "scanner,"], ["up", "--emulate", "webcam,scanner", "--sheets", "-1"],
        ["emulate", "webcam", "--count", "0"], ["stream", "--fps", "0"], ["list", "--nonsense"],
        ["up", "--drivers", "/nowhere"], ["up", "--allowed-signers", "/nowhere"], ["driver", "new"],
        ["video", "on", "--nodes", "0"], ["video", "on", "--nodes", "5"],
        ["setup", "--take", "some"],
    ]) func mistakesOfUsageEndWith2(_ arguments: [String]) {
        let error = #expect(throws: (any Error).self) { _ = try UserDriverCommand.parseAsRoot(arguments) }
        #expect(error.map { ExitStatus.status(for: $0) } == 2)
    }

    @Test func helpAndVersionEndWith0() {
        for arguments in [["--help"], ["--version"], ["help", "stream"], ["stream", "-h"]] {
            let error = #expect(throws: (any Error).self) {
                var command = try UserDriverCommand.parseAsRoot(arguments)
                try command.run()
            }
            #expect(error.map { ExitStatus.status(for: $0) } == 0)
        }
    }

    @Test func errorsHaveTheirStatuses() {
        #expect(ExitStatus.status(for: ClientError(.noSuchDevice, "")) == 3)
        #expect(ExitStatus.status(for: ClientError(.deviceUnavailable, "")) == 1)
        #expect(ExitStatus.status(for: ClientError(.notPermitted, "")) == 4)
        #expect(ExitStatus.status(for: ClientError(.ambiguousDevice, "")) == 2)
        #expect(ExitStatus.status(for: ClientError(.daemonNotRunning, "")) == 1)
        #expect(ExitStatus.status(for: CommandFailure("")) == 1)
        #expect(ExitStatus.status(for: ExitCode(7)) == 7)
    }

    /// Every verb with the words by which it is called.
    static let verbs: [(words: [String], command: any ParsableCommand.Type)] = {
        func all(_ command: any ParsableCommand.Type, _ words: [String]) -> [(words: [String], command: any ParsableCommand.Type)] {
            [(words, command)] + command.configuration.subcommands.flatMap { all($0, words + [$0.configuration.commandName ?? ""]) }
        }
        return all(UserDriverCommand.self, [])
    }()

    @Test(arguments: verbs.map(\.words)) func everyVerbHasAnExample(_ words: [String]) throws {
        let command = try #require(Self.verbs.first { $0.words == words }?.command)
        #expect(!command.configuration.abstract.isEmpty)
        #expect(command.configuration.discussion.contains("  " + (["userdriver"] + words).joined(separator: " ")))
    }

    /// Help is shown in 80 columns, and what is to be copied from it may not break.
    @Test(arguments: verbs.map(\.words)) func examplesFitIn80Columns(_ words: [String]) throws {
        let command = try #require(Self.verbs.first { $0.words == words }?.command)
        for line in command.configuration.discussion.split(separator: "\n") where line.hasPrefix("  ") {
            #expect(line.count <= 80, "\(line)")
        }
    }

    /// `UPDATE_SNAPSHOTS=1 swift test` writes them anew.
    @Test(arguments: verbs.map(\.words)) func helpIsAsItWas(_ words: [String]) throws {
        let help = UserDriverCommand.helpMessage(
            for: try #require(Self.verbs.first { $0.words == words }?.command), columns: 100)
        try Snapshot.expect(help, "help-" + (["userdriver"] + words).joined(separator: "-"))
    }
}
