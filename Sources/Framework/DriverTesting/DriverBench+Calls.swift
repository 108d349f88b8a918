// What a bench asks the daemon and the driver: calls, status, crash reports.

public import Wire

extension DriverBench {
    /// Calls a method of the driver: `"org.example.thermometer.Read"`. Throws `CallError`, with the
    /// code that the driver or the supervisor gave.
    @discardableResult
    public func call(_ method: String, _ parameters: JSONValue = .object([:])) async throws -> JSONValue {
        try await patiently("the answer to \(method)") { [daemon] in
            for try await reply in daemon.exchange(method, parameters, more: false) { return reply }
            throw DriverBenchFailure("The daemon closed the connection instead of answering \(method).")
        }
    }

    /// Calls a method that gives several replies. To stop iterating cancels the call.
    public func replies(to method: String, _ parameters: JSONValue = .object([:])) -> AsyncThrowingStream<JSONValue, any Error> {
        daemon.exchange(method, parameters, more: true)
    }

    /// What `userdriver status` shows of the device; `nil` if there is none.
    public func status() async throws -> DeviceStatus? {
        try await call("io.userdriver.Status")["devices"]?.decoded(as: [DeviceStatus].self).first
    }

    /// What the driver has died of so far.
    public func crashes() async throws -> [CrashReport] {
        try await call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self) ?? []
    }

    /// Waits until the device's status is as wanted, and checks again at every event from the
    /// supervisor.
    @discardableResult
    public func device(
        until what: String, _ isSo: @escaping @Sendable (DeviceStatus?) throws -> Bool
    ) async throws -> DeviceStatus? {
        try await patiently(what) { [self] in
            // Looked at once a second besides: not every change of what a driver shows is an event.
            while true {
                let look = try await Self.first(within: .seconds(1)) { [self] () -> Look in
                    let events = daemon.exchange("io.userdriver.Events", .object([:]), more: true)
                    let now = try await status()
                    if try isSo(now) { return Look(isSo: true, status: now) }
                    for try await _ in events {
                        let now = try await status()
                        if try isSo(now) { return Look(isSo: true, status: now) }
                    }
                    return Look(isSo: false, status: nil)
                }
                if let look, look.isSo { return look.status }
                try Task.checkCancellation()
            }
        }
    }

    private struct Look: Sendable {
        var isSo: Bool
        var status: DeviceStatus?
    }

    /// Does something within `patience`.
    func patiently<R: Sendable>(_ what: String, _ work: @escaping @Sendable () async throws -> R) async throws -> R {
        guard let result = try await Self.first(within: patience, work) else {
            throw DriverBenchFailure("Waited \(patience) in vain for this: \(what).")
        }
        return result
    }

    /// `nil` when the time is over first.
    private static func first<R: Sendable>(within time: Duration, _ work: @escaping @Sendable () async throws -> R) async throws -> R? {
        try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await Task.sleep(for: time)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    /// The error with what the supervisor knows: state, reason, refused bundles, deaths, the log's
    /// end.
    func explained(_ error: any Error) async -> DriverBenchFailure {
        if let failure = error as? DriverBenchFailure, !failure.details.isEmpty { return failure }
        var details: [String] = []
        // A daemon that can't be asked has its log.
        if let status = try? await status() {
            details.append("The device is \(status.state.rawValue)\(status.reason.map { ": \($0)" } ?? "")")
        }
        let drivers = try? await call("io.userdriver.Drivers")["drivers"]?.decoded(as: [DriverStatus].self)
        for driver in drivers ?? [] where driver.state == .refused {
            details.append("The driver is refused: \(driver.path): \(driver.reason ?? "")")
        }
        for crash in (try? await crashes().suffix(3)) ?? [] {
            details.append("Process \(crash.pid) died: \(crash.cause); \(crash.decision)")
            details += crash.lastWords.suffix(5).map { "  \($0)" } + crash.backtrace.prefix(8).map { "  at \($0)" }
        }
        details += daemon.lastLines(10).map { "userdriverd: \($0)" }
        let message = (error as? DriverBenchFailure)?.message ?? "\(error)"
        return DriverBenchFailure(message, details: details)
    }
}
