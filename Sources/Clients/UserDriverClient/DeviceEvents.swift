// What happens to devices, as it happens.

public import CameraInterface
import FileDescriptors
public import Wire

/// Something that happened to a device.
public struct DeviceEvent: Codable, Hashable, Sendable {
    /// Wall-clock time, ISO 8601.
    public var time: String
    /// The device's id, empty if it concerns the daemon itself.
    public var device: String
    /// A word for programs: `"absent"`, `"running"`, `"restarted"`…
    public var event: String
    /// A sentence for people.
    public var message: String
    /// For the event `"device"`, which a device reported by itself: its driver's name for it, and its parameters.
    public var name: String?
    public var parameters: JSONValue?

    /// What a camera said; `nil` where this is something else.
    public var camera: CameraEvent? { event == "device" ? CameraEvent(name: name, parameters: parameters) : nil }
}

/// The daemon's events. Iterating throws `ClientError`; only one iterator gets them.
public struct DeviceEvents: AsyncSequence, Sendable {
    public typealias Element = DeviceEvent
    private let stream: AsyncThrowingStream<DeviceEvent, any Error>

    public struct Iterator: AsyncIteratorProtocol {
        var base: AsyncThrowingStream<DeviceEvent, any Error>.Iterator
        public mutating func next() async throws -> DeviceEvent? { try await base.next() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(base: stream.makeAsyncIterator()) }

    /// Over a connection on which `Events` was called.
    init(connection: DaemonConnection) throws(ClientError) {
        // A reader that lags a thousand events behind loses the oldest: nobody reads that far back, and memory stays bounded.
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: DeviceEvent.self, bufferingPolicy: .bufferingNewest(1000))
        self.stream = stream
        continuation.onTermination = { _ in connection.stop() }
        try ClientThread.start("userdriver-news") {
            do throws(ClientError) {
                while true {
                    let (reply, descriptors) = try connection.receive()
                    _ = OwnedDescriptors(descriptors)
                    continuation.yield(
                        try UserDriverClient.decode(DeviceEvent.self, try DaemonConnection.result(reply), of: "Events"))
                    if !reply.continues { break }
                }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }
}
