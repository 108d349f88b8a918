// What `userdriver up` keeps running: the daemon, the emulators, and who reports on them.

import CLinux
import FileDescriptors
import Glibc
import Spawn
import UserDriverClient
import Wire

/// Emulated devices of one kind, served by a process of their own.
struct EmulatedGroup {
    /// As `userdriver emulate` calls it.
    let kind: String
    let count: Int
    /// Further options.
    let words: [String]

    func arguments(port: String) -> [String] { ["emulate", kind, "--port", port, "--count", "\(count)"] + words }
}

/// The main thread's loop: children are spawned here and nowhere else, for they end with the thread that spawned them (and so with this process,
/// however it ends).
struct UpSession {
    private let directory: RuntimeDirectory
    private let interrupts: Int32
    private let attached: [String]
    private let verbose: Bool
    private var daemon: SupervisedChild
    private var emulators: [(group: EmulatedGroup, child: SupervisedChild)] = []
    private var reporter: UpReporter?
    /// The page in a browser, where it is installed.
    private var web: SupervisedChild?
    private var isPageShown = false
    /// Scanners for SANE programs, where there are some.
    private var scanners: SupervisedChild?
    private var scannersShown = 0
    /// How long the emulators may take to say their addresses.
    private static let patience: UInt64 = 15_000_000_000

    /// - Parameter drivers: the daemon's options about drivers.
    init(
        directory: RuntimeDirectory, emulated: [EmulatedGroup], attached: [String], drivers: [String], hasPage: Bool, verbose: Bool,
        interrupts: Int32
    ) throws {
        self.directory = directory
        self.attached = attached
        self.verbose = verbose
        self.interrupts = interrupts
        try Self.checkFree(directory)
        let folder = try ProgramFolder.path()
        daemon = SupervisedChild(
            name: "daemon", path: folder + "/userdriverd",
            arguments: ["--runtime-dir", directory.path] + drivers, verbose: verbose)
        if hasPage, access(folder + "/userdriver-web", X_OK) == 0 {
            web = SupervisedChild(
                name: "web page", path: folder + "/userdriver-web", arguments: ["--runtime-dir", directory.path, "--demo"], verbose: verbose
            )
        }
        if emulated.contains(where: { $0.kind == "scanner" }), access(folder + "/userdriver-escl", X_OK) == 0 {
            scanners = SupervisedChild(
                name: "eSCL endpoint", path: folder + "/userdriver-escl", arguments: ["--runtime-dir", directory.path], verbose: verbose)
        }
        let program = try ProgramFolder.executable()
        emulators = emulated.map { group in
            (
                group,
                SupervisedChild(name: "emulated \(group.kind)", path: program, arguments: group.arguments(port: "0"), verbose: verbose)
            )
        }
    }

    /// Two daemons in one folder would fight over the socket.
    private static func checkFree(_ directory: RuntimeDirectory) throws {
        guard OwnedDescriptor(opened: clinux_unix_stream(directory.socketPath, 0)) != nil else { return }
        throw CommandFailure(
            "A daemon already runs in \(directory.path). Use it, stop it, or choose another folder with --runtime-dir.")
    }

    mutating func run() throws {
        // Whatever happens: nothing stays behind. What was started last is stopped first.
        defer {
            reporter?.stop()
            scanners?.stop()
            web?.stop()
            daemon.stop()
            stopEmulators()
        }
        for index in emulators.indices { try emulators[index].child.start() }
        guard let urls = try emulatedURLs() else { return }
        try daemon.start()
        UpText.line("daemon started (process \(daemon.processID)), in \(directory.path)")
        do { try web?.start() } catch { leaveOutPage(error) }
        do { try scanners?.start() } catch { leaveOutScanners(error) }
        let reporter = UpReporter(directory: directory, emulated: urls, attached: attached)
        self.reporter = reporter
        reporter.start()
        if let signal = try watch() {
            reporter.stop()
            UpText.line("\(ChildProcess.signalName(signal)): stopping")
        }
        scanners?.stop()
        web?.stop()
        daemon.stop()
        stopEmulators()
        UpText.line("stopped")
    }

    /// The rest goes on without it.
    private mutating func leaveOutPage(_ error: any Error) {
        UpText.line("no web page: \(error)")
        web = nil
    }

    private mutating func turnPage() {
        do { try web?.turn() } catch { return leaveOutPage(error) }
        guard !isPageShown, let link = web?.announced.first else { return }
        isPageShown = true
        UpText.line("see it in a browser: \(link)")
    }

    private mutating func leaveOutScanners(_ error: any Error) {
        UpText.line("no eSCL endpoint: \(error)")
        scanners = nil
    }

    private mutating func turnScanners() {
        do { try scanners?.turn() } catch { return leaveOutScanners(error) }
        // URL, device, name. One that was started again says the same once more.
        for line in (scanners?.announced ?? []).dropFirst(scannersShown) {
            scannersShown += 1
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            let use = words[0].hasPrefix("ipp:") ? "print with CUPS" : "scan with SANE programs"
            UpText.line("\(use): \(words[0]) (\(words.dropFirst().joined()))")
        }
    }

    private mutating func stopEmulators() {
        for index in emulators.indices { emulators[index].child.stop() }
    }

