// `userdriver view --player`: what `userdriver stream -o - | ffplay …` does.

import ArgumentParser
import CLinux
import FileDescriptors
import Glibc
import Spawn
import UserDriverClient

/// The stream and the window are processes of their own; the window's end is the stream's, and the
/// other way round.
struct PlayerSession {
    let camera: String
    let directory: RuntimeDirectory
    let interrupts: Int32

    /// ffplay as it delays least: it takes nothing in advance, and looks at nothing before it plays.
    private static let words = ["-loglevel", "error", "-f", "mjpeg", "-fflags", "nobuffer", "-flags", "low_delay", "-framerate", "30"]

    func run() throws {
        let player = try Self.player()
        let stream: ChildProcess
        let window: ChildProcess
        do {
            // Theirs alone, once both run.
            let pipe = try Pipe.forChild()
            stream = try startStream(into: pipe.writes.number)
            do {
                window = try player.start(Self.words + ["-window_title", camera, "-"], input: pipe.reads.number, deathSignal: SIGKILL)
            } catch {
                try stream.tearDown()
                throw error
            }
        }
        defer { for child in [window, stream] { Self.stop(child) } }
        while true {
            var entries = [interrupts, window.descriptor, stream.descriptor].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&entries, nfds_t(entries.count), -1) >= 0 || errno == EINTR else {
                throw CommandFailure("poll failed: \(String(cString: strerror(errno))).")
            }
            if Interrupt.take(interrupts) != nil { return }
            // A window that is gone ends the stream, too: then its own word counts.
            if case .exited(let status) = try stream.collect(), status != ExitStatus.done { throw ExitCode(status) }
            if let end = try window.collect() {
                guard end == .exited(status: 0) else { throw CommandFailure("ffplay has ended (\(end)).") }
                return
            }
            if try stream.collect() != nil, try window.wait(timeout: .seconds(1)) == nil { return }
        }
    }

    private static func player() throws -> ExecutableFile {
        do throws(CommandFailure) { return try ExecutableFile("ffplay") } catch {
            throw CommandFailure(
                "\(error) It comes with ffmpeg: install that, or watch in a browser, without --player.", status: error.status)
        }
    }

    private func startStream(into output: Int32) throws -> ChildProcess {
        let path = try ProgramFolder.executable()
        guard let executable = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else {
            throw CommandFailure("\(path) can't be started: \(String(cString: strerror(errno))).")
        }
        return try ChildProcess(
            executing: executable.number,
            .init(
                arguments: [path, "stream", camera, "--runtime-dir", directory.path, "--format", "mjpeg", "-o", "-"],
                environment: ProcessEnvironment.all, descriptors: [nil, output, STDERR_FILENO], deathSignal: SIGKILL, newSession: true))
    }

    private static func stop(_ child: ChildProcess) {
        do { try child.tearDown() } catch { Terminal.note("userdriver: \(error)") }
    }
}
