// The driver: reads the device's files block by block, and delivers each as an object.

import DriverObjects
import USB
import UserDriver
import Wire

@main
enum Entry {
    static func main() { DriverProcess.run(LoggerDriver.self) }
}

/// It may die at any line. What it has appended to an object is still there, and the next process
/// continues after it.
actor LoggerDriver: Driver {
    static let name = "logger-driver"
    nonisolated let facts = DriverFacts(kind: "logger", name: "Data logger", interfaces: ["org.example.logger"])

    /// `bRequest` of the vendor requests: how many files there are, the length of file `wValue`,
    /// block `wIndex` of it.
    private enum Request {
        static let count: UInt8 = 1
        static let length: UInt8 = 2
        static let block: UInt8 = 3
    }
    private static let blockLength = 512

    private let context: DriverContext
    private let files: Int
    private var busy: Set<String> = []

    private init(_ context: DriverContext, files: Int) { (self.context, self.files) = (context, files) }

    static func start(_ context: DriverContext) async throws -> LoggerDriver {
        try await context.device.claim(interface: 0)
        let count = try await ask(context, Request.count, length: 1)
        let driver = LoggerDriver(context, files: Int(count[0]))
        // Jobs that a previous process did not finish.
        for job in try context.record?["jobs"]?.decoded(as: [String].self) ?? [] { await driver.begin(job) }
        return driver
    }

    func call(_ call: ServiceCall) async throws -> JSONValue {
        guard call.method == "Fetch" else { throw CallError("NotSupported", "There is no method \(call.method).") }
        guard let job = call.parameters["job"]?.stringValue else { throw CallError("InvalidParameter", "job is missing.") }
        begin(job)
        return ["files": .int(Int64(files))]
    }

    func stop() async { context.device.close() }

    private func begin(_ job: String) {
        guard busy.insert(job).inserted else { return }
        record()
        Task {
            do { try await deliver(job) } catch { context.supervisor.fail(error) }
            busy.remove(job)
            record()
        }
    }

    private func record() { context.supervisor.record(["jobs": .array(busy.sorted().map(JSONValue.string))]) }

    private func deliver(_ token: String) async throws {
        let card = context.progress.activity("memory card")
        try await card.waiting("the card wakes up", atMost: .seconds(30)) { _ = try await Self.ask(context, Request.count, length: 1) }
        guard let job = try await context.objects.jobs().first(where: { $0.job == token }) else { return }
        for unfinished in job.unfinished { try await fill(try await context.objects.resume(unfinished.id)) }
        guard job.opened < files else { return }
        for index in job.opened..<files {
            try await fill(try await context.objects.open(job: token, metadata: ["name": .string("file \(index)")]))
        }
    }

    /// Appends the rest of the file, from where the object ends.
    private func fill(_ object: ObjectWriter) async throws {
        let file = UInt16(clamping: object.index)
        let bytes = try await Self.ask(context, Request.length, value: file, length: 4)
        let length = bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
        while object.length < length {
            // A process may have ended in the middle of a block.
            let (block, done) = (object.length / Self.blockLength, object.length % Self.blockLength)
            let count = min(Self.blockLength, length - block * Self.blockLength)
            let data = try await Self.ask(context, Request.block, value: file, index: UInt16(clamping: block), length: count)
            try await object.append(Array(data.dropFirst(done)))
        }
        try await object.commit()
    }

    /// A vendor request whose answer has exactly that many bytes: anything else is a fault.
    private static func ask(
        _ context: DriverContext, _ request: UInt8, value: UInt16 = 0, index: UInt16 = 0, length: Int
    ) async throws -> [UInt8] {
        let setup = ControlSetup(requestType: 0xc0, request: request, value: value, index: index, length: UInt16(length))
        let answer = try await context.device.control(setup, sending: [], timeout: .seconds(10))
        guard answer.count == length else { throw USBError(.malformedAnswer, operation: "request \(request)") }
        return answer
    }
}
