// A client's call, from its arrival to its last reply.

import Wire

/// One call of one client. Whoever holds it owes it a final reply, unless the client leaves first.
@SupervisorActor
final class ClientCall {
    let call: VarlinkCall
    let peer: VarlinkSocket.Peer
    /// Called when the client has gone; not after the final reply.
    var onCancel: (() -> Void)?
    private(set) var isFinished = false
    /// The driver's interface that was called, once it is known.
    var interface: VarlinkInterface?
    /// What the client was given on this connection, for its next call to a driver.
    let memory: MemoryShelf
    private let send: (VarlinkReply, [Int32]) -> Void
    private let readBacklog: () -> Int
    /// Bytes of replies that the client has not taken yet.
    var backlog: Int { readBacklog() }

    /// `send` puts a reply on its way.
    init(
        _ call: VarlinkCall, peer: VarlinkSocket.Peer, memory: MemoryShelf = MemoryShelf(),
        send: @escaping @SupervisorActor (VarlinkReply, [Int32]) -> Void,
        backlog: @escaping @SupervisorActor () -> Int = { 0 }
    ) {
        readBacklog = backlog
        self.call = call
        self.peer = peer
        self.memory = memory
        self.send = send
    }

    /// The descriptors stay the caller's.
    func reply(_ reply: VarlinkReply, descriptors: [Int32] = []) {
        guard !isFinished else { return }
        if !reply.continues {
            isFinished = true
            onCancel = nil
        }
        send(reply, descriptors)
    }

    /// The final reply, with parameters.
    func succeed(_ parameters: JSONValue = .object([:])) { reply(VarlinkReply(parameters)) }

    /// The final reply, an error of the interface that was called where it has one of that name, else of the management interface.
    func fail(_ error: CallError) {
        let known: String? =
            if let interface, interface.hasError(error.code) {
                interface.name
            } else if ManagementInterface.interface.hasError(error.code) {
                ManagementInterface.name
            } else {
                nil
            }
        reply(
            VarlinkReply(
                error: "\(known ?? ManagementInterface.name).\(known == nil ? "DeviceError" : error.code)", parameters: error.parameters))
    }

    /// The client has gone.
    func cancel() {
        guard !isFinished else { return }
        isFinished = true
        let work = onCancel
        onCancel = nil
        work?()
    }
}
