// The driver: takes the device's readings, and answers the interface that programs call.

import Synchronization
import USB
import UserDriver
import Wire

@main
enum Entry {
    static func main() { DriverProcess.run(ThermometerDriver.self) }
}

/// It may die at any line, and the next process takes its place: whatever that one needs to know
/// goes into the record.
actor ThermometerDriver: Driver {
    static let name = "thermometer-driver"
    nonisolated let facts = DriverFacts(kind: "thermometer", name: "Thermometer", interfaces: ["org.example.thermometer"])

    /// Interrupt IN 1: four bytes a reading.
    private static let readings = EndpointAddress(rawValue: 0x81)
    /// `bRequest` of the vendor request that sets the milliseconds between readings (`wValue`).
    private static let setIntervalRequest: UInt8 = 1
    private static let intervals = 10...10_000

    private let context: DriverContext
    private nonisolated let latest = Mutex(Reading(value: 0, number: 0))
    private var interval = 1000

    private struct Reading: Sendable {
        var value: Double
        var number: UInt16
        var json: JSONValue { ["reading": ["value": .double(value), "number": .int(Int64(number))]] }
    }

    private init(_ context: DriverContext) { self.context = context }

    /// Returns when the driver can answer. `userdriver status` shows what it throws as the reason.
    static func start(_ context: DriverContext) async throws -> ThermometerDriver {
        try await context.device.claim(interface: 0)
        let driver = ThermometerDriver(context)
        // A device that was plugged in again has forgotten its interval; the record has not.
        if let interval = context.record?["interval"]?.intValue { try await driver.setInterval(interval) }
        let reports = context.reports(from: readings, length: 4)
        for try await report in reports where driver.take(report) { break }
        Task { await driver.listen(to: reports) }
        return driver
    }

    func call(_ call: ServiceCall) async throws -> JSONValue {
        switch call.method {
        case "Read": return latest.withLock { $0.json }
        case "Watch":
            while true {
                try call.replyMore(latest.withLock { $0.json })
                try await Task.sleep(for: .milliseconds(interval))
            }
        case "SetInterval":
            guard let milliseconds = call.parameters["milliseconds"]?.intValue, Self.intervals.contains(milliseconds) else {
                throw CallError("OutOfRange", "The interval is 10 to 10000 ms.", detail: ["minimum": 10, "maximum": 10_000])
            }
            try await setInterval(milliseconds)
            return [:]
        default: throw CallError("NotSupported", "There is no method \(call.method).")
        }
    }

    /// For `userdriver status`.
    nonisolated func statistics() -> DriverStatistics {
        DriverStatistics(shown: ["value": .double(latest.withLock { $0.value })])
    }

    func stop() async { context.device.close() }

    private func setInterval(_ milliseconds: Int) async throws {
        let setup = ControlSetup(
            requestType: 0x41, request: Self.setIntervalRequest, value: UInt16(clamping: milliseconds), index: 0, length: 0)
        _ = try await context.device.control(setup, sending: [], timeout: .seconds(1))
        interval = milliseconds
        context.supervisor.record(["interval": .int(Int64(milliseconds))])
    }

    private func listen(to reports: AsyncThrowingStream<[UInt8], any Error>) async {
        do {
            for try await report in reports { take(report) }
        } catch {
            // A driver that can't go on says why and ends: the supervisor starts another one.
            context.supervisor.fail("The readings have ended: \(error)")
        }
    }

    /// The device's bytes are not trusted, not even their number.
    @discardableResult
    private nonisolated func take(_ report: [UInt8]) -> Bool {
        guard report.count == 4 else { return false }
        let hundredths = Int16(bitPattern: UInt16(report[0]) | UInt16(report[1]) << 8)
        latest.withLock { $0 = Reading(value: Double(hundredths) / 100, number: UInt16(report[2]) | UInt16(report[3]) << 8) }
        return true
    }
}
