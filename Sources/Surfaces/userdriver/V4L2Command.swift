// `userdriver v4l2 -- PROGRAM`: a program that sees the cameras as /dev/videoN.

import ArgumentParser
import Glibc
import UserDriverClient
import Wire

struct V4L2Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "v4l2",
        abstract: "Run a program that sees the cameras as /dev/videoN.",
        discussion: """
            For V4L2 programs on a machine where you can't install anything: needs no kernel module and no root. A library loaded \
            into the program answers for the cameras; the kernel's own cameras keep their numbers. When a camera's driver dies, \
            the program misses no frame and does not notice.

            Programs that are statically linked, change the user they run as, or run in a Flatpak do not see the cameras. \
            Docs/Programs.md says what works.

            Example:
              userdriver v4l2 -- ffplay /dev/video0
              userdriver v4l2 --device 1209:0001 -- ffmpeg -i /dev/video0 film.mkv

            The exit status is the program's, once it runs.
            """)

    @OptionGroup var daemon: DaemonOptions

    @Option(
        name: [.customShort("d"), .long],
        help: ArgumentHelp("Show this camera only: an id, vid:pid, bus path or part of the name. Left out: all.", valueName: "device"))
    var device: String?

    @Option(
        help: ArgumentHelp(
            "How long the program waits for an unplugged camera before it is told that there is no such device.",
            valueName: "seconds"))
    var patience = Seconds(10)

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The program and its arguments, after --.", valueName: "program"))
    var program: [String] = []

    func validate() throws {
        guard let name = program.first, !name.isEmpty else {
            throw ValidationError("Which program? Name it after two dashes: userdriver v4l2 -- PROGRAM [ARGUMENT…]")
        }
        if let device, device.allSatisfy(\.isWhitespace) { throw ValidationError("The device's name is empty.") }
        if patience.value > 3600 { throw ValidationError("--patience must be from 0 to 3600 seconds.") }
    }

    func run() throws {
        let executable = try ExecutableFile(program[0])
        let library = try Self.library()
        let cameras = Cameras(client: daemon.client, selector: device)
        try Awaited.run { try await cameras.look() }
        let nodes = cameras.nodes
        if let reason = executable.reasonNotToLoad { Terminal.note("userdriver: \(reason)") }
        if Terminal.isTerminal(STDERR_FILENO) {
            for node in nodes { Terminal.note("/dev/video\(node.number) is \(node.name) (\(node.id))") }
        }
        setenv("USERDRIVER_RUNTIME_DIR", daemon.client.runtimeDirectory.path, 1)
        setenv("USERDRIVER_V4L2_NODES", nodes.map { "\($0.number)=\($0.id)" }.joined(separator: "\n"), 1)
        setenv("USERDRIVER_V4L2_DEVICE", device == nil ? "" : nodes.first?.id ?? "", 1)
        setenv("USERDRIVER_V4L2_PATIENCE", "\(Int(patience.value * 1000))", 1)
        let others = getenv("LD_PRELOAD").map { String(cString: $0) } ?? ""
        setenv("LD_PRELOAD", others.isEmpty ? library : library + ":" + others, 1)
        // Ignored signals are inherited; this one is ignored for our own sake.
        signal(SIGPIPE, SIG_DFL)
        throw executable.execute(program)
    }

    /// Beside this program in a build folder, or where it is installed.
    private static func library() throws -> String {
        let folder = try ProgramFolder.path()
        let name = "userdriver-v4l2.so"
        let places = ["\(folder)/\(name)", "\(folder)/../lib/userdriver/\(name)", "/usr/lib/userdriver/\(name)"]
        guard let found = places.first(where: { access($0, R_OK) == 0 }), let path = realpath(found, nil) else {
            throw CommandFailure("\(name), which is loaded into programs, is neither beside userdriver nor in ../lib/userdriver.")
        }
        defer { free(path) }
        let text = String(cString: path)
        // The loader's own separators: it would look for two libraries.
        guard !text.contains(where: { $0 == " " || $0 == ":" }) else {
            throw CommandFailure("\(text) can't be loaded into programs: there is a space or a colon in its path.")
        }
        return text
    }
}

/// The cameras that are there, with the numbers that they get. Filled on Swift's threads, read
/// afterwards.
private final class Cameras: @unchecked Sendable {
    // Sendable: whoever reads it has waited for `look` to return.
    struct Node {
        var number: Int
        var id: String
        var name: String
    }

    private(set) var nodes: [Node] = []
    private let client: UserDriverClient
    private let selector: String?

    init(client: UserDriverClient, selector: String?) {
        self.client = client
        self.selector = selector
    }

    func look() async throws {
        let devices = try await client.devices(selector)
        var problem: ClientError?
        var number = 0
        for device in devices where ![.absent, .kernel, .unsupported].contains(device.state) && !device.id.contains("\n") {
            do throws(ClientError) {
                guard try await !client.camera(device.id).formats().isEmpty else { continue }
            } catch {
                problem = error
                continue
            }
            while access("/dev/video\(number)", F_OK) == 0 { number += 1 }
            nodes.append(Node(number: number, id: device.id, name: PlainText.escaped(device.name)))
            number += 1
        }
        guard nodes.isEmpty else { return }
        if let problem, devices.count == 1 { throw problem }
        throw ClientError(
            .noSuchDevice, "There is no camera to show to a program. To try one in software: userdriver up --emulate webcam")
    }
}
