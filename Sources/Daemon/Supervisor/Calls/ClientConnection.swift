// One client's connection: its calls one after the other, its replies in a bounded queue.

import Wire

/// A client. Its calls are answered in their order, one at a time; what it sends meanwhile waits in its own socket.
@SupervisorActor
final class ClientConnection {
    /// How long something that the system is short of is waited for before it is tried again.
    private static let shortageDelay = Duration.milliseconds(50)

    let peer: VarlinkSocket.Peer
    private let socket: VarlinkSocket
    private let handle: (ClientCall) -> Void
    private let closed: (ClientConnection, _ why: String?) -> Void
    private var token: UInt64?
    private var current: ClientCall?
    private let memory = MemoryShelf()
    private var interest: Reactor.Readiness = .readable
    private var isPumping = false
    private var peerHasClosed = false
    private let idleLimit: Duration
    /// Runs while no call is being answered: for one that says nothing, that never ends a message, that does not read its last answer.
    private let idle = ReactorTimer()
    private let shortage = ReactorTimer()

    /// `handle` is called for each call, `closed` once.
    init(
        socket: VarlinkSocket, peer: VarlinkSocket.Peer, idleLimit: Duration, handle: @escaping @SupervisorActor (ClientCall) -> Void,
        closed: @escaping @SupervisorActor (ClientConnection, _ why: String?) -> Void
    ) {
        self.socket = socket
        self.peer = peer
        self.idleLimit = idleLimit
        self.handle = handle
        self.closed = closed
        token = Reactor.shared.watch(socket.descriptor, for: interest) { [weak self] in self?.ready($0) }
        limitIdleness()
    }

    private func limitIdleness() {
        idle.set(after: idleLimit) { [weak self] in
            guard let self else { return }
            self.close("nothing was answered for \(self.idleLimit.text)")
        }
    }

    /// Ends the connection; whatever the client waited for is cancelled.
    func close(_ why: String? = nil) {
        guard let token else { return }
        Reactor.shared.forget(token, socket.descriptor)
        self.token = nil
        idle.lift()
        shortage.lift()
        socket.shutdown()
        current?.cancel()
        current = nil
        closed(self, why)
    }

    private func ready(_ readiness: Reactor.Readiness) {
        if readiness.contains(.failed) || readiness.contains(.hungUp) {
            close()
            return
        }
        if readiness.contains(.writable), !flush() { return }
        if readiness.contains(.peerClosed), current != nil {
            // One who asked a single thing and closed its side still gets the answer; one who watches has left.
            peerHasClosed = true
            if current?.call.more == true {
                close()
                return
            }
        }
        pump()
    }

    /// False if that has ended the connection.
    private func flush() -> Bool {
        do throws(WireError) {
            try socket.flush()
            return true
        } catch {
            close("\(error)")
            return false
        }
    }

    private func tryLater() {
        shortage.set(after: Self.shortageDelay) { [weak self] in
            guard let self, self.token != nil, self.flush() else { return }
            self.pump()
        }
    }

    /// Takes calls while none is being answered, as far as its turn goes.
    private func pump() {
        guard !isPumping else { return }
        isPumping = true
        defer {
            isPumping = false
            updateInterest()
        }
        var budget = TurnBudget()
        while !budget.isSpent {
            guard token != nil, current == nil, !socket.hasBacklog else { return }
            do throws(WireError) {
                switch try socket.receiveNow(VarlinkCall.self, &budget) {
                case .nothing: return
                case .end:
                    close()
                    return
                case .message(let call, _): take(call)
                }
            } catch {
                switch error.code {
                case .descriptors:
                    refuse(
                        "NotSupported",
                        "The supervisor takes no descriptors; \(ManagementInterface.name).Memory gives memory for a call.")
                case .oversize:
                    refuse(
                        "InvalidParameter",
                        "A call has at most \(socket.maximumMessage) bytes; anything larger goes in memory (\(ManagementInterface.name).Memory)."
                    )
                default: break
                }
                close("\(error)")
                return
            }
        }
        // More may be decoded already, of which the socket says nothing.
        _ = Reactor.shared.schedule(at: 0) { [weak self] in self?.pump() }
    }

    /// The last word to one who is about to be cut off.
    private func refuse(_ code: String, _ message: String) {
        do throws(WireError) {
            try socket.enqueue(
                VarlinkReply(error: "\(ManagementInterface.name).\(code)", parameters: ["message": .string(message)]))
        } catch {
            // It is cut off in any case.
        }
    }

    private func take(_ call: VarlinkCall) {
        var taken: ClientCall?
        let client = ClientCall(call, peer: peer, memory: memory) { [weak self] reply, descriptors in
            self?.send(reply, descriptors, isOneway: call.oneway)
        } backlog: { [weak self] in
            self?.socket.backlog ?? 0
        }
        taken = client
        current = taken
        idle.lift()
        handle(client)
    }

    private func send(_ reply: VarlinkReply, _ descriptors: [Int32], isOneway: Bool) {
        guard token != nil else { return }
        if !reply.continues {
            current = nil
            limitIdleness()
        }
        if !isOneway {
            do throws(WireError) {
                try socket.enqueue(reply, descriptors: descriptors)
            } catch {
                // It does not read what it asked for, or has gone.
                close("\(error)")
                return
            }
        }
        updateInterest()
        if current == nil, !isPumping { _ = Reactor.shared.schedule(at: 0) { [weak self] in self?.pump() } }
    }

    private func updateInterest() {
        guard let token else { return }
        var wanted: Reactor.Readiness = []
        if socket.isShort {
            // Writable it is already.
            if !shortage.isSet { tryLater() }
        } else if socket.hasBacklog {
            wanted.insert(.writable)
        } else if current == nil {
            wanted.insert(.readable)
        }
        if current != nil, !peerHasClosed { wanted.insert(.peerClosed) }
        guard wanted != interest else { return }
        interest = wanted
        Reactor.shared.change(token, socket.descriptor, to: wanted)
    }
}
