// A call of one of the driver's interfaces, from its arrival to its last reply.

import Synchronization
public import Wire

/// A client's call of a method. What `Driver.call` returns is the last reply; a call that wants
/// more may be given others before it.
///
/// The task that works on it is cancelled when nobody waits for the answer any more: the caller is
/// gone, or the method's deadline has passed.
public struct ServiceCall: Sendable {
    /// `"org.example.thermometer"`
    public let interface: String
    /// `"Read"`
    public let method: String
    /// An object, without the member `device`, which was for the supervisor. It has not been checked.
    public let parameters: JSONValue
    /// Several replies are welcome.
    public let wantsMore: Bool
    /// Memory that the caller sent along, at most four pieces.
    public let memory: [CallMemory]
    private let exchange: any CallExchange
    private let pending: PendingMemory

    init(_ call: DriverCall, memory: [CallMemory], exchange: any CallExchange) {
        let dot = call.method.lastIndex(of: ".")
        interface = dot.map { String(call.method[..<$0]) } ?? ""
        method = dot.map { String(call.method[call.method.index(after: $0)...]) } ?? call.method
        parameters = call.parameters
        wantsMore = call.more == true
        self.memory = memory
        self.exchange = exchange
        pending = PendingMemory()
    }

    /// A call without a supervisor, for a driver's own tests. `replied` receives each reply except
    /// the last.
    public init(
        _ method: String, of interface: String, _ parameters: JSONValue = .object([:]), wantsMore: Bool = false,
        replied: @escaping @Sendable (JSONValue) -> Void = { _ in }
    ) {
        self.interface = interface
        self.method = method
        self.parameters = parameters
        self.wantsMore = wantsMore
        memory = []
        exchange = LoneExchange(replied: replied)
        pending = PendingMemory()
    }

    /// The parameters as a type. Throws `InvalidParameter` if they don't match it.
    public func decode<T: Decodable>(_ type: T.Type = T.self) throws(CallError) -> T {
        do {
            return try parameters.decoded(as: type)
        } catch {
            throw CallError("InvalidParameter", "\(method) does not take these parameters: \(error).")
        }
    }

    /// A reply before the last. Throws `ExpectedMore` if the caller wants a single one, and
    /// `CancellationError` if nobody waits any more.
    public func replyMore(_ parameters: JSONValue) throws {
        try Task.checkCancellation()
        guard wantsMore else { throw CallError("ExpectedMore", "\(method) must be called with `more`.") }
        try exchange.reply(parameters, continues: true, memory: takeMemory())
    }

    /// Memory of that many bytes, which goes to the caller with the next reply; up to four for each
    /// reply. For data that does not fit into a message.
    public func makeMemory(byteCount: Int) async throws -> ReplyMemory {
        let memory = try await exchange.makeMemory(byteCount: byteCount)
        pending.list.withLock { $0.append(memory) }
        return memory
    }

    func finish(_ result: JSONValue) throws { try exchange.reply(result, continues: false, memory: takeMemory()) }

    private func takeMemory() -> [UInt64] {
        let list = pending.list.withLock { list in
            defer { list = [] }
            return list
        }
        for memory in list { memory.end() }
        return list.map(\.number)
    }

    private final class PendingMemory: Sendable {
        let list = Mutex<[ReplyMemory]>([])
    }
}

/// Where replies go.
protocol CallExchange: Sendable {
    func reply(_ parameters: JSONValue, continues: Bool, memory: [UInt64]) throws
    func makeMemory(byteCount: Int) async throws -> ReplyMemory
}

private struct LoneExchange: CallExchange {
    let replied: @Sendable (JSONValue) -> Void
    func reply(_ parameters: JSONValue, continues: Bool, memory: [UInt64]) { replied(parameters) }
    func makeMemory(byteCount: Int) async throws -> ReplyMemory {
        throw CallError("NotSupported", "There is no supervisor to get memory from.")
    }
}
