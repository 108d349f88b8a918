// Calls of drivers' own interfaces.

import CLinux
import FileDescriptors
import Glibc
public import Wire

/// What a driver answered.
public struct ServiceReply: Sendable {
    public var parameters: JSONValue
    /// What came with it, at most four.
    public var memory: [ReceivedMemory]

    /// The parameters as a type. Throws `malformedReply` if they don't match it.
    public func decode<T: Decodable>(_ type: T.Type = T.self) throws(ClientError) -> T {
        try UserDriverClient.decode(type, parameters, of: "\(type)")
    }
}

extension UserDriverClient {
    /// The interfaces that devices' drivers answer, or those of the device that the selector names.
    public func services(_ selector: String? = nil) async throws(ClientError) -> [ServiceStatus] {
        try Self.decode([ServiceStatus].self, try await request("Services", ["device": selector])["services"], of: "Services")
    }

    /// An interface's definition, as its driver's bundle has it.
    public func definition(of interface: String) async throws(ClientError) -> VarlinkInterface {
        let reply = try await request("GetInterfaceDescription", of: VarlinkService.name, ["interface": interface])
        guard let text = reply["description"]?.stringValue else { throw Self.malformed("GetInterfaceDescription") }
        do throws(VarlinkSyntaxError) {
            return try VarlinkInterface(parsing: text.utf8)
        } catch {
            throw ClientError(.malformedReply, "The definition of \(interface) can't be read: \(error).")
        }
    }

    /// Calls a method of a driver's interface: `"org.example.thermometer.Read"`.
    ///
    /// A cancelled task cancels the call in the driver too. Throws `driverRestarted` if the
    /// driver died while it worked on a call that can't be repeated blindly, and the driver's own
    /// errors with their `name`.
    /// - Parameters:
    ///   - device: an id, `vid:pid`, a bus path or a part of the name; `nil` for the only device that has the interface.
    ///   - memory: bytes that go along, for what does not fit into a message; at most four.
    ///   - timeout: how long the answer may take, `callTimeout` where it is left out. Methods that take longer have a `deadline` in `services`.
    public func call(
        _ method: String, device: String? = nil, _ parameters: JSONValue = .object([:]), memory: [[UInt8]] = [], timeout: Duration? = nil
    ) async throws(ClientError) -> ServiceReply {
        let (directory, nanoseconds) = (runtimeDirectory, (timeout ?? callTimeout).clientNanoseconds)
        let object = Self.parameters(parameters, device: device)
        return try await ClientThread.run("userdriver-call") { (cancellation) throws(ClientError) in
            let connection = try DaemonConnection(directory)
            cancellation.enter(connection)
            let deadline = clinux_monotonic_ns() + nanoseconds
            for bytes in memory { try connection.lend(bytes, deadline: deadline) }
            try connection.send(method, object)
            return try Self.reply(connection.receive(deadline: deadline)).reply
        }
    }

    /// The same for a method that gives several replies. To stop iterating cancels the call. Each
    /// reply has the method's deadline.
    public func replies(
        to method: String, device: String? = nil, _ parameters: JSONValue = .object([:]), memory: [[UInt8]] = []
    ) -> ServiceReplies {
        ServiceReplies(directory: runtimeDirectory, method: method, parameters: Self.parameters(parameters, device: device), memory: memory)
    }

    private static func parameters(_ parameters: JSONValue, device: String?) -> JSONValue {
        guard let device, case .object(var members) = parameters else { return parameters }
        members["device"] = .string(device)
        return .object(members)
    }

    static func reply(
        _ received: (reply: VarlinkReply, descriptors: [Int32])
    ) throws(ClientError) -> (reply: ServiceReply, continues: Bool) {
        let descriptors = OwnedDescriptors(received.descriptors)
        let parameters = try DaemonConnection.result(received.reply)
        var memory: [ReceivedMemory] = []
        for descriptor in descriptors.numbers { memory.append(try ReceivedMemory(descriptor: descriptor)) }
        return (ServiceReply(parameters: parameters, memory: memory), received.reply.continues)
    }
}

/// The replies to a call with `more`. Iterating throws `ClientError`; the call is made when
/// iterating begins.
public struct ServiceReplies: AsyncSequence, Sendable {
    public typealias Element = ServiceReply
    let directory: RuntimeDirectory
    let method: String
    let parameters: JSONValue
    let memory: [[UInt8]]

    public final class Iterator: AsyncIteratorProtocol {
        private let sequence: ServiceReplies
        private var connection: DaemonConnection?
        private var isOver = false

        init(_ sequence: ServiceReplies) { self.sequence = sequence }

        deinit { connection?.stop() }

        /// Waits on a thread of its own. Nothing is read unless asked for, and the daemon cuts off
        /// a client that leaves too much unread.
        public func next() async throws -> ServiceReply? {
            guard !isOver else { return nil }
            let (sequence, known) = (sequence, connection)
            do {
                let (reply, continues, connection) = try await ClientThread.run("userdriver-call") { (cancellation) throws(ClientError) in
                    let connection = if let known { known } else { try DaemonConnection(sequence.directory) }
                    cancellation.enter(connection)
                    if known == nil {
                        let deadline = clinux_monotonic_ns() + 15_000_000_000
                        for bytes in sequence.memory { try connection.lend(bytes, deadline: deadline) }
                        try connection.send(sequence.method, sequence.parameters, more: true)
                    }
                    let (reply, continues) = try UserDriverClient.reply(connection.receive())
                    return (reply, continues, connection)
                }
                self.connection = connection
                isOver = !continues
                return reply
            } catch {
                isOver = true
                throw error
            }
        }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(self) }
}

extension DaemonConnection {
    /// Asks for memory for this connection's next call, and fills it.
    func lend(_ bytes: [UInt8], deadline: UInt64) throws(ClientError) {
        let (_, descriptor) = try callForDescriptor(
            "\(ManagementInterface.name).Memory", ["size": .int(Int64(bytes.count))], deadline: deadline)
        guard let descriptor else { throw UserDriverClient.malformed("Memory") }
        let memory = OwnedDescriptor(descriptor)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { pwrite(memory.number, $0.baseAddress! + written, $0.count - written, off_t(written)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .system("Writing memory for a call", errno) }
            written += count
        }
    }
}
