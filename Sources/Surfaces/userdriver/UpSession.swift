// What `userdriver up` keeps running: the daemon, the emulator, and who reports on them.

import CLinux
import Glibc
import Spawn
import UserDriverClient
import Wire

/// The main thread's loop: children are spawned here and nowhere else, for they end with the thread that spawned them (and so with this process,
/// however it ends).
struct UpSession {
    private let directory: RuntimeDirectory
    private let interrupts: Int32
    private let attached: [String]
    private let verbose: Bool
    private let webcams: Int
    /// Options of the emulated webcams.
    private let camera: [String]
    private var daemon: SupervisedChild
    private var emulator: SupervisedChild?
    private var reporter: UpReporter?
    /// How long the emulator may take to say its addresses.
    private static let patience: UInt64 = 15_000_000_000

    /// - Parameter drivers: the daemon's options about drivers.
    init(
        directory: RuntimeDirectory, webcams: Int, camera: [String], attached: [String], drivers: [String], verbose: Bool,
        interrupts: Int32
    ) throws {
        self.directory = directory
        self.attached = attached
        self.verbose = verbose
        self.webcams = webcams
        self.camera = camera
        self.interrupts = interrupts
        try Self.checkFree(directory)
        let folder = try ProgramFolder.path()
        daemon = SupervisedChild(
            name: "daemon", path: folder + "/userdriverd",
            arguments: ["--runtime-dir", directory.path] + drivers, verbose: verbose)
        guard webcams > 0 else { return }
        emulator = SupervisedChild(
            name: "emulated webcam", path: try ProgramFolder.executable(),
            arguments: Self.emulation(port: "0", webcams, camera), verbose: verbose)
    }

    private static func emulation(port: String, _ count: Int, _ camera: [String]) -> [String] {
        ["emulate", "webcam", "--port", port, "--count", "\(count)"] + camera
    }

    /// Two daemons in one folder would fight over the socket.
    private static func checkFree(_ directory: RuntimeDirectory) throws {
        let socket = clinux_unix_stream(directory.socketPath, 0)
        guard socket >= 0 else { return }
        close(socket)
        throw CommandFailure(
            "A daemon already runs in \(directory.path). Use it, stop it, or choose another folder with --runtime-dir.")
    }

    mutating func run() throws {
        // Whatever happens: nothing stays behind. What was started last is stopped first.
        defer {
            reporter?.stop()
            daemon.stop()
            emulator?.stop()
        }
        try emulator?.start()
        guard let urls = try emulatedURLs() else { return }
        try daemon.start()
        UpText.line("daemon started (process \(daemon.processID)), in \(directory.path)")
        let reporter = UpReporter(directory: directory, urls: urls + attached, emulated: urls)
        self.reporter = reporter
        reporter.start()
        if let signal = try watch() {
            reporter.stop()
            UpText.line("\(ChildProcess.signalName(signal)): stopping")
        }
        daemon.stop()
        emulator?.stop()
        UpText.line("stopped")
    }

    /// The addresses that the emulator's first lines say. `nil` when interrupted meanwhile.
    private mutating func emulatedURLs() throws -> [String]? {
        guard emulator != nil else { return [] }
        let deadline = clinux_monotonic_ns() + Self.patience
        while let emulator, emulator.announced.count < webcams {
            let now = clinux_monotonic_ns()
            guard now < deadline else {
                throw CommandFailure("The emulated webcam did not start within 15 seconds; --verbose shows what it says.")
            }
            if let signal = try turn(timeout: Int32((deadline - now) / 1_000_000) + 1) {
                UpText.line("\(ChildProcess.signalName(signal)): stopping")
                return nil
            }
        }
        let urls = emulator?.announced ?? []
        // Should it have to be started again, it is at the same port.
        if let url = urls.first, let port = url.dropFirst("usbip://".count).split(separator: "/").first?.split(separator: ":").last {
            emulator?.arguments = Self.emulation(port: String(port), webcams, camera)
        }
        return urls
    }

    private mutating func watch() throws -> Int32? {
        while true {
            let wakes = [daemon.startsAt, emulator?.startsAt].compactMap { $0 }
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
        entries += emulator?.pollEntries ?? []
        let ready = poll(&entries, nfds_t(entries.count), timeout)
        guard ready >= 0 || errno == EINTR else { throw CommandFailure("poll failed: \(String(cString: strerror(errno))).") }
        if let signal = Interrupt.take(interrupts) { return signal }
        try daemon.turn()
        try emulator?.turn()
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
    static func invitation(directory: RuntimeDirectory, devices: [String], isCamera: Bool = true, program: String) -> String {
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
        guard isCamera else {
            return """

                UserDriver is up. In another terminal, try:
                  \(name) status\(option)
                  \(name) call \(ShellText.quoted(first)) --list\(option)
                While it is used, kill the driver (status shows its PID): kill -9 PID. Another one takes its place.
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
