// The driver's way to its supervisor: records, logs, rings.

import CLinux
import FileDescriptors
import FlightRecorder
public import FrameRing
import Glibc
import Synchronization
public import TransferRing
import USB
public import Wire

/// What a driver says to its supervisor, from any thread.
public final class SupervisorLink: Sendable {
    /// What the supervisor has answered to a request for memory, with the descriptors that came.
    private enum Grant: Sendable {
        case frames(RingGrant, [Int32])
        case transfers(TransferGrant, [Int32])
        case memory(MemoryGrant, [Int32])
        case conversation(ConversationGrant, [Int32])
    }

    private struct Pending {
        var nextRequest: UInt64 = 1
        var grants: [UInt64: CheckedContinuation<Grant, any Error>] = [:]
    }

    private let channel: Channel
    private let generation: UInt32
    private let pending = Mutex(Pending())
    private let moves: RingMoves
    /// How long this process goes on without a supervisor.
    private let afterlife = Mutex<UInt32>(0)
    /// Who carries the transfers of rings, and who notes them; set before the driver starts.
    let way = Mutex<(carriers: any RingCarrierSource, recorder: FlightRecorder?)?>(nil)
    let objects = Mutex<(any ObjectReceiver)?>(nil)

    /// Rings that the predecessor left and that nobody has asked for yet.
    let kept = KeptRings()
    let progress = Mutex<Progress?>(nil)

    init(channel: Channel, generation: UInt32) {
        self.channel = channel
        self.generation = generation
        moves = RingMoves(channel)
    }

    /// A supervisor that can't be spoken to any more is gone, and a driver without one holds a device for nobody: the process ends, unless it was
    /// told that another one follows.
    func send(_ message: MessageFromDriver) {
        do throws(WireError) {
            try channel.send(message)
        } catch {
            if let problem = Self.mistake(error) {
                // Nothing is wrong with the channel: what was to be said can't be.
                complain("A message to the supervisor was dropped: \(problem)")
            } else if !survivesSupervisor {
                _exit(0)
            }
        }
    }

    /// What this process did wrong, where a message could not be sent because of what is in it.
    private static func mistake(_ error: WireError) -> String? {
        switch error.code {
        case .oversize: "it has more than \(Channel.maximumPacket) bytes (\(error.detail ?? "too many"))."
        case .malformed: "it can't be written as JSON: \(error.detail ?? "\(error)")."
        default: nil
        }
    }

    /// Sends a reply with a result. Throws `CallError` for one that can't be sent.
    func answer(_ reply: DriverReply) throws(CallError) {
        do throws(WireError) {
            try channel.send(MessageFromDriver.reply(reply))
        } catch {
            if let problem = Self.mistake(error) {
                throw CallError(
                    "DeviceError", "The driver's answer can't be sent: \(problem)",
                    remedy: "Anything larger than a message goes in memory (ServiceCall.makeMemory).")
            }
            if !survivesSupervisor { _exit(0) }
        }
    }

    /// Sends an error; one that is too large loses its detail and all but the beginning of its
    /// message.
    func reply(_ reply: DriverReply) {
        do throws(CallError) {
            try answer(reply)
        } catch {
            let short = CallError(
                String((reply.error?.code ?? "DeviceError").prefix(200)), String((reply.error?.message ?? "").prefix(2000)))
            send(.reply(DriverReply(id: reply.id, error: short)))
        }
    }

    /// Says that this process is alive, which prolongs its life where it may survive the
    /// supervisor.
    func beat(_ statistics: DriverStatistics) {
        do throws(WireError) {
            try channel.send(MessageFromDriver.heartbeat(statistics))
        } catch {
            if let problem = Self.mistake(error) {
                // The figures can't be told, but it is alive.
                complain("A heartbeat is sent without the driver's statistics: \(problem)")
                send(.heartbeat(DriverStatistics(streams: statistics.shown == nil ? [:] : statistics.streams)))
            } else if !survivesSupervisor {
                _exit(0)
            }
            return
        }
        afterlife.withLock { seconds in
            if seconds > 0 { _ = clinux_survive_parent(seconds) }
        }
    }

    /// Whether this process goes on when the supervisor is gone.
    var survivesSupervisor: Bool { afterlife.withLock { $0 > 0 } }

