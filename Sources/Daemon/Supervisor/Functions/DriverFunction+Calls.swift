// Calls on their way to a driver, which may die before it answers.

import Wire

/// Something a driver was or will be asked.
@SupervisorActor
final class CallTicket {
    enum Purpose {
        case client(ClientCall, isIdempotent: Bool)
        /// No watcher: a stream that an incarnation before had on.
        case open(ManagedStream, StreamWatcher?)
        case close(String)
    }
    /// How often a call is sent: a call that drivers die on is not tried for ever.
    static let maximumSends = 2

    let purpose: Purpose
    let method: String
    let parameters: JSONValue
    /// The driver's number for it, while it is in flight.
    var number: UInt64?
    var sends = 0
    let limit = ReactorTimer()

    init(_ purpose: Purpose, method: String, parameters: JSONValue) {
        self.purpose = purpose
        self.method = method
        self.parameters = parameters
    }
}

extension DriverFunction {
    /// Passes a client's call on to the driver. Its answer, or an error, comes within the configuration's `callLimit`.
    func forward(_ call: ClientCall, parameters: JSONValue, isIdempotent: Bool) throws(CallError) {
        switch state {
        case .absent: throw CallError("DeviceUnavailable", "\(name) is not attached.")
        case .failed: throw CallError("DeviceUnavailable", reason ?? "The driver has failed.")
        case .unsupported: throw CallError("NotSupported", reason ?? "No driver is installed for this device.")
        case .kernel: throw CallError("DeviceUnavailable", reason ?? Self.leftToKernel)
        case .starting, .running, .backoff: break
        }
        guard answers(call.call.interfaceName ?? "") else {
            throw CallError("NotSupported", "\(name) has no interface \(call.call.interfaceName ?? "").")
        }
        guard tickets.count < limits.callsPerDevice else {
            throw CallError("LimitReached", "\(name) has too many calls to answer already.")
        }
        let ticket = CallTicket(.client(call, isIdempotent: isIdempotent), method: call.call.method, parameters: parameters)
        ticket.limit.set(after: timing.callLimit) { [weak self, weak ticket] in
            guard let self, let ticket else { return }
            let code = ticket.number == nil ? "DeviceUnavailable" : "DeviceError"
            self.finish(ticket, CallError(code, "The driver did not answer within \(self.timing.callLimit.text)."))
        }
        call.onCancel = { [weak self, weak ticket] in
            guard let self, let ticket else { return }
            self.drop(ticket)
        }
        submit(ticket)
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
        let call = DriverCall(id: ticket.number ?? 0, method: ticket.method, parameters: ticket.parameters)
        if !incarnation.send(.call(call)) {
            let error = CallError("InvalidParameter", "The parameters are too large.")
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
        guard let ticket = tickets.first(where: { $0.number == reply.id }) else { return }
        drop(ticket)
        switch ticket.purpose {
        case .close(let name):
            guard streams[name] == nil else { break }
            closeTransfers(name)
            asked.remove(name)
        case .open(let stream, let watcher):
            opened(stream, watcher, reply)
            if reply.error != nil, streams[stream.name] == nil, !isClosing(stream.name) { asked.remove(stream.name) }
        case .client(let call, _):
            if let error = reply.error {
                call.fail(error)
            } else if case .object = reply.result ?? .object([:]) {
                call.succeed(reply.result ?? .object([:]))
            } else {
                call.fail(CallError("DeviceError", "The driver's answer is not an object."))
            }
        }
    }

    private func isClosing(_ name: String) -> Bool {
        tickets.contains { if case .close(name) = $0.purpose { true } else { false } }
    }

    private func drop(_ ticket: CallTicket) {
        ticket.limit.lift()
        tickets.removeAll { $0 === ticket }
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
    }

    /// The driver has ended: what may be asked twice waits for the next one.
    func driverIsGone() {
        givenUp.driverHasEnded()
        asked = []
        for ticket in tickets {
            switch ticket.purpose {
            case .client(_, let isIdempotent):
                guard ticket.number != nil else { continue }
                if isIdempotent, ticket.sends < CallTicket.maximumSends {
                    ticket.number = nil
                } else {
                    finish(
                        ticket,
                        CallError("DriverRestarted", "The driver died while it worked on the call; whether it took effect is not known."))
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
