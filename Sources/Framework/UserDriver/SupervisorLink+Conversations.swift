// A driver's way to conversations with its device.

import FileDescriptors
import Glibc
import Synchronization
public import TransferRing
public import USB
import Wire

extension SupervisorLink {
    /// Opens the conversation of this name on a pair of bulk endpoints, whose interface belongs to
    /// the manifest's `streaming` ones and is claimed. If a predecessor left one, it continues: ask
    /// `Conversation.resume` what there is.
    ///
    /// Whatever the device takes or sends counts as progress of this driver. A fault that stops it
    /// is logged, and reported as the event `"conversationFault"`.
    public func openConversation(
        name: String, out: EndpointAddress, in incoming: EndpointAddress, shape: ConversationShape = ConversationShape()
    ) async throws -> Conversation {
        guard let sending = shape.outgoing, let receiving = shape.incoming else {
            throw USBError(.invalidArgument, operation: "conversation \(name)", detail: "its shape is out of bounds")
        }
        let (grant, numbers) = try await askForConversation { request in
            ConversationRequest(
                request: request, name: name, out: Self.fresh(sending, out), incoming: Self.fresh(receiving, incoming))
        }
        let descriptors = OwnedDescriptors(numbers)
        guard descriptors.count == 4 else {
            throw CallError("ContractBroken", "The supervisor has answered without a conversation's memory.")
        }
        let outgoing = try ring(grant.out, memory: descriptors[0], wake: descriptors[2])
        let answer = try ring(grant.incoming, memory: descriptors[1], wake: descriptors[3])
        let activity = activity(name, unit: "transfers")
        return try Conversation(
            out: outgoing, in: answer, zeroLengthPacketAfter: shape.zeroLengthPacketAfter,
            progressed: {
                activity?.turn()
                activity?.frameEnded()
            },
            faulted: { [weak self] fault, undecided in
                self?.log("error", "The conversation \(name) can't continue: \(fault)")
                self?.event(
                    "conversationFault",
                    ["conversation": .string(name), "fault": .string("\(fault)"), "undecided": .int(Int64(clamping: undecided))])
            })
    }

    /// Ends a conversation for good: whatever the device still sends is dropped.
    public func closeConversation(_ conversation: Conversation, name: String) async {
        await conversation.close()
        send(.conversationClosed(name: name))
    }

    private static func fresh(_ geometry: TransferRingGeometry, _ endpoint: EndpointAddress) -> TransferRequest.Fresh {
        TransferRequest.Fresh(
            transferCount: geometry.transferCount, packetCount: 0, packetLength: geometry.packetLength, endpoint: endpoint.rawValue,
            interval: 0, logLength: geometry.logLength)
    }
}
