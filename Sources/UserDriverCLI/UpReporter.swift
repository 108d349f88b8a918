// Tells what happens to the devices while `userdriver up` runs, and attaches them.

import Synchronization
import UserDriverClient

/// Follows the daemon's events, over its deaths.
final class UpReporter: Sendable {
    private let directory: RuntimeDirectory
    private let urls: [String]
    private let emulated: [String]
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(directory: RuntimeDirectory, urls: [String], emulated: [String]) {
        self.directory = directory
        self.urls = urls
        self.emulated = emulated
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
        while !Task.isCancelled {
            do {
                try await client.waitUntilRunning(timeout: .seconds(3600))
                let events = try await client.events()
                for url in urls { try await client.attach(url) }
                if isFirst {
                    for url in emulated { UpText.line("emulated webcam at \(url)") }
                    try Terminal.print(
                        UpText.invitation(directory: directory, devices: urls, program: CommandLine.arguments.first ?? "userdriver"))
                } else {
                    UpText.line("daemon is back")
                }
                isFirst = false
                // What a camera says of its own controls comes every second or so: for programs, not for people.
                for try await event in events where event.event != "device" { UpText.line(Self.text(event)) }
            } catch let error as ClientError where error.code == .connectionLost || error.code == .daemonNotRunning {
                // The main thread says how it ended, and starts it again.
                continue
            } catch let error as ClientError where error.code == .stopped {
                return
            } catch {
                UpText.line("\(error)")
                return
            }
        }
    }

    static func text(_ event: DeviceEvent) -> String {
        let device = event.device.isEmpty ? "" : event.device + ": "
        return device + (event.message.isEmpty ? event.event : event.message)
    }
}
