// For programs that show what the daemon has, for as long as they run: the daemon comes and goes.

import Wire

extension UserDriverClient {
    /// Calls `look` as soon as there is a daemon, and then each time that something has happened to a device. If the daemon goes away, it
    /// waits for it; `log` is told once that it is missing, and once that it is back. Returns when the task is cancelled.
    /// - Parameter ignored: events that change nothing for the caller. What drivers say is never passed
    ///   on.
    public func follow(
        ignoring ignored: Set<String> = [], log: @Sendable (String) -> Void, look: @Sendable () async -> Void
    ) async {
        let ignored = ignored.union(["device", "notice"])
        var isMissing = false
        while !Task.isCancelled {
            do {
                let events = try await events()
                if isMissing { log("The daemon is running.") }
                isMissing = false
                await look()
                for try await event in events where !ignored.contains(event.event) { await look() }
            } catch {
                if !isMissing, !Task.isCancelled { log("\(error)") }
                isMissing = true
            }
            await waitBeforeRetry()
        }
    }

    /// Returns when it is worth asking again a daemon that did not answer, or hung up.
    public func waitBeforeRetry() async {
        var pause = Duration.milliseconds(200)
        do throws(ClientError) { try await waitUntilRunning(timeout: .seconds(600)) } catch {
            // It is there, and not for this person: nothing tells when that changes.
            if error.code != .daemonNotRunning { pause = .seconds(30) }
        }
        do { try await Task.sleep(for: pause) } catch {}  // Cancelled: whoever called looks at that.
    }
}
