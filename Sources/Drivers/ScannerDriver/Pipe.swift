// One channel of a device: requests and their answers, one after the other, each sent once, whoever
// dies meanwhile.

import ESCL
import Glibc
import IPPUSB
import Synchronization
import TransferRing
import USB
import UserDriver

/// Why an answer was not read to its end.
struct PipeFailure: Error, CustomStringConvertible {
    enum Code: Sendable {
        /// Nothing came for too long.
        case silent
        /// What came is no answer.
        case malformed
        /// The way to the device failed: a halt, a transfer error, bytes of which nobody knows.
        case broken
        /// The device is there no more.
        case gone
    }
    var code: Code
    var description: String
}

extension PipeFailure {
    /// Of an error that leaves no way to the device; whether that is there is told by it.
    init(after error: any Error, _ description: String) {
        self.init(code: Self.meansGone(error) ? .gone : .broken, description: description)
    }

    /// Whether the device is there no more. An unplug shows in whatever is tried first.
    static func meansGone(_ error: any Error) -> Bool {
        switch error {
        case let failure as PipeFailure: failure.code == .gone
        case let fault as ConversationFault: if case .failed(_, .disconnected) = fault { true } else { false }
        case let error as USBError: error.code == .noDevice || error.code == .connection
        default: false
        }
    }
}

