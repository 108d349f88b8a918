// A conversation on a pair of bulk endpoints, question and answer, that goes on at the byte when
// its driver dies.

import CLinux
import Synchronization
import Threads
import USB

/// Bytes to a device and bytes from it, in memory that survives this process. Used from any task.
///
/// What `send` has taken is sent once, whatever dies, and what was received stays until it is
/// discarded. A successor opens the conversation of the same name, asks `resume` what there is, and
/// parses the answer again from where it was discarded last: nothing else of a parser need survive.
///
/// A message ends with a short packet. Classes whose messages give their own length (HTTP) look at
/// the bytes instead.
public final class Conversation: Sendable {
    /// What the previous process left.
    public struct Resumption: Hashable, Sendable {
        /// Bytes since the conversation began that were handed over to be sent, and how many of
        /// them the device has taken. The rest is being sent.
        public var handed: UInt64
        public var acknowledged: UInt64
        /// The note of the last `send`.
        public var note: ConversationNote
        /// The range of the answer so far: from what was discarded to what has been received.
        public var answer: Range<UInt64>
        /// The note of the last `discard`.
        public var answerNote: ConversationNote
        /// Transfers, since the conversation began, of which nobody knows whether the device has
        /// them.
        public var undecided: UInt64
    }

    /// Bytes of an answer, in their order.
    public struct Chunk: Hashable, Sendable {
        public var bytes: [UInt8]
        /// Where the bytes end, counted from the beginning of the conversation: for `discard`.
        public var end: UInt64
        /// The device has ended a message after these bytes, of which there may be none.
        public var endsMessage: Bool
    }

    let sender: ConversationSender
    let receiver: ConversationReceiver
    public let shape: (outgoing: Int, answer: Int)

    /// Both halves go on from here, from where a predecessor stopped if there was one.
    /// - Parameters:
    ///   - patience: how long a transfer is waited for that the predecessor died in submitting.
    ///   - progressed: called whenever the device has taken or sent something, from either half's thread.
    ///   - faulted: called when a conversation can't go on by itself, with how many such transfers there have been that nobody can tell of.
    public init(
        out: TransferRing, in incoming: TransferRing, zeroLengthPacketAfter: Int? = nil, patience: Duration = .seconds(1),
        progressed: @escaping @Sendable () -> Void = {}, faulted: @escaping @Sendable (ConversationFault, UInt64) -> Void = { _, _ in }
    ) throws {
        let outgoing = OutgoingBytes(out)
        let answer = IncomingBytes(incoming)
        guard outgoing.capacity > 0, answer.capacity > 0 else {
            throw USBError(.invalidArgument, operation: "conversation", detail: "its rings have no room for bytes")
        }
        shape = (outgoing.capacity, answer.capacity)
        sender = ConversationSender(outgoing, zeroLengthPacketAfter: zeroLengthPacketAfter, progressed: progressed, faulted: faulted)
        receiver = try ConversationReceiver(answer, progressed: progressed, faulted: faulted)
        try sender.start(patience: patience)
        do {
            try receiver.start()
        } catch {
            sender.end()
            throw error
        }
    }

    /// What the previous process left; `nil` if the conversation begins here. Waits until it is
    /// known what has become of what was being sent.
    public func resume() async throws -> Resumption? {
        let sent = try await sender.settled()
        let (answer, note, isInherited) = receiver.inherited
        guard sent.isInherited || isInherited else { return nil }
        return Resumption(
            handed: sent.handed, acknowledged: sent.acknowledged, note: sent.note, answer: answer, answerNote: note,
            undecided: sent.undecided)
    }

    // MARK: Sending

    /// Sends bytes and returns once the device has taken them all, and what was handed over before.
    /// They are handed over all or none, with the note, of at most 256 bytes, by which a successor
    /// sees that they were. A task that is cancelled stops waiting; what is handed over is sent all
    /// the same.
    ///
    /// Throws `ConversationFault` if it can't go on by itself: see `goOn` and `abandon`. What
    /// the device has taken, `acknowledged` tells.
    /// - Parameters:
    ///   - bytes: at most the shape's `outgoingCapacity`. More is sent by calling this again.
    ///   - endsMessage: more of the message does not follow: where the class wants it, a zero-length packet says so.
    public func send(_ bytes: [UInt8], note: ConversationNote = [], endsMessage: Bool = true) async throws {
        try await sender.send(bytes, note: note, endsMessage: endsMessage)
    }

    /// Returns once the device has taken everything that a predecessor or a cancelled `send` handed
    /// over.
    public func finishSending() async throws { try await sender.finish() }

    /// Bytes that the device has taken since the conversation began.
    public var acknowledged: UInt64 { sender.acknowledged }

    // MARK: Receiving

    /// The next bytes of the answer, as soon as there are some, or a message has ended. Throws
    /// `ConversationFault` after the last bytes, if no more come by themselves.
    public func receive() async throws -> Chunk { try await receiver.receive() }

    /// The chunks up to the end of a message. A caller that knows better where an answer ends stops
    /// asking.
    public func answer() -> Answer { Answer(conversation: self) }

    public struct Answer: AsyncSequence, Sendable {
        public typealias Element = Chunk
        let conversation: Conversation

        public struct AsyncIterator: AsyncIteratorProtocol {
            let conversation: Conversation
            private var isOver = false
            init(conversation: Conversation) { self.conversation = conversation }

            public mutating func next() async throws -> Chunk? {
                if isOver { return nil }
                let chunk = try await conversation.receive()
                isOver = chunk.endsMessage
                return chunk.bytes.isEmpty ? nil : chunk
            }
        }
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(conversation: conversation) }
    }

    /// The class is done with the answer's bytes up to there, for good: a successor begins after
    /// them, with the note, of at most 256 bytes, that says what it must know about them. Their
    /// room becomes free. Bytes that have not been received can't be discarded.
    /// - Parameter end: as chunks tell it; `nil` for all that was received.
    public func discard(upTo end: UInt64? = nil, note: ConversationNote = []) { receiver.discard(upTo: end, note: note) }

    // MARK: Faults and ends

    /// The fault has been dealt with (a halt cleared): it continues where it stopped. Undecided
    /// bytes must be abandoned.
    public func goOn() async throws {
        try await sender.goOn()
        receiver.goOn()
    }

    /// Gives up what was handed over but not taken by the device, and with it a fault of sending.
    public func abandon() async throws { try await sender.abandon() }

    /// Ends what is in flight and releases the memory. Nothing works after that.
    public func close() async {
        sender.end()
        receiver.end()
        await blocking("bytes-end") { [sender, receiver] in
            sender.join()
            receiver.join()
        }
    }
}