    /// What the supervisor says of the time after it. The kernel ends this process by the clock then, however it hangs.
    func survive(seconds: UInt32) {
        let result = afterlife.withLock { afterlife in
            let result = clinux_survive_parent(seconds)
            afterlife = result == 0 ? seconds : 0
            return result
        }
        if result < 0 { log("warning", "This driver ends with its supervisor: \(String(cString: strerror(-result))).") }
    }

    /// Counters for something that this driver is doing (see `Progress.activity`), if it has a supervisor that looks at them.
    public func activity(_ name: String, unit: String) -> Progress.Activity? { progress.withLock { $0 }?.activity(name, unit: unit) }

    /// What the next incarnation should start from. At most 32 KiB of JSON.
    public func record(_ value: JSONValue) { send(.record(value)) }

    /// A line for the log; the last ones are part of a crash report. Levels are swift-log's: `"info"`, `"warning"`, `"error"`.
    public func log(_ level: String, _ message: String) { send(.log(level: level, message: String(message.prefix(2000)))) }

    /// Something the device reported by itself, for clients that watch.
    public func event(_ name: String, _ parameters: JSONValue = .object([:])) { send(.event(name: name, parameters: parameters)) }

    /// The stream has ended for good.
    public func closeRing(_ name: String, reason: String) { send(.ringClosed(name: name, reason: reason)) }

    /// Ends this process, which can't go on, for this reason.
    public func fail(_ reason: String) -> Never { fail(CallError("DriverFailed", reason)) }

    /// Ends this process because of an error that it can't recover from. If the error names a layer, `userdriver stack` blames that layer.
    /// - Parameter message: replaces the error's own words.
    public func fail(_ error: any Error, as message: String? = nil) -> Never {
        send(.failed(CallError(describing: error, as: message).bounded))
        _exit(1)
    }

    /// Ends this process because the device no longer answers, for this reason. The next one gets the device after a reset.
    public func failUnresponsive(_ reason: String) -> Never {
        send(.unresponsive(CallError("DeviceError", reason, layer: "class").bounded))
        _exit(1)
    }

    /// A frame ring of this name, for frames of up to `capacity` bytes: the existing one if it is large enough (clients do not notice),
    /// else a new one. `description` tells clients about the frames. While it streams, the supervisor may move it to another ring when
    /// somebody comes or leaves: see `FrameRingWriter.movesAtFrames`.
    public func openRing(name: String, capacity: Int, slotCount: Int, description: JSONValue) async throws -> FrameRingWriter {
        let answer = try await ask { request in
            .openRing(RingRequest(request: request, name: name, capacity: capacity, slotCount: slotCount, description: description))
        }
        guard case .frames(let grant, let numbers) = answer, !numbers.isEmpty else {
            throw CallError("ContractBroken", "The supervisor has answered without a frame ring.")
        }
        let descriptors = OwnedDescriptors(numbers)
        guard let geometry = FrameRingGeometry(capacity: grant.capacity, slotCount: grant.slotCount), grant.capacity >= capacity else {
            throw CallError("ContractBroken", "The supervisor's ring of \(grant.slotCount) × \(grant.capacity) bytes does not fit.")
        }
        let writer = try FrameRingWriter(
            descriptor: descriptors[0], geometry: geometry, generation: generation, reports: grant.pages(of: descriptors.numbers))
        moves.opened(name, writer)
        return writer
    }

    /// Memory for the transfers of a streaming endpoint, which survives this process. `fresh` says
    /// what it should be; `nil` asks for the ring in which the predecessor's transfers are in
    /// flight. The flight recorder notes the first `headerLength` bytes that come with each
    /// transfer.
    public func openTransfers(name: String, fresh: TransferRequest.Fresh?, headerLength: Int = 0) async throws -> TransferRing {
        let answer = try await ask { .openTransfers(TransferRequest(request: $0, name: name, fresh: fresh)) }
        guard case .transfers(let grant, let numbers) = answer, !numbers.isEmpty else {
            throw CallError("ContractBroken", "The supervisor has answered without a transfer ring.")
        }
        let descriptors = OwnedDescriptors(numbers)
        return try ring(grant, memory: descriptors[0], wake: descriptors.count > 1 ? descriptors[1] : nil, headerLength: headerLength)
    }

