// The driver's way to its supervisor: records, logs, rings.

public import FrameRing
import Glibc
import Synchronization
public import Wire

/// What a driver says to its supervisor, from any thread.
public final class SupervisorLink: Sendable {
    private struct Pending {
        var nextRequest: UInt64 = 1
        var rings: [UInt64: CheckedContinuation<(RingGrant, Int32), any Error>] = [:]
    }

    private let channel: Channel
    private let generation: UInt32
    private let pending = Mutex(Pending())

    init(channel: Channel, generation: UInt32) {
        self.channel = channel
        self.generation = generation
    }

    /// A supervisor that can't be spoken to any more is gone, and a driver without one holds a device for nobody: the process ends.
    func send(_ message: MessageFromDriver) {
        do {
            try channel.send(message)
        } catch {
            _exit(0)
        }
    }

    /// What the next incarnation should start from. At most 32 KiB of JSON.
    public func record(_ value: JSONValue) { send(.record(value)) }

    /// A line for the log; the last ones are part of a crash report. Levels are swift-log's: `"info"`, `"warning"`, `"error"`.
    public func log(_ level: String, _ message: String) { send(.log(level: level, message: String(message.prefix(2000)))) }

    /// Something the device said by itself, for whoever watches.
    public func event(_ name: String, _ parameters: JSONValue = .object([:])) { send(.event(name: name, parameters: parameters)) }

    /// The stream has ended for good.
    public func closeRing(_ name: String, reason: String) { send(.ringClosed(name: name, reason: reason)) }

    /// Ends this process, which can't go on, with the reason said.
    public func fail(_ reason: String) -> Never {
        send(.failed(reason: String(reason.prefix(2000))))
        _exit(1)
    }

    /// A frame ring of this name, for frames of up to `capacity` bytes: the one that is there already if it is large enough (whoever watches
    /// does not notice), else a new one. `description` is what clients are told of the frames.
    public func openRing(name: String, capacity: Int, slotCount: Int, description: JSONValue) async throws -> FrameRingWriter {
        let (grant, descriptor) = try await withCheckedThrowingContinuation { continuation in
            let request = pending.withLock { pending in
                let request = pending.nextRequest
                pending.nextRequest += 1
                pending.rings[request] = continuation
                return request
            }
            send(
                .openRing(
                    RingRequest(
                        request: request, name: name, capacity: capacity, slotCount: slotCount, description: description)))
        }
        defer { close(descriptor) }
        guard let geometry = FrameRingGeometry(capacity: grant.capacity, slotCount: grant.slotCount), grant.capacity >= capacity else {
            throw CallError("ContractBroken", "The supervisor's ring of \(grant.slotCount) × \(grant.capacity) bytes does not fit.")
        }
        return try FrameRingWriter(descriptor: descriptor, geometry: geometry, generation: generation)
    }

    /// Takes the answer to `openRing`.
    func granted(_ grant: RingGrant, descriptor: Int32) {
        guard let waiter = pending.withLock({ $0.rings.removeValue(forKey: grant.request) }) else {
            close(descriptor)
            return
        }
        waiter.resume(returning: (grant, descriptor))
    }

    func refused(request: UInt64, reason: String) {
        pending.withLock { $0.rings.removeValue(forKey: request) }?.resume(throwing: CallError("Refused", reason))
    }
}
