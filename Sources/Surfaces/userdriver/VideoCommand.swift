// `userdriver video`: which cameras are a /dev/videoN of the kernel's, and which should be.

import ArgumentParser
import UserDriverClient
import VideoNode
import Wire

struct VideoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "video",
        abstract: "Show cameras to every program as /dev/videoN.",
        discussion: """
            The service userdriver-video gives the kernel a virtual camera for each one that UserDriver drives, so that browsers, \
            OBS and everything else use it like any other camera. It keeps working when the camera's driver dies or the daemon \
            restarts. A node serves one program at a time; a camera may have several nodes.

            Needs the kernel module vhci_hcd. Without it, `userdriver v4l2` shows cameras to one program.

            Example:
              userdriver video
              userdriver video off 1209:0001
              userdriver video on 1209:0001 --nodes 2
            """,
        subcommands: [VideoListCommand.self, VideoOnCommand.self, VideoOffCommand.self], defaultSubcommand: VideoListCommand.self)
}

struct VideoListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List cameras with their /dev/videoN.",
        discussion: """
            Example:
              userdriver video list
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    /// One camera in `--json`.
    struct Camera: Encodable {
        var device: String
        var name: String
        /// How many it is to have.
        var wanted: Int
        /// Those that are there.
        var nodes: [String]
    }

    struct Report: Encodable {
        /// Whether userdriver-video runs.
        var running: Bool
        var cameras: [Camera]
    }

    func run() async throws {
        let client = daemon.client
        try show(try await client.devices())
    }

    private func show(_ all: [DeviceStatus]) throws {
        let devices = all.filter { $0.kind == "webcam" && $0.state != .kernel && $0.state != .unsupported }
        let present = PresentNode.all()
        let report = Report(
            running: present != nil,
            cameras: devices.map { device in
                let wanted = device.nodes ?? 1
                let serials = (1...4).map { NodeSerial.text(camera: device.id, index: $0) }
                return Camera(
                    device: device.id, name: device.name, wanted: wanted,
                    nodes: (present ?? []).filter { serials.contains($0.serial) }.compactMap(\.path).sorted())
            })
        if output.json { return try output.printJSON(report) }
        if !report.running {
            Terminal.note(
                "userdriver-video is not running, so no camera is a /dev/videoN: systemctl start userdriver-video. "
                    + "Without it: userdriver v4l2 -- PROGRAM")
        }
        if report.cameras.isEmpty { return Terminal.note("UserDriver drives no camera. To have it drive one: userdriver take") }
        var table = TextTable("DEVICE", "NAME", "NODES", spared: [1])
        for camera in report.cameras {
            let nodes =
                camera.wanted == 0
                ? "off" : camera.nodes.isEmpty ? (report.running ? "not there yet" : "–") : camera.nodes.joined(separator: " ")
            table.add(.init(camera.device, .bold), .init(camera.name), .init(nodes))
        }
        try Terminal.print(table)
    }
}

struct VideoOnCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "on", abstract: "Show a camera as /dev/videoN, now and whenever it is plugged in.",
        discussion: """
            Example:
              userdriver video on
              userdriver video on 1209:0001 --nodes 2
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument
    @Option(
        help: ArgumentHelp(
            "How many /dev/videoN nodes: each serves one program at a time, all with the same pictures in the same size.",
            valueName: "count"))
    var nodes = 1

    func validate() throws {
        guard (1...4).contains(nodes) else { throw ValidationError("--nodes must be from 1 to 4.") }
    }

    func run() async throws {
        let client = daemon.client
        try await client.setNodes(target.selector, to: nodes)
        note()
    }

    private func note() {
        if PresentNode.all() == nil {
            Terminal.note("Noted. userdriver-video is not running yet: systemctl start userdriver-video")
        }
    }
}

struct VideoOffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "off", abstract: "Stop showing a camera as /dev/videoN.",
        discussion: """
            A program that has it open is told that the device is gone.

            Example:
              userdriver video off 1209:0001
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws { try await daemon.client.setNodes(target.selector, to: 0) }
}
