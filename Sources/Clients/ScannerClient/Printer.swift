// The printer beside a scanner: requests of the Internet Printing Protocol, passed on as they are.

public import ScannerInterface
public import UserDriverClient
import Wire

/// A device that prints and that the daemon drives. Requests are IPP (RFC 8010, 8011), which this
/// code does not interpret.
public struct Printer: Sendable {
    public struct Answer: Hashable, Sendable {
        /// HTTP's.
        public var status: Int
        /// The media type.
        public var type: String
        public var body: [UInt8]
    }

    public let client: UserDriverClient
    /// Its id.
    public let deviceID: String
    /// As long as a method's deadline, and a little.
    private static let patience = Duration.seconds(20 * 60 + 15)

    public init(client: UserDriverClient, deviceID: String) {
        self.client = client
        self.deviceID = deviceID
    }

    /// Sends a request whose whole body is at hand, at most `PrinterInterface.largestPiece` bytes.
    public func ask(_ body: [UInt8], path: String = "/ipp/print", within limit: Duration) async throws(ClientError) -> Answer {
        let name = DeviceJob.newToken()
        let answer: Answer
        do {
            try await send(PrintPiece(request: name, path: path, offset: 0, last: true), body, within: limit)
            answer = try await receive(name, within: limit)
        } catch {
            // What it throws says less than what went wrong.
            try? await end(name)
            throw error
        }
        try await end(name)
        return answer
    }

    /// Sends a piece of a request's body. Returns once the device has taken it. The same piece may
    /// be sent again, whatever became of it: bytes that the device has taken are not sent twice.
    public func send(_ piece: PrintPiece, _ bytes: [UInt8], within limit: Duration? = nil) async throws(ClientError) {
        let parameters: JSONValue = [
            "request": .string(piece.request), "path": .string(piece.path), "offset": .int(Int64(clamping: piece.offset)),
            "last": .bool(piece.last),
        ]
        _ = try await client.call(
            Self.method(.send), device: deviceID, parameters, memory: bytes.isEmpty ? [] : [bytes], timeout: limit ?? Self.patience)
    }

    /// The device's answer to a request whose body is over; the same one until `end`.
    public func receive(_ request: String, within limit: Duration? = nil) async throws(ClientError) -> Answer {
        let reply = try await client.call(
            Self.method(.receive), device: deviceID, ["request": .string(request)], timeout: limit ?? Self.patience)
        let head: PrintAnswerHead = try reply.decode()
        return Answer(status: head.status, type: head.type, body: reply.memory.first?.bytes ?? [])
    }

    /// Its answer was taken, or nobody wants it any more.
    public func end(_ request: String) async throws(ClientError) {
        _ = try await client.call(Self.method(.end), device: deviceID, ["request": .string(request)], timeout: .seconds(65))
    }

    private static func method(_ method: PrinterInterface.Method) -> String { "\(PrinterInterface.name).\(method.rawValue)" }
}
