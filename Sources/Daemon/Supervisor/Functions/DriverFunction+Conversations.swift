// A device's conversations: pairs of rings in which questions and answers go on when their driver
// dies.

import TransferRing
import USB
import Wire

/// A conversation that is, or was, in use.
struct KeptConversation {
    var out: CarriedRing
    var incoming: CarriedRing
    /// The incarnation that has it open.
    var user: UInt32?
}

extension DriverFunction {
    /// Those of streams and of conversations.
    var transferRings: [CarriedRing] { carried.values + conversations.values.flatMap { [$0.out, $0.incoming] } }

    func openConversation(_ request: ConversationRequest) {
        // From here on the driver touches the device.
        afterHandover { [weak self, weak incarnation] in
            guard let self, let incarnation, self.incarnation === incarnation else { return }
            do throws(CallError) {
                let kept = try self.conversation(request)
                self.conversations[request.name] = kept
                let grant = ConversationGrant(
                    request: request.request, name: request.name, out: kept.out.grant, incoming: kept.incoming.grant)
                incarnation.send(
                    .conversation(grant),
                    descriptors: [kept.out.memory.descriptor, kept.incoming.memory.descriptor, kept.out.wake, kept.incoming.wake])
            } catch {
                incarnation.send(.ringRefused(request: request.request, reason: error.message))
            }
            self.save()
        }
    }

    /// That which the predecessor left, or another.
    private func conversation(_ request: ConversationRequest) throws(CallError) -> KeptConversation {
        guard 1...64 ~= request.name.utf8.count else {
            throw CallError("InvalidParameter", "A conversation's name must have 1 to 64 bytes.")
        }
        guard EndpointAddress(rawValue: request.out.endpoint).direction == .out,
            EndpointAddress(rawValue: request.incoming.endpoint).direction == .in, request.out.packetCount == 0,
            request.incoming.packetCount == 0
        else { throw CallError("InvalidParameter", "A conversation must have a bulk OUT and a bulk IN endpoint.") }
        if var kept = conversations[request.name] {
            guard kept.user != generation else { throw CallError("Busy", "The conversation \(request.name) is open already.") }
            kept.user = generation
            if kept.out.grant.endpoint == request.out.endpoint, kept.incoming.grant.endpoint == request.incoming.endpoint { return kept }
            closeConversation(request.name)
        }
        let out = try makeRing(request.out, name: request.name)
        do throws(CallError) {
            let incoming = try makeRing(request.incoming, name: request.name, besides: [out])
            return KeptConversation(out: out, incoming: incoming, user: generation)
        } catch {
            giveUp(out)
            throw error
        }
    }

    func closeConversation(_ name: String) {
        guard let kept = conversations.removeValue(forKey: name) else { return }
        giveUp(kept.out)
        giveUp(kept.incoming)
        save()
    }

    /// Before it is started: what the kernel gives back of any of them is written at the place
    /// where the predecessor had it.
    func giveKeptRings(to incarnation: DriverIncarnation) {
        guard case .file? = hold?.keeper else { return }
        for ring in transferRings { incarnation.send(.kept(ring.grant), descriptors: [ring.memory.descriptor]) }
    }
}
