// Tells what happens to the devices while `userdriver up` runs, and attaches them.

import Synchronization
import UserDriverClient
import Wire

/// Follows the daemon's events, over its deaths.
final class UpReporter: Sendable {
    private let directory: RuntimeDirectory
    private let urls: [String]
    private let emulated: [(kind: String, url: String)]
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(directory: RuntimeDirectory, emulated: [(kind: String, url: String)], attached: [String]) {
        self.directory = directory
        self.emulated = emulated
        urls = emulated.map(\.url) + attached
    }

    func start() {
        let work = Task.detached { await self.run() }
        task.withLock { $0 = work }
    }

    func stop() {
        task.withLock { $0 }?.cancel()
    }

    private func run() async {
        let client = UserDriverClient(runtimeDirectory: directory)
        var isFirst = true
        // Of what is on another machine nobody knows when it comes.
        var toCome = emulated.isEmpty ? min(urls.count, 1) : emulated.count
        var delay = Duration.zero
        while !Task.isCancelled {
            do {
                try await client.waitUntilRunning(timeout: .seconds(3600))
                let events = try await client.events()
                for url in urls { try await attach(url, client) }
                defer { isFirst = false }
                if isFirst {
                    for (kind, url) in emulated { UpText.line("emulated \(kind) at \(url)") }
                    if urls.isEmpty { await invite(client) }
                } else {
                    UpText.line("daemon is back")
                }
                // What a camera says of its own controls comes every second or so: for programs, not for people.
                for try await event in events where event.event != "device" {
                    delay = .zero
                    UpText.line(Self.text(event))
                    guard event.event == "running" || event.event == "unsupported", toCome > 0 else { continue }
                    toCome -= 1
                    // Who follows the invitation at once finds the devices there.
                    if toCome == 0 { await invite(client) }
                }
            } catch let error as ClientError where error.code == .connectionLost || error.code == .daemonNotRunning {
                // The main thread says how it ended, and starts it again. One that hangs up at once is asked less and less often.
                delay = min(max(delay * 2, .milliseconds(20)), .seconds(1))
                do { try await Task.sleep(for: delay) } catch { return }
                continue
            } catch let error as ClientError where error.code == .stopped {
                return
            } catch {
                UpText.line("\(error)")
                return
            }
        }
    }

    /// Until this command ends, and no longer. An address that is wrong is no reason not to go on with the others.
    private func attach(_ url: String, _ client: UserDriverClient) async throws {
        do throws(ClientError) {
            try await client.attach(url, transient: true)
        } catch {
            guard error.code == .invalidParameter else { throw error }
            UpText.line("\(error)")
        }
    }

    private func invite(_ client: UserDriverClient) async {
        let program = CommandLine.arguments.first ?? "userdriver"
        var devices: [DeviceStatus] = []
        // A daemon that went meanwhile is said by the main thread, and invites when it is back.
        do { devices = try await client.devices().filter { $0.state == .running } } catch {}
        // Of several kinds a camera shows most.
        if let camera = devices.firstIndex(where: { $0.kind == "webcam" }) { devices.swapAt(0, camera) }
        // Whoever reads may have gone; what runs does not depend on being read.
        let text = UpText.invitation(
            directory: directory, devices: devices.map(\.id), kind: devices.first?.kind ?? "", program: program)
        do { try Terminal.print(text) } catch {}
    }

    static func text(_ event: DeviceEvent) -> String {
        let device = event.device.isEmpty ? "" : event.device + ": "
        return device + (event.message.isEmpty ? event.event : event.message)
    }
}
