// A thermometer's driver, as somebody else would write it: an interface of its own, none of this
// project's.

import Glibc
import Synchronization
import USB
import UserDriver
import Wire

@main
enum Entry {
    static func main() { DriverProcess.run(Thermometer.self) }
}

actor Thermometer: Driver {
    static let name = "thermometer-driver"
    nonisolated let facts = DriverFacts(kind: "thermometer", name: "Thermometer", interfaces: ["org.example.thermometer"])
    private let device: any USBDeviceHandle
    private var unit = "celsius"
    private var readings = 0
    private var cancelled = 0
    private nonisolated let last = Mutex(0.0)

    static func start(_ context: DriverContext) async throws -> Thermometer {
        try await context.device.claim(interface: 0)
        return Thermometer(context.device)
    }

    private init(_ device: any USBDeviceHandle) { self.device = device }

    nonisolated func statistics() -> DriverStatistics { DriverStatistics(shown: ["temperature": .double(last.withLock { $0 })]) }

    func stop() async { device.close() }

    func call(_ call: ServiceCall) async throws -> JSONValue {
        let milliseconds = call.parameters["milliseconds"]?.intValue ?? 0
        switch call.method {
        case "Read":
            try await Task.sleep(for: .milliseconds(milliseconds))
            return ["reading": try await measure()]
        case "Watch":
            let count = call.parameters["count"]?.intValue ?? .max
            for _ in 1..<max(1, count) {
                try call.replyMore(["reading": try await measure()])
                try await Task.sleep(for: .milliseconds(milliseconds))
            }
            return ["reading": try await measure()]
        case "SetUnit":
            guard let wanted = call.parameters["unit"]?.stringValue, ["celsius", "fahrenheit"].contains(wanted) else {
                throw CallError(
                    "OutOfRange", "There is no such unit.", remedy: "Ask for celsius.", detail: ["minimum": -40, "maximum": 125])
            }
            try await Task.sleep(for: .milliseconds(milliseconds))
            unit = wanted
            return ["unit": .string(unit)]
        case "Wait":
            do {
                try await Task.sleep(for: .seconds(3600))
            } catch {
                cancelled += 1
                throw error
            }
            return [:]
        case "Cancelled": return ["count": .int(Int64(cancelled))]
        case "History":
            let count = call.parameters["bytes"]?.intValue ?? 0
            let memory = try await call.makeMemory(byteCount: count)
            try memory.withBytes { bytes in for index in bytes.indices { bytes[index] = UInt8(index % 251) } }
            return ["bytes": .int(Int64(count))]
        case "Calibrate":
            let sum = call.memory.reduce(0) { sum, memory in memory.withBytes { $0.reduce(sum) { $0 + Int($1) } } }
            return ["sum": .int(Int64(sum))]
        case "Shout": return ["text": .string(String(repeating: "A", count: call.parameters["bytes"]?.intValue ?? 0))]
        default: throw CallError("NotSupported", "There is no method \(call.method).")
        }
    }

    private func measure() async throws -> JSONValue {
        // Eight bytes, of which the first counts how often the device was attached.
        let bytes = try await device.control(
            ControlSetup(requestType: 0xc0, request: 6, value: 0, index: 0, length: 8), sending: [], timeout: .seconds(1))
        readings += 1
        let degrees = 20.5 + Double(bytes.first ?? 0)
        last.withLock { $0 = degrees }
        return ["degrees": .double(degrees), "unit": .string(unit), "number": .int(Int64(readings)), "process": .int(Int64(getpid()))]
    }
}