/// A conversation in HTTP. Whoever wants to ask takes a turn first (`Turns`); a turn ends when the
/// answer has been dealt with.
actor Pipe {
    /// A piece of an answer.
    enum Event: Sendable {
        case head(HTTPHead)
        case body([UInt8])
        case end
    }

    /// How long nothing must come for a body without a length to be over, or for old bytes to have
    /// been read away.
    private static let quiet = Duration.milliseconds(250)
    /// Old bytes are read away for so long at most.
    private static let drainLimit = Duration.seconds(20)
    /// An answer's bytes that are dealt with stay in memory until there are so many.
    private static let discardedAtOnce = 32 << 10

    nonisolated let name: String
    nonisolated let turns = Turns()
    private let conversation: Conversation
    private let device: any USBDeviceHandle
    private let channel: IPPUSBChannel

    /// The request that was sent last; `nil` before the first.
    private(set) var sent: RequestMark?
    /// No process before this one left a conversation.
    private(set) var isFresh = true
    /// The answer to what was sent last has been dealt with.
    private(set) var isAnswered = true
    /// How far an earlier process dealt with it, where it was in the middle of a body.
    private var inherited: AnswerMark?

    private var parser = HTTPResponseParser()
    private(set) var contents = PageContents()
    private var piece: [UInt8] = []
    private var position = 0
    /// Where the piece begins, counted from the conversation's beginning.
    private var pieceStart: UInt64 = 0
    private var discarded: UInt64 = 0
    /// An answer was given up: what still comes of it has to be read away.
    private var isStale = false

    init(_ context: DriverContext, _ channel: IPPUSBChannel, name: String) async throws {
        self.name = name
        self.channel = channel
        device = context.device
        conversation = try await context.supervisor.openConversation(
            name: name, out: channel.out, in: channel.in, shape: ConversationShape(answerTransfer: max(channel.packet, 64)))
        try await takeUp(context)
    }

    private func takeUp(_ context: DriverContext) async throws {
        guard let past = try await conversation.resume() else {
            // A process that owned the device before may have left half a page in the pipe.
            return try await drain()
        }
        isFresh = false
        (pieceStart, discarded) = (past.answer.lowerBound, past.answer.lowerBound)
        sent = RequestMark(note: past.note)
        let answer = AnswerMark(note: past.answerNote)
        guard let sent else { return }
        isAnswered = answer?.serial == sent.serial && answer?.isDone == true
        if let answer, answer.serial == sent.serial, !answer.isDone { inherited = answer }
    }

    // MARK: Asking

    /// The number that the next request has.
    var nextSerial: UInt32 { (sent?.serial ?? 0) &+ 1 }

    /// Sends a request, unless it is the one that was sent last: then only its answer is read.
    func ask(_ request: HTTPRequest, _ mark: RequestMark) async throws {
        if let sent, sent.serial == mark.serial {
            // A process before this one handed it over.
            if !isAnswered { begin() }
            try await finishSending()
            return
        }
        if !isAnswered { try await skipAnswer() }
        if isStale { try await drain() }
        isAnswered = false
        inherited = nil
        begin()
        try await hand(request.bytes, mark)
    }

    /// Sends bytes of the request that the mark is of, which says how far it has come with them.
    func hand(_ bytes: [UInt8], _ mark: RequestMark) async throws {
        sent = mark
        do {
            try await conversation.send(bytes, note: mark.note, endsMessage: mark.isWhole)
        } catch let fault as ConversationFault {
            throw await repaired(fault)
        }
    }

    /// Returns once the device has taken all that was handed over.
    func finishSending() async throws {
        do {
            try await conversation.finishSending()
        } catch let fault as ConversationFault {
            throw await repaired(fault)
        }
    }

    /// Sets out to read the answer, from where an earlier process was done with it.
    func begin() {
        parser = inherited?.parser ?? HTTPResponseParser()
        contents = inherited?.contents ?? PageContents()
        inherited = nil
    }

    // MARK: Reading

    /// It is in the middle of a body that an earlier process began to deal with: there is no head
    /// to come.
    var isInBody: Bool { parser.status != nil }
    var status: Int? { parser.status }
    var expectedLength: UInt64? { parser.expectedLength }
    /// Of the body that has been read so far.
    var bodyLength: UInt64 { parser.bodyLength }

    /// The next piece of the answer; `nil` if nothing has come in that time. Throws
    /// `PipeFailure`.
    func poll(within limit: Duration) async throws -> Event? {
        while true {
            if let event = try parsed() { return event }
            if parser.isOver { return .end }
            if try await receive(within: parser.mayBeOver ? Self.quiet : limit) { continue }
            return parser.finish() ? .end : nil
        }
    }

    /// The next piece of the answer. Throws `PipeFailure`, `silent` after that time without a byte.
    func next(within limit: Duration) async throws -> Event {
        if let event = try await poll(within: limit) { return event }
        isStale = true
        throw PipeFailure(code: .silent, description: "The scanner has sent nothing for \(limit.components.seconds) s.")
    }

    private func parsed() throws -> Event? {
        do throws(HTTPSyntaxError) {
            switch try parser.next(in: piece, at: &position) {
            case .head(let head): return .head(head)
            case .body(let range):
                contents.take(piece[range])
                return .body(Array(piece[range]))
            case .end: return .end
            case nil: return nil
            }
        } catch {
            isStale = true
            throw PipeFailure(code: .malformed, description: "\(error)")
        }
    }

    /// True when something has come.
    private func receive(within limit: Duration) async throws -> Bool {
        do {
            guard let chunk = try await Self.chunk(of: conversation, within: limit) else { return false }
            pieceStart += UInt64(piece.count)
            piece = chunk.bytes
            position = 0
            return true
        } catch let fault as ConversationFault {
            throw await repaired(fault)
        }
    }

    /// `nil` when nothing has come in that time. What comes in the last instant is not lost.
    private static func chunk(of conversation: Conversation, within limit: Duration) async throws -> Conversation.Chunk? {
        try await withThrowingTaskGroup(of: Conversation.Chunk?.self) { group in
            group.addTask {
                do {
                    return try await conversation.receive()
                } catch is CancellationError {
                    return nil
                }
            }
            group.addTask {
                do { try await Task.sleep(for: limit) } catch {}
                return nil
            }
            let first = try await group.next() ?? nil
            group.cancelAll()
            if let first { return first }
            return try await group.next() ?? nil
        }
    }

    // MARK: Being done

    /// What was read of the body so far is dealt with: a successor begins behind it.
    func keep() {
        let place = pieceStart + UInt64(position)
        guard place - discarded >= UInt64(Self.discardedAtOnce), let sent,
            let note = AnswerMark(serial: sent.serial, parser: parser, contents: contents).note
        else { return }
        conversation.discard(upTo: place, note: note)
        discarded = place
    }

    /// All of the answer is dealt with.
    func finish() {
        guard let sent, !isAnswered else { return }
        isAnswered = true
        let place = pieceStart + UInt64(position)
        conversation.discard(upTo: place, note: AnswerMark(done: sent.serial).note ?? [])
        discarded = place
    }

    /// Nobody wants to know the answer any more: what comes of it is read away before the next
    /// request.
    func giveUp() {
        guard !isAnswered else { return }
        isStale = isStale || !parser.isOver
        finish()
    }

    /// Reads an answer to its end that nobody waits for.
    private func skipAnswer() async throws {
        begin()
        do {
            while true {
                if case .end = try await next(within: .seconds(20)) { break }
                keep()
            }
            finish()
        } catch is PipeFailure {
            giveUp()
        }
    }

    /// Reads away what a process before this one did not: until nothing comes.
    private func drain() async throws {
        let end = ContinuousClock.now + Self.drainLimit
        var count = piece.count - position
        while ContinuousClock.now < end, try await receive(within: Self.quiet) {
            count += piece.count
            position = piece.count
            conversation.discard(note: AnswerMark(done: sent?.serial ?? 0).note ?? [])
            discarded = pieceStart + UInt64(piece.count)
        }
        position = piece.count
        isStale = false
    }

    /// Does what lets the conversation go on after a fault, and says it as a failure.
    private func repaired(_ fault: ConversationFault) async -> any Error {
        isStale = true
        switch fault {
        case .stalled(let direction):
            do {
                try await device.clearHalt(endpoint: direction == .in ? channel.in : channel.out)
                if direction == .out { try await conversation.abandon() }
                try await conversation.goOn()
            } catch {
                return PipeFailure(after: error, "\(fault) It could not be cleared: \(error)")
            }
        case .failed(_, .disconnected): return PipeFailure(after: fault, "\(fault)")
        case .failed, .undecided:
            do {
                try await conversation.abandon()
                try await conversation.goOn()
            } catch {
                return PipeFailure(after: error, "\(fault) \(error)")
            }
        case .answerTooLarge: conversation.discard(note: AnswerMark(done: sent?.serial ?? 0).note ?? [])
        case .unsound, .closed: break
        }
        return PipeFailure(code: .broken, description: "\(fault)")
    }
}

/// Turns of those who want to ask on one channel, in the order in which they came.
final class Turns: Sendable {
    private struct State {
        var isTaken = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func take() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isFree = state.withLock { state in
                if state.isTaken { state.waiting.append(continuation) }
                defer { state.isTaken = true }
                return !state.isTaken
            }
            if isFree { continuation.resume() }
        }
    }

    func giveBack() {
        let next = state.withLock { state in
            if state.waiting.isEmpty {
                state.isTaken = false
                return CheckedContinuation<Void, Never>?.none
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }

    var isTaken: Bool { state.withLock { $0.isTaken } }
}
