// Calls on their way to a driver, which may die before it answers.

import Glibc
import Wire

/// Something a driver was or will be asked.
@SupervisorActor
final class CallTicket {
    enum Purpose {
        case client(ClientCall, MethodPolicy)
        /// No watcher: a stream that an incarnation before had on.
        case open(ManagedStream, StreamWatcher?)
        case close(String)
    }
    /// How often a call is sent: a call that drivers die on is not tried for ever.
    static let maximumSends = 3

    let purpose: Purpose
    let method: String
    let parameters: JSONValue
    /// What goes along, each time it is sent.
    let memory: [SharedMemory]
    /// The driver's number for it, while it is in flight.
    var number: UInt64?
    var sends = 0
    /// Replies that were passed on.
    var replies = 0
    /// What the driver was given for its next reply.
    var granted: [UInt64: SharedMemory] = [:]
    let limit = ReactorTimer()

    init(_ purpose: Purpose, method: String, parameters: JSONValue, memory: [SharedMemory] = []) {
        self.purpose = purpose
        self.method = method
        self.parameters = parameters
        self.memory = memory
    }

    var client: ClientCall? { if case .client(let call, _) = purpose { call } else { nil } }

    /// Whether it may be asked again after a death.
    var maySendAgain: Bool {
        guard case .client(_, let policy) = purpose else { return false }
        return policy.isIdempotent && (replies == 0 || policy.resumes) && sends < Self.maximumSends
    }
}

/// Calls that were sent to the driver and that nobody waits for any more: it has not ended them
/// yet.
struct AbandonedCalls {
    /// Whose they were, by the driver's number.
    private var users: [UInt64: UInt32] = [:]

    mutating func add(_ number: UInt64, of user: UInt32) { users[number] = user }
    mutating func ended(_ number: UInt64) { users[number] = nil }
    mutating func driverHasEnded() { users = [:] }
    var count: Int { users.count }
    func count(of user: UInt32) -> Int { users.values.count { $0 == user } }
}

extension DriverFunction {
    /// Passes a client's call on to the driver. Its answer, or an error, comes within the method's
    /// deadline.
    func forward(
        _ call: ClientCall, parameters: JSONValue, memory: [SharedMemory] = [], policy: MethodPolicy
    ) throws(CallError) {
        switch state {
        case .absent: throw CallError("DeviceUnavailable", "\(name) is not attached.")
        case .failed: throw CallError("DeviceUnavailable", reason ?? "The driver has failed.")
        case .unsupported: throw CallError("NotSupported", reason ?? "No driver is installed for this device.")
        case .kernel: throw CallError("DeviceUnavailable", reason ?? Self.leftToKernel)
        case .starting, .running, .backoff: break
        }
        try admitCall(of: call.peer.userID)
        let ticket = CallTicket(.client(call, policy), method: call.call.method, parameters: parameters, memory: memory)
        limit(ticket, policy)
        call.onCancel = { [weak self, weak ticket] in
            guard let self, let ticket else { return }
            self.abandon(ticket)
        }
        submit(ticket)
    }

    /// One user who is nobody in particular does not keep the others from calling.
    private func admitCall(of user: UInt32) throws(CallError) {
        guard tickets.count + abandoned.count < limits.callsPerDevice else {
            throw CallError("LimitReached", "\(name) has too many unanswered calls already.")
        }
        guard ClientRights.of(user: user, daemonUser: geteuid()) == .using else { return }
        let own = tickets.count { $0.client?.peer.userID == user } + abandoned.count(of: user)
        guard own < limits.callsPerUser else {
            throw CallError("LimitReached", "\(name) has \(own) unanswered calls from this user already.")
        }
    }

    /// From now on: the time for the answer, or for the next one.
    private func limit(_ ticket: CallTicket, _ policy: MethodPolicy) {
        let deadline = policy.deadline ?? timing.callLimit
        ticket.limit.set(after: deadline) { [weak self, weak ticket] in
            guard let self, let ticket else { return }
            let code = ticket.number == nil ? "DeviceUnavailable" : "DeviceError"
            self.abandon(ticket)
            ticket.client?.fail(CallError(code, "The driver did not answer within \(deadline.text)."))
        }
    }

    func submit(_ ticket: CallTicket) {
        tickets.append(ticket)
        if state == .running { dispatch(ticket) }
    }

    private func dispatch(_ ticket: CallTicket) {
        guard let incarnation, ticket.number == nil else { return }
        ticket.number = nextCall
        nextCall += 1
        ticket.sends += 1
        if case .open(let stream, _) = ticket.purpose { asked.insert(stream.name) }
        let call = DriverCall(
            id: ticket.number ?? 0, method: ticket.method, parameters: ticket.parameters,
            more: ticket.client?.call.more == true ? true : nil,
            memory: ticket.memory.isEmpty ? nil : ticket.memory.map(\.byteCount))
        if !incarnation.send(.call(call), descriptors: ticket.memory.map(\.descriptor)) {
            let error = CallError(
                "InvalidParameter",
                "The parameters are too large: a call has at most \(Channel.maximumPacket) bytes. Anything larger goes in memory "
                    + "(\(ManagementInterface.name).Memory).")
            drop(ticket)
            switch ticket.purpose {
            case .client(let client, _): client.fail(error)
            case .open(let stream, let watcher): opened(stream, watcher, DriverReply(id: 0, error: error))
            case .close: break
            }
        }
    }

