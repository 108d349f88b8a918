// `userdriver view` in a browser: the page that is served already, or one of its own.

import CLinux
import FileDescriptors
import Glibc
import Spawn
import UserDriverClient

/// The main thread's loop: children are spawned here and nowhere else, for they end with the thread
/// that spawned them.
struct PageSession {
    private let camera: String
    private let directory: RuntimeDirectory
    private let interrupts: Int32
    private var address: PageAddress?
    /// Where none was there.
    private var server: PageServer?
    /// What opens the browser, until it has.
    private var opener: ChildProcess?

    init(camera: String, directory: RuntimeDirectory, interrupts: Int32) {
        self.camera = camera
        self.directory = directory
        self.interrupts = interrupts
    }

    /// Returns once the browser has been told, where the page is served by others; else when
    /// interrupted.
    mutating func run() throws {
        address = PageLink.find(in: directory).flatMap { PageAddress($0, device: camera) }
        if address == nil { server = try PageServer(directory) }
        defer { server?.stop() }
        try showPage()
        while server != nil || opener != nil, try turn() {}
    }

    /// Waits for something to happen, and sees to it. False when interrupted.
    private mutating func turn() throws -> Bool {
        let descriptors = [interrupts, server?.process.descriptor, address == nil ? server?.output.descriptor : nil, opener?.descriptor]
        var entries = descriptors.compactMap { $0 }.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&entries, nfds_t(entries.count), -1) >= 0 || errno == EINTR else {
            throw CommandFailure("poll failed: \(String(cString: strerror(errno))).")
        }
        if Interrupt.take(interrupts) != nil { return false }
        if address == nil, let link = server?.output.lines().first {
            address = PageAddress(link, device: camera)
            try showPage()
        }
        if let end = try server?.process.collect() { throw CommandFailure("The page's server has ended (\(end)).") }
        if let end = try opener?.collect() {
            opener = nil
            if end != .exited(status: 0) { try printLink("xdg-open has ended (\(end)).") }
        }
        return true
    }

    private mutating func showPage() throws {
        guard let address else { return }
        guard ProcessEnvironment.has("WAYLAND_DISPLAY") || ProcessEnvironment.has("DISPLAY") else {
            return try printLink("There is no desktop here: neither WAYLAND_DISPLAY nor DISPLAY is set.")
        }
        do {
            opener = try ExecutableFile("xdg-open").start([try address.once()])
        } catch {
            try printLink("\(error)")
        }
    }

    /// Where no browser can be opened.
    private func printLink(_ why: String) throws {
        guard let address else { return }
        Terminal.note("\(why) Open this link in a browser:")
        try Terminal.print(address.link)
    }
}

/// `userdriver-web` for as long as this command runs, with a token of its own.
struct PageServer {
    let process: ChildProcess
    /// Its first line is the link.
    let output: LineReader

    init(_ directory: RuntimeDirectory) throws {
        let path = try ProgramFolder.path() + "/userdriver-web"
        guard let executable = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else {
            throw CommandFailure("The page's server is not installed: there is no \(path). Without it: userdriver view --player")
        }
        let pipe = try Pipe.forChild()
        output = LineReader(pipe.reads)
        do {
            process = try ChildProcess(
                executing: executable.number,
                .init(
                    arguments: [path, "--runtime-dir", directory.path, "--port", "0", "--new-token"], environment: ProcessEnvironment.all,
                    descriptors: [nil, pipe.writes.number, STDERR_FILENO], deathSignal: SIGKILL, newSession: true))
        } catch {
            throw CommandFailure("The page's server can't be started: \(error).")
        }
    }

    func stop() {
        do { try process.tearDown() } catch { Terminal.note("userdriver: \(error)") }
    }
}
