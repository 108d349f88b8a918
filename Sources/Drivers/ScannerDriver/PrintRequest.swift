// One request of a print program's on its way through a channel: pieces in, the answer out, each
// byte sent once, whoever dies meanwhile.

import IPPUSB
import ScannerInterface
import Wire

/// It has the channel's turn from its first piece to its end.
///
/// Nothing is recorded: the note that goes with each piece says whose request it is of and how far
/// it has come, so a successor sees in the conversation what was handed over (`init(inherited:)`).
actor PrintRequest {
    struct Answer: Sendable {
        var head: HTTPHead
        var body: [UInt8]
    }

    /// Of a body, handed over at once: room is left for a head and a chunk's frame in what a
    /// conversation takes.
    private static let handedAtOnce = 32 << 10
    /// How long the device may think about it. Nothing is known of it meanwhile: it may print.
    private static let patience = Duration.seconds(600)
    /// It stays in the conversation's memory until the request ends.
    private static let largestAnswer = 768 << 10

    nonisolated let name: String
    nonisolated let pipe: Pipe
    /// Calls come one after the other.
    private let order = Turns()
    /// Of the body, handed over.
    private var offset: UInt64 = 0
    private var isWhole = false
    private var hasBegun = false
    private var isOver = false
    private var answer: Answer?
    /// How many calls there have been, those that wait included.
    private(set) var calls = 0
    private(set) var isBusy = false

    init(_ name: String, on pipe: Pipe) {
        self.name = name
        self.pipe = pipe
    }

    /// Of a process before this one; `nil` if the channel has none that is not over. Takes the
    /// channel's turn, which must be free.
    init?(inheritedOn pipe: Pipe) async {
        guard let sent = await pipe.sent, sent.kind == .print, await !pipe.isAnswered else { return nil }
        self.init(sent.path, on: pipe)
        await pipe.turns.take()
        await pipe.begin()
        adopt(sent)
    }

    private func adopt(_ sent: RequestMark) { (offset, isWhole, hasBegun) = (sent.offset, sent.isWhole, true) }

    // MARK: Calls

    /// Throws `CallError` for a piece that does not follow, and `PipeFailure`: then the request is over.
    func send(_ piece: PrintPiece, _ body: [UInt8]) async throws {
        try await inTurn {
            if !hasBegun { try await begin(piece.path) }
            guard piece.offset <= offset, offset - piece.offset <= UInt64(body.count), !isWhole || piece.last else {
                throw CallError(
                    "InvalidParameter", "The request's body has reached \(offset); no piece is missing at \(piece.offset).")
            }
            // Of a piece that is sent again the device has a part, or all of it.
            let rest = body.dropFirst(Int(offset - piece.offset))
            guard !isWhole || rest.isEmpty else { throw CallError("InvalidParameter", "The request's body ended at \(offset).") }
            if isWhole || rest.isEmpty && !body.isEmpty && !piece.last {
                try await pipe.finishSending()
            } else {
                try await handOver(rest, piece)
            }
        }
    }

    func receive() async throws -> Answer {
        try await inTurn {
            if let answer { return answer }
            guard hasBegun, isWhole else { throw CallError("InvalidParameter", "The request has not been sent completely.") }
            try await pipe.finishSending()
            let (head, body) = try await ScannerPort.small(pipe, within: Self.patience, most: Self.largestAnswer)
            let found = Answer(head: head, body: body)
            answer = found
            return found
        }
    }

    /// Gives the channel back, once what was begun has come to an end that the device understands.
    func end() async {
        calls += 1
        await order.take()
        defer { order.giveBack() }
        guard !isOver else { return }
        do {
            if hasBegun, answer == nil {
                if !isWhole { try await handOver([], isLast: true, path: "") }
                _ = try await ScannerPort.small(pipe, within: .seconds(20), most: Self.largestAnswer)
            }
            await finish(isAnswered: true)
        } catch {
            await finish(isAnswered: false)
        }
    }

    // MARK: Steps

    /// One call at a time; what the way to the device does not survive ends the request.
    private func inTurn<R: Sendable>(_ body: () async throws -> R) async throws -> R {
        calls += 1
        await order.take()
        isBusy = true
        defer {
            isBusy = false
            order.giveBack()
        }
        guard !isOver else { throw CallError("InvalidParameter", "The request is over.") }
        do {
            return try await body()
        } catch let failure as PipeFailure {
            await finish(isAnswered: false)
            throw CallError("DeviceError", failure.description, layer: "device")
        }
    }

    private func begin(_ path: String) async throws {
        guard PrintPiece.isPath(path) else {
            throw CallError("InvalidParameter", "\(path.debugDescription) is not a path of the print service: /ipp/NAME.")
        }
        await pipe.turns.take()
        hasBegun = true
    }

    private func handOver(_ body: ArraySlice<UInt8>, _ piece: PrintPiece) async throws {
        var rest = body
        repeat {
            let bytes = Array(rest.prefix(Self.handedAtOnce))
            rest = rest.dropFirst(bytes.count)
            try await handOver(bytes, isLast: piece.last && rest.isEmpty, path: piece.path)
        } while !rest.isEmpty
    }

    private func handOver(_ bytes: [UInt8], isLast: Bool, path: String) async throws {
        let end = offset + UInt64(bytes.count)
        if await pipe.isPrinting(name) {
            let serial = await pipe.sent?.serial ?? 0
            let mark = RequestMark(serial: serial, printing: name, upTo: end, isWhole: isLast)
            try await pipe.hand(HTTPRequest.chunk(bytes) + (isLast ? HTTPRequest.lastChunk : []), mark)
        } else {
            let request = HTTPRequest(.post, path, headers: [("Content-Type", "application/ipp")], body: bytes, isChunked: !isLast)
            try await pipe.ask(request, RequestMark(serial: await pipe.nextSerial, printing: name, upTo: end, isWhole: isLast))
        }
        (offset, isWhole) = (end, isLast)
    }

    private func finish(isAnswered: Bool) async {
        isOver = true
        guard hasBegun else { return }
        if isAnswered { await pipe.finish() } else { await pipe.giveUp() }
        pipe.turns.giveBack()
    }
}

extension Pipe {
    /// The request that is being sent, or was sent last and is not over, is this one.
    fileprivate func isPrinting(_ name: String) -> Bool { sent?.kind == .print && sent?.path == name && !isAnswered }
}
