// Cuts a stream of bytes into Varlink messages, and finds out which message the descriptors that came with the bytes belong to.

/// An incremental decoder with bounds. After an error the stream has lost its meaning: close it.
///
/// Descriptors are sent together with the first byte of the message they belong to, in a system call that sends nothing of another message.
/// The kernel ends a `recvmsg` after the bytes that descriptors came with, so that they belong to the last message begun in what was received.
public struct VarlinkDecoder: ~Copyable {
    private struct Pending {
        /// Position of the message's first byte.
        var start: Int
        var descriptors: [Int32]
    }

    public let maximumMessage: Int
    private let limits: JSONLimits
    /// Bytes of the message that `next` took last.
    private(set) var lastCount = 0
    // Positions are counted from the start of the stream.
    private var buffer: [UInt8] = []
    /// Position of `buffer[0]`.
    private var base = 0
    /// Position after the last message that was taken.
    private var taken = 0
    /// Positions of the zero bytes of complete messages that were not taken, oldest first.
    private var ends: [Int] = []
    private var firstEnd = 0
    /// Position after the last zero byte.
    private var unfinished = 0
    private var pending: [Pending] = []

    /// Descriptors that may wait for their messages to be taken.
    public static let maximumDescriptors = 16
    private static let compactionThreshold = 64 << 10

    public init(maximumMessage: Int = 1 << 20, limits: JSONLimits = JSONLimits()) {
        self.maximumMessage = maximumMessage
        self.limits = limits
    }

    /// Whether a message has begun that is not complete: an end of the stream here cuts it off.
    public var isAmidMessage: Bool { unfinished < base + buffer.count }
    /// Whether `next` has something.
    public var hasMessage: Bool { firstEnd < ends.count }

    /// Takes what a `recvmsg` brought. Owns the descriptors from here on. Throws `oversize` when a message is longer than the limit.
    public mutating func append(_ bytes: some Collection<UInt8>, descriptors: [Int32] = []) throws(WireError) {
        // Where the message begins that the bytes' last byte belongs to.
        var lastBegin = unfinished
        var position = base + buffer.count
        let end = position + bytes.count
        for byte in bytes {
            if byte == 0 {
                ends.append(position)
                unfinished = position + 1
                if unfinished < end { lastBegin = unfinished }
            }
            position += 1
        }
        buffer.append(contentsOf: bytes)
        if !descriptors.isEmpty {
            let held = pending.reduce(0) { $0 + $1.descriptors.count }
            guard !bytes.isEmpty, held + descriptors.count <= Self.maximumDescriptors else {
                SocketIO.close(descriptors)
                throw WireError(.oversize, operation: "receiving descriptors", detail: "more than \(Self.maximumDescriptors) wait")
            }
            pending.append(Pending(start: lastBegin, descriptors: descriptors))
        }
        guard end - unfinished <= maximumMessage else {
            throw WireError(.oversize, operation: "receiving a message", detail: "more than \(maximumMessage) bytes without an end")
        }
    }

    /// The next complete message with its descriptors, which are the caller's to close; `nil` when more bytes are needed.
    public mutating func next<Message: Decodable & Sendable>(
        _ type: Message.Type = Message.self
    ) throws(WireError) -> (message: Message, descriptors: [Int32])? {
        guard hasMessage else { return nil }
        let end = ends[firstEnd]
        firstEnd += 1
        if firstEnd == ends.count {
            ends.removeAll(keepingCapacity: true)
            firstEnd = 0
        }
        let bytes = buffer[(taken - base)..<(end - base)]
        taken = end + 1
        lastCount = bytes.count + 1
        var descriptors: [Int32] = []
        while let first = pending.first, first.start <= end {
            descriptors += first.descriptors
            pending.removeFirst()
        }
        do throws(WireError) {
            guard bytes.count <= maximumMessage else { throw WireError(.oversize, operation: "receiving a message") }
            let message = try JSON.decodeMessage(type, from: bytes, limits: limits)
            compact()
            return (message, descriptors)
        } catch {
            SocketIO.close(descriptors)
            compact()
            throw error
        }
    }

    private mutating func compact() {
        guard taken == base + buffer.count || taken - base >= Self.compactionThreshold else { return }
        buffer.removeFirst(taken - base)
        base = taken
    }

    deinit {
        for entry in pending { SocketIO.close(entry.descriptors) }
    }
}