    /// The driver has answered.
    func answered(_ reply: DriverReply) {
        // A late answer to what was given up is nobody's.
        guard let ticket = tickets.first(where: { $0.number == reply.id }) else { return abandoned.ended(reply.id) }
        if case .client(let call, let policy) = ticket.purpose { return answered(call, ticket, policy, reply) }
        drop(ticket)
        switch ticket.purpose {
        case .close(let name):
            guard streams[name] == nil else { break }
            closeTransfers(name)
            asked.remove(name)
        case .open(let stream, let watcher):
            opened(stream, watcher, reply)
            if reply.error != nil, streams[stream.name] == nil, !isClosing(stream.name) { asked.remove(stream.name) }
        case .client: break
        }
    }

    private func answered(_ call: ClientCall, _ ticket: CallTicket, _ policy: MethodPolicy, _ reply: DriverReply) {
        let continues = reply.continues == true && reply.error == nil
        guard !continues || call.call.more else {
            abandon(ticket)
            return call.fail(CallError("DeviceError", "The driver gave several replies where one was asked for."))
        }
        if !continues { drop(ticket) }
        if let error = reply.error { return call.fail(error) }
        guard case .object = reply.result ?? .object([:]) else {
            if continues { abandon(ticket) }
            return call.fail(CallError("DeviceError", "The driver's answer is not an object."))
        }
        answers += 1
        let memory: [SharedMemory]
        do throws(CallError) {
            memory = try take(reply.memory ?? [], of: ticket)
        } catch {
            if continues { abandon(ticket) }
            return call.fail(error)
        }
        if continues {
            ticket.replies += 1
            ticket.sends = 1
            limit(ticket, policy)
        }
        call.reply(
            VarlinkReply(reply.result ?? .object([:]), continues: continues), descriptors: memory.map(\.descriptor))
    }

    // MARK: Memory for replies

    func openMemory(_ request: MemoryRequest) {
        func refuse(_ reason: String) { incarnation?.send(.ringRefused(request: request.request, reason: reason)) }
        guard let ticket = tickets.first(where: { $0.number == request.call && $0.client != nil }) else {
            return refuse("Nobody is waiting for the answer to that call.")
        }
        let held = tickets.reduce(0) { $0 + $1.granted.values.reduce(0) { $0 + $1.byteCount } }
        guard (1...limits.memoryBytesPerDevice).contains(request.byteCount), held + request.byteCount <= limits.memoryBytesPerDevice else {
            return refuse("A driver gets at most \(limits.memoryBytesPerDevice) bytes of memory for replies; it has \(held).")
        }
        guard ticket.granted.count < MemoryRequest.maximumPerMessage else {
            return refuse("A reply takes at most \(MemoryRequest.maximumPerMessage) pieces of memory.")
        }
        do throws(CallError) {
            let memory = try SharedMemory(byteCount: request.byteCount)
            let grant = MemoryGrant(request: request.request, number: nextCall, byteCount: request.byteCount)
            nextCall += 1
            ticket.granted[grant.number] = memory
            incarnation?.send(.memory(grant), descriptors: [memory.descriptor])
        } catch {
            refuse(error.message)
        }
    }

    private func take(_ numbers: [UInt64], of ticket: CallTicket) throws(CallError) -> [SharedMemory] {
        var list: [SharedMemory] = []
        for number in numbers {
            guard let memory = ticket.granted.removeValue(forKey: number) else {
                throw CallError("DeviceError", "The driver's answer refers to memory that it was not given.")
            }
            guard memory.seal() else {
                throw CallError("DeviceError", "The driver still has the memory of its answer mapped for writing.")
            }
            list.append(memory)
        }
        return list
    }

    private func isClosing(_ name: String) -> Bool {
        tickets.contains { if case .close(name) = $0.purpose { true } else { false } }
    }

    private func drop(_ ticket: CallTicket) {
        ticket.limit.lift()
        tickets.removeAll { $0 === ticket }
    }

    /// Nobody waits for it any more: the driver is told, where it works on it.
    private func abandon(_ ticket: CallTicket) {
        drop(ticket)
        guard let number = ticket.number, let client = ticket.client else { return }
        abandoned.add(number, of: client.peer.userID)
        incarnation?.send(.cancel(id: number))
    }

    private func finish(_ ticket: CallTicket, _ error: CallError) {
        drop(ticket)
        if case .client(let call, _) = ticket.purpose { call.fail(error) }
    }

    // MARK: What happens to the device

    /// The driver runs: what waits for it goes out.
    func driverIsReady() {
        for ticket in tickets { dispatch(ticket) }
        streamsAreReady()
        objectsGotDriver()
    }

    /// The driver has ended: what may be asked twice waits for the next one.
    func driverIsGone() {
        givenUp.driverHasEnded()
        abandoned.driverHasEnded()
        shown = nil
        objectsLostDriver()
        asked = []
        for ticket in tickets {
            switch ticket.purpose {
            case .client:
                guard ticket.number != nil else { continue }
                ticket.granted = [:]
                if ticket.maySendAgain {
                    ticket.number = nil
                } else {
                    finish(
                        ticket,
                        CallError(
                            "DriverRestarted", "The driver died while working on the call; whether the call took effect is not known."))
                }
            case .open(_, let watcher):
                // Asked again when the next one runs.
                watcher?.isAsking = false
                drop(ticket)
            case .close: drop(ticket)
            }
        }
    }

    func deviceBecameAbsent(_ why: String) {
        failCalls(CallError("DeviceUnavailable", "\(name) is gone. \(why)"))
        streamsLostDevice(why)
    }

    func deviceHasFailed(_ why: String) {
        failCalls(CallError("DeviceUnavailable", why))
        streamsHaveFailed(why)
    }

    func endAll(_ why: String) {
        failCalls(CallError("DeviceUnavailable", why))
        endStreams(why)
    }

    private func failCalls(_ error: CallError) {
        for ticket in tickets {
            if case .client = ticket.purpose { finish(ticket, error) }
        }
    }
}
