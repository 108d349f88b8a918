// What a program wants of a device and gets as objects: pages, photos, files, each whole, and each
// once.

import CLinux
import FileDescriptors
import Glibc
public import Wire

/// A job: a name by which a program asks a device for objects, and by which it, or a later program,
/// gets and acknowledges them.
///
/// An object stays until it is acknowledged, whatever dies in the meantime. So process it first,
/// under its id, then acknowledge it. A program that died in between finds it again, with the same
/// id.
public struct DeviceJob: Sendable {
    /// Keep it somewhere to continue the job after a restart.
    public let token: String
    public let deviceID: String
    let client: UserDriverClient

    /// A name that nobody else has.
    public static func newToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let digits = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Its objects that are not acknowledged yet, in the order of their ids.
    public func objects() async throws(ClientError) -> [ObjectStatus] { try await client.objects(job: token) }

    /// The bytes of a committed object.
    public func open(_ id: UInt64) async throws(ClientError) -> DeviceObject { try await client.object(id) }

    /// The object is no longer kept. Acknowledging one that is already gone is not an error.
    public func acknowledge(_ id: UInt64) async throws(ClientError) {
        do throws(ClientError) {
            _ = try await client.request("AcknowledgeObject", ["job": token], ["id": .int(Int64(clamping: id))])
        } catch {
            guard error.code == .noSuchObject else { throw error }
        }
    }

    /// Removes everything that belongs to the job.
    public func discard() async throws(ClientError) { _ = try await client.request("DiscardJob", ["job": token]) }

    /// The first object after that id that is finished: committed or abandoned. Waits for it, also
    /// for a daemon that comes back. Throws `timedOut`.
    public func next(after id: UInt64 = 0, timeout: Duration) async throws(ClientError) -> ObjectStatus {
        let (directory, token) = (client.runtimeDirectory, token)
        return try await ClientThread.run("userdriver-objects") { (cancellation) throws(ClientError) in
            let deadline = clinux_monotonic_ns() + timeout.clientNanoseconds
            let comeback = Comeback(directory, cancellation: cancellation)
            while true {
                do throws(ClientError) {
                    return try Self.next(directory, token, after: id, deadline: deadline, cancellation)
                } catch {
                    if cancellation.isCancelled { throw ClientError(.stopped, "The wait for an object was cancelled.") }
                    guard [.daemonNotRunning, .connectionLost].contains(error.code), clinux_monotonic_ns() < deadline else { throw error }
                    comeback.wait(until: deadline)
                }
            }
        }
    }

    private static func next(
        _ directory: RuntimeDirectory, _ token: String, after id: UInt64, deadline: UInt64, _ cancellation: Cancellation
    ) throws(ClientError) -> ObjectStatus {
        let watch = try DaemonConnection(directory)
        cancellation.enter(watch)
        try watch.send("\(ManagementInterface.name).WatchObjects", ["job": .string(token)], more: true)
        let list = try DaemonConnection(directory)
        while true {
            let (reply, descriptors) = try watch.receive(deadline: deadline)
            _ = OwnedDescriptors(descriptors)
            _ = try DaemonConnection.result(reply)
            var page = ObjectPage(after: id, job: token)
            while let parameters = page.parameters {
                let objects = try page.take(try list.call(ObjectPage.method, parameters, deadline: deadline))
                if let first = objects.first(where: { $0.state != .open }) { return first }
            }
        }
    }
}

/// One answer to `Objects` after the other.
struct ObjectPage {
    static let method = "\(ManagementInterface.name).Objects"
    private var after: UInt64?
    private let device: String?
    private let job: String?

    init(after: UInt64 = 0, device: String? = nil, job: String? = nil) {
        self.after = after
        self.device = device
        self.job = job
    }

    /// Of the next call; `nil` after the last one.
    var parameters: JSONValue? {
        guard let after else { return nil }
        var members: [String: JSONValue] = ["after": .int(Int64(clamping: after))]
        if let device { members["device"] = .string(device) }
        if let job { members["job"] = .string(job) }
        return .object(members)
    }

    mutating func take(_ reply: JSONValue) throws(ClientError) -> [ObjectStatus] {
        let objects = try UserDriverClient.decode([ObjectStatus].self, reply["objects"], of: "Objects")
        let next = reply["next"]?.intValue.flatMap { UInt64(exactly: $0) }
        // A daemon that does not get on would keep this one busy for ever.
        after = next.flatMap { $0 > after ?? 0 ? $0 : nil }
        return objects
    }
}
