// What a driver asks of memory for a conversation, and what it is given.

/// The two rings of a conversation, as they should be if there is none of that name yet.
public struct ConversationRequest: Codable, Hashable, Sendable {
    /// The driver's number for this request, which the answer repeats.
    public var request: UInt64
    /// The driver's own name for it: 1 to 64 bytes.
    public var name: String
    public var out: TransferRequest.Fresh
    public var incoming: TransferRequest.Fresh

    public init(request: UInt64, name: String, out: TransferRequest.Fresh, incoming: TransferRequest.Fresh) {
        self.request = request
        self.name = name
        self.out = out
        self.incoming = incoming
    }
}

/// A conversation's rings, fresh or as the predecessor left them; whether anything was begun in
/// them they say themselves.
public struct ConversationGrant: Codable, Hashable, Sendable {
    public var request: UInt64
    public var name: String
    public var out: TransferGrant
    public var incoming: TransferGrant

    public init(request: UInt64, name: String, out: TransferGrant, incoming: TransferGrant) {
        self.request = request
        self.name = name
        self.out = out
        self.incoming = incoming
    }
}
