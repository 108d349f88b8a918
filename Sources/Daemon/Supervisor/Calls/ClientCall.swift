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
    private let send: (VarlinkReply, [Int32]) -> Void
    private let readBacklog: () -> Int
    /// Bytes of replies that the client has not taken yet.
    var backlog: Int { readBacklog() }

    /// `send` puts a reply on its way.
    init(
        _ call: VarlinkCall, peer: VarlinkSocket.Peer, send: @escaping @SupervisorActor (VarlinkReply, [Int32]) -> Void,
        backlog: @escaping @SupervisorActor () -> Int = { 0 }
    ) {
        readBacklog = backlog
        self.call = call
        self.peer = peer
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
        let interfaces = [.management] + InterfaceDescription.classInterfaces
        let own = interfaces.first { $0.name == call.interfaceName && $0.errors.contains(error.code) }
        let known = own ?? (InterfaceDescription.management.errors.contains(error.code) ? .management : nil)
        let name = known.map { "\($0.name).\(error.code)" } ?? "\(InterfaceDescription.management.name).DeviceError"
        reply(VarlinkReply(error: name, parameters: ["message": .string(error.message)]))
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