    /// The addresses that the emulators' first lines say, with their kinds. `nil` when interrupted
    /// meanwhile.
    private mutating func emulatedURLs() throws -> [(kind: String, url: String)]? {
        let deadline = clinux_monotonic_ns() + Self.patience
        while let slow = emulators.first(where: { $0.child.announced.count < $0.group.count }) {
            let now = clinux_monotonic_ns()
            guard now < deadline else {
                throw CommandFailure("The emulated \(slow.group.kind) did not start within 15 seconds; --verbose shows what it says.")
            }
            if let signal = try turn(timeout: Int32((deadline - now) / 1_000_000) + 1) {
                UpText.line("\(ChildProcess.signalName(signal)): stopping")
                return nil
            }
        }
        for index in emulators.indices {
            // Should it have to be started again, it is at the same port.
            let (group, child) = emulators[index]
            if let url = child.announced.first,
                let port = url.dropFirst("usbip://".count).split(separator: "/").first?.split(separator: ":").last
            {
                emulators[index].child.arguments = group.arguments(port: String(port))
            }
        }
        return emulators.flatMap { emulator in emulator.child.announced.map { (emulator.group.kind, $0) } }
    }

    private mutating func watch() throws -> Int32? {
        while true {
            let wakes = ([daemon.startsAt, web?.startsAt, scanners?.startsAt] + emulators.map(\.child.startsAt)).compactMap { $0 }
            var timeout: Int32 = -1
            if let next = wakes.min() {
                let now = clinux_monotonic_ns()
                timeout = next > now ? Int32(min((next - now) / 1_000_000 + 1, 60_000)) : 0
            }
            if let signal = try turn(timeout: timeout) { return signal }
        }
    }

    /// Waits for something to happen and sees to it. A signal that asks to stop is returned.
    private mutating func turn(timeout: Int32) throws -> Int32? {
        var entries = [pollfd(fd: interrupts, events: Int16(POLLIN), revents: 0)]
        entries += daemon.pollEntries
        for emulator in emulators { entries += emulator.child.pollEntries }
        entries += (web?.pollEntries ?? []) + (scanners?.pollEntries ?? [])
        let ready = poll(&entries, nfds_t(entries.count), timeout)
        guard ready >= 0 || errno == EINTR else { throw CommandFailure("poll failed: \(String(cString: strerror(errno))).") }
        if let signal = Interrupt.take(interrupts) { return signal }
        try daemon.turn()
        for index in emulators.indices { try emulators[index].child.turn() }
        turnPage()
        turnScanners()
        return nil
    }
}

/// Where this program lies, and so the ones it starts.
enum ProgramFolder {
    static func executable() throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { buffer in
            buffer.withMemoryRebound(to: CChar.self) { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        }
        guard count > 0, count < buffer.count else {
            throw CommandFailure("This program can't find the folder that it is in: /proc/self/exe: \(String(cString: strerror(errno))).")
        }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    static func path() throws -> String {
        let executable = try executable()
        guard let slash = executable.lastIndex(of: "/") else { return "." }
        return String(executable[..<slash])
    }
}

/// Lines of `up`, with the time of day.
enum UpText {
    static func line(_ text: String) {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
        let stamp = Terminal.showsColours(STDOUT_FILENO) ? Terminal.coloured(clock, .faint) : clock
        // Whoever reads may have gone; what runs does not depend on being read.
        do { try Terminal.print("\(stamp)  \(PlainText.shown(text, utf8: Terminal.isUTF8))", styled: true) } catch {}
    }

    /// How to try what runs, with the exact commands. Of several devices they name the first.
    static func invitation(directory: RuntimeDirectory, devices: [String], kind: String = "webcam", program: String) -> String {
        let isDefault =
            RuntimeDirectory.own(environment: RuntimeDirectory.processEnvironment().filter { $0.key == "XDG_RUNTIME_DIR" }) == directory
        let option = isDefault ? "" : " --runtime-dir \(ShellText.quoted(directory.path))"
        let name = ShellText.quoted(program)
        guard let first = devices.first else {
            return """

                UserDriver is up. Plug in a webcam, and in another terminal try:
                  \(name) status\(option)
                  \(name) snap\(option) -o photo.jpg
                Ctrl-C stops everything.

                """
        }
        if kind == "scanner" {
            return """

                UserDriver is up. In another terminal, try:
                  \(name) scan \(ShellText.quoted(first))\(option) -o page-%d.jpg
                  \(name) status\(option)
                While it scans, kill the driver (status shows its PID): kill -9 PID. No sheet is lost.
                Ctrl-C stops everything.

                """
        }
        guard kind == "webcam" else {
            return """

                UserDriver is up. In another terminal, try:
                  \(name) status\(option)
                  \(name) call \(ShellText.quoted(first)) --list\(option)
                While it is in use, kill the driver (status shows its PID): kill -9 PID. Another one takes its place.
                Ctrl-C stops everything.

                """
        }
        let device = devices.count > 1 ? " \(ShellText.quoted(first))" : ""
        return """

            UserDriver is up. In another terminal, try:
              \(name) snap\(device)\(option) -o photo.jpg
              \(name) stream\(device)\(option) --frames 300 --stats json
              \(name) status\(option)
              \(name) controls list\(device)\(option)
            While it streams, kill the driver (status shows its PID): kill -9 PID. The stream goes on.
            Ctrl-C stops everything.

            """
    }
}

enum ShellText {
    /// As a shell reads it back.
    static func quoted(_ text: String) -> String {
        let plain = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+:@%".contains($0)) }
        return plain && !text.isEmpty
            ? text : "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
