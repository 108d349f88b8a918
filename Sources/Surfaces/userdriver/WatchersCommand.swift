// `userdriver watchers` and `userdriver revoke`: who sees a device's pictures, and no more.

import ArgumentParser
import Glibc
import Spawn
import UserDriverClient
import VideoNode
import Wire

/// A program that sees a device's pictures.
struct WatcherRow: Encodable, Equatable {
    var device: String
    var program: String
    var pid: Int32
    var uid: UInt32
    /// By what it sees them: a program that shows them to it, or a `/dev/videoN`; `nil` if it
    /// watches itself.
    var through: String?
    /// Whether `revoke` can cut it off: not what has them by the kernel.
    var revocable: Bool

    var name: String { program.isEmpty ? "process \(pid)" : "\(program) (process \(pid))" }

    func tellRevoked() { Terminal.note("\(name) no longer sees \(device).") }

    static func all(_ devices: [DeviceStatus]) -> [WatcherRow] {
        let nodes = NodeUse.all()
        return devices.flatMap { all($0, nodes: nodes) }
    }

    /// All of a device's: watching processes, those that others show it to, and those of /dev/videoN
    /// as far as this user may see them.
    static func all(_ device: DeviceStatus, nodes: [NodeUse]) -> [WatcherRow] {
        var rows: [WatcherRow] = []
        let told = device.streams.flatMap { $0.watchers ?? [] } + (device.viewers ?? [])
        for watcher in told {
            let row = WatcherRow(
                device: device.id, program: watcher.program, pid: watcher.pid, uid: watcher.uid, through: watcher.through, revocable: true)
            // One that watches several streams is one program.
            if !rows.contains(row) { rows.append(row) }
        }
        let serials = Set((1...4).map { NodeSerial.text(camera: device.id, index: $0) })
        for use in nodes where serials.contains(use.serial) {
            rows.append(
                WatcherRow(device: device.id, program: use.program, pid: use.process, uid: use.user, through: use.path, revocable: false))
        }
        return rows
    }
}

/// A process that has one of our `/dev/videoN` open.
struct NodeUse {
    var serial: String
    var path: String
    var process: Int32
    var user: UInt32
    var program: String

    /// Those whose open files this user may see: their own, or everybody's for root.
    static func all() -> [NodeUse] {
        let nodes = (PresentNode.all() ?? []).compactMap { node in node.path.map { (path: $0, serial: node.serial) } }
        guard !nodes.isEmpty, let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var uses: [NodeUse] = []
        while let entry = readdir(folder) {
            guard let process = Int32(name(of: entry)), process != getpid() else { continue }
            for path in openFiles(of: process) {
                guard let node = nodes.first(where: { $0.path == path }),
                    !uses.contains(where: { $0.process == process && $0.path == path })
                else { continue }
                var facts = stat()
                let user = stat("/proc/\(process)", &facts) == 0 ? facts.st_uid : 0
                uses.append(NodeUse(serial: node.serial, path: path, process: process, user: user, program: ProcessFacts.name(of: process)))
            }
        }
        return uses.sorted { ($0.path, $0.process) < ($1.path, $1.process) }
    }

    private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
        withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func openFiles(of process: Int32) -> [String] {
        guard let folder = opendir("/proc/\(process)/fd") else { return [] }
        defer { closedir(folder) }
        var paths: [String] = []
        while let entry = readdir(folder) {
            let file = name(of: entry)
            guard Int32(file) != nil else { continue }
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = buffer.withUnsafeMutableBytes { readlink("/proc/\(process)/fd/\(file)", $0.baseAddress!, $0.count) }
            if count > 0 { paths.append(String(decoding: buffer[..<count], as: UTF8.self)) }
        }
        return paths
    }
}

struct WatchersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watchers",
        abstract: "List the programs that are watching a camera.",
        discussion: """
            THROUGH says how a program gets the pictures: from userdriver-pipewire or a /dev/videoN; it is empty if it asks the \
            daemon itself. Only root sees other users' programs on a /dev/videoN. A browser that watches through userdriver-web is \
            listed as userdriver-web.

            Example:
              userdriver watchers
              userdriver revoke cheese
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var target: DevicesArgument

    struct Report: Encodable {
        var watchers: [WatcherRow]
    }

    func run() async throws {
        let client = daemon.client
        try show(try await client.devices(target.selector))
    }

    private func show(_ devices: [DeviceStatus]) throws {
        let rows = WatcherRow.all(devices)
        if output.json { return try output.printJSON(Report(watchers: rows)) }
        if rows.isEmpty { return Terminal.note("Nobody is watching.") }
        var table = TextTable("DEVICE", "PROGRAM", "PROCESS", "USER", "THROUGH", rightAligned: [2], spared: [0])
        for row in rows {
            table.add(
                .init(row.device, .bold), .init(row.program.isEmpty ? "–" : row.program), .init("\(row.pid)"), .init(Self.user(row.uid)),
                .init(row.through ?? "–"))
        }
        try Terminal.print(table)
    }

    /// A user's name, or the number of one that has none here.
    private static func user(_ number: UInt32) -> String {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var memory = [CChar](repeating: 0, count: 4096)
        guard getpwuid_r(number, &entry, &memory, memory.count, &found) == 0, found != nil, let name = entry.pw_name else {
            return "\(number)"
        }
        return String(cString: name)
    }
}

struct RevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Cut a program off from a camera.",
        discussion: """
            It sees no frame after the current one and can't watch again for as long as it runs; others notice nothing. PROGRAM is \
            a name or a process, as `userdriver watchers` shows them. A program on a /dev/videoN can't be cut off alone: end it, \
            or remove the node with `userdriver video off`.

            Example:
              userdriver revoke cheese
              userdriver revoke 4711 1209:0001
            """)

    @Argument(help: ArgumentHelp("A program's name, or a process.", valueName: "program"))
    var program: String

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws {
        let client = daemon.client
        for row in try chosen(among: try await client.devices(target.selector)) {
            try await client.revoke(row.pid, device: row.device)
            row.tellRevoked()
        }
    }

    private func chosen(among devices: [DeviceStatus]) throws -> [WatcherRow] {
        let rows = WatcherRow.all(devices)
        let meant = rows.filter { $0.program == program || "\($0.pid)" == program }
        let revocable = meant.filter(\.revocable)
        guard !revocable.isEmpty else { throw CommandFailure(Self.refusal(program, meant: meant, all: rows)) }
        return revocable
    }

    static func refusal(_ program: String, meant: [WatcherRow], all: [WatcherRow]) -> String {
        if let row = meant.first, let node = row.through {
            return
                "\(row.name) watches \(row.device) through \(node), which is the kernel's: end the program, or `userdriver video off \(row.device)`."
        }
        guard !all.isEmpty else { return "Nobody is watching." }
        return "No program called '\(program)' is watching. Those that are: \(all.map(\.name).joined(separator: ", "))."
    }
}