    /// Maps a ring, where a predecessor left it if one did.
    func ring(_ grant: TransferGrant, memory: Int32, wake: Int32?, headerLength: Int = 0) throws -> TransferRing {
        guard
            let geometry = TransferRingGeometry(
                transferCount: grant.transferCount, packetCount: grant.packetCount, packetLength: grant.packetLength,
                logLength: grant.logLength ?? 0),
            let way = way.withLock({ $0 })
        else { throw CallError("ContractBroken", "The supervisor's transfer ring does not fit.") }
        let mapping =
            try kept.mapping(grant, memory: memory, way.carriers)
            ?? TransferRingMapping(descriptor: memory, geometry: geometry, number: grant.number)
        let endpoint = EndpointAddress(rawValue: grant.endpoint)
        let carrier = try way.carriers.carrier(endpoint: endpoint, type: geometry.type, wake: wake)
        return TransferRing(
            mapping: mapping, carrier: carrier, direction: endpoint.direction,
            witness: way.recorder.map { RingRecorder($0, type: geometry.type, endpoint: endpoint, headerLength: headerLength) })
    }

    /// The answer to `openConversation`.
    func askForConversation(_ request: (UInt64) -> ConversationRequest) async throws -> (ConversationGrant, [Int32]) {
        let answer = try await ask { .openConversation(request($0)) }
        guard case .conversation(let grant, let descriptors) = answer else {
            throw CallError("ContractBroken", "The supervisor has answered without a conversation.")
        }
        return (grant, descriptors)
    }

    /// Memory that goes to whoever made that call.
    func openMemory(call: UInt64, byteCount: Int) async throws -> ReplyMemory {
        let answer = try await ask { .openMemory(MemoryRequest(request: $0, call: call, byteCount: byteCount)) }
        guard case .memory(let grant, let numbers) = answer, !numbers.isEmpty else {
            throw CallError("ContractBroken", "The supervisor has answered without memory.")
        }
        let descriptors = OwnedDescriptors(numbers)
        return try ReplyMemory(descriptor: descriptors[0], grant)
    }

    private func ask(_ message: (UInt64) -> MessageFromDriver) async throws -> Grant {
        try await withCheckedThrowingContinuation { continuation in
            let request = pending.withLock { pending in
                let request = pending.nextRequest
                pending.nextRequest += 1
                pending.grants[request] = continuation
                return request
            }
            send(message(request))
        }
    }

    /// Takes the answer to `openRing`.
    func granted(_ grant: RingGrant, descriptors: consuming OwnedDescriptors) {
        moves.forget(grant.name)
        answer(grant.request, descriptors) { .frames(grant, $0) }
    }

    /// Takes another ring for a stream.
    func move(_ grant: RingGrant, descriptors: consuming OwnedDescriptors) {
        if descriptors.count > 0 { moves.take(grant, descriptors) }
    }

    /// Takes the answer to `openTransfers`.
    func granted(_ grant: TransferGrant, descriptors: consuming OwnedDescriptors) {
        answer(grant.request, descriptors) { .transfers(grant, $0) }
    }

    /// Takes the answer to `openMemory`.
    func granted(_ grant: MemoryGrant, descriptors: consuming OwnedDescriptors) {
        answer(grant.request, descriptors) { .memory(grant, $0) }
    }

    /// Takes the answer to `openConversation`.
    func granted(_ grant: ConversationGrant, descriptors: consuming OwnedDescriptors) {
        answer(grant.request, descriptors) { .conversation(grant, $0) }
    }

    /// Gives the descriptors to whoever asked, if anybody did.
    private func answer(_ request: UInt64, _ descriptors: consuming OwnedDescriptors, _ grant: ([Int32]) -> Grant) {
        guard let waiter = pending.withLock({ $0.grants.removeValue(forKey: request) }) else { return }
        waiter.resume(returning: grant(descriptors.handOver()))
    }

    func refused(request: UInt64, reason: String) {
        pending.withLock { $0.grants.removeValue(forKey: request) }?.resume(throwing: CallError("Refused", reason))
    }
}
