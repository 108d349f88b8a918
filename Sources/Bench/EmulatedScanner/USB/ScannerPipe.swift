// One pair of bulk endpoints: requests come in, answers wait until the host fetches them, and what it
// leaves stays.

import USBEmulation

/// The state of a pair. It knows nothing of who is at the other end: another host that opens it reads
/// what the one before has left, and goes on with the request that the one before has begun.
struct ScannerPipe: Sendable {
    /// What came in behind a request that is not answered yet; beyond that much the pipe takes no more.
    static let inputLimit = 16 << 10

    var parser = HTTPRequestParser()
    private(set) var answer: OutgoingAnswer?
    /// The page that is being drawn for the next answer.
    var awaited: Int?
    private var owesEmptyPacket = false
    /// Bytes until a transfer ends.
    private var piece = 0
    private var isHalted = false
    private var random: SplitMix
    private let emptyPackets: Bool
    private let odd: Bool
    private let printBytesPerSecond: Int
    /// When it is done with what it was sent; a time of CLOCK_MONOTONIC, nanoseconds.
    private(set) var doneAt: UInt64 = 0

    init(_ index: Int, _ options: EmulatedScannerOptions) {
        random = SplitMix(seed: UInt64(index))
        emptyPackets = options.sendsEmptyPackets
        odd = options.splitsOddly
        printBytesPerSecond = options.pace.printBytesPerSecond
    }

    /// Has its time for bytes that came in.
    mutating func takes(_ count: Int, now: UInt64) {
        guard printBytesPerSecond > 0 else { return }
        doneAt = max(doneAt, now) + UInt64(Double(count) * 1e9 / Double(printBytesPerSecond))
    }

    /// Whether a request that comes in has to wait.
    var isAnswering: Bool { answer != nil || awaited != nil }

    mutating func start(_ answer: OutgoingAnswer) {
        self.answer = answer
        piece = 0
    }

    mutating func clearHalt() { isHalted = false }

    /// Ends the page of `job` early, or what is behind it: see `FramedAnswer.cut(behind:)`.
    mutating func cutPage(of job: Int, keeping bytes: Int) {
        guard answer?.page?.job == job, let sent = answer?.sent else { return }
        if answer?.framed.cut(behind: sent + bytes) == true { answer?.page?.isWhole = false }
    }

    /// What happened while bytes went out.
    enum Event: Hashable, Sendable {
        case none
        /// The host has the last byte.
        case sent(OutgoingPage?)
        case struck(ScannerFaults.Kind, OutgoingPage)
    }

    mutating func send(now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> (InAnswer, Event) {
        if isHalted { return (.stall, .none) }
        if owesEmptyPacket {
            owesEmptyPacket = false
            return (.data(count: 0, ends: true), .none)
        }
        guard var answer else { return (.later(at: nil), .none) }
        let left = answer.framed.bytes.count - answer.sent
        let due = answer.available(now: now)
        if piece == 0 {
            if odd, random.next(12) == 0 { return (.data(count: 0, ends: true), .none) }
            piece = min(left, odd ? oddLength() : answer.pieceLength)
        }
        piece = min(piece, left)
        var count = min(buffer.count, piece)
        var wait: UInt64?
        if answer.sent + count > due.offset {
            // A packet is sent once it is full.
            count = (due.offset - answer.sent) / ScannerDescriptors.packetSize * ScannerDescriptors.packetSize
            if count <= 0 { wait = due.next }
        }
        if let strike = answer.strike, answer.sent + max(count, 0) >= strike.offset {
            count = strike.offset - answer.sent
            if count <= 0 { return hit(strike.kind, answer) }
        } else if let wait {
            return (.later(at: wait), .none)
        }
        answer.framed.bytes.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[answer.sent..<answer.sent + count]))
        }
        answer.sent += count
        piece -= count
        let isFull = count % ScannerDescriptors.packetSize == 0
        owesEmptyPacket = piece == 0 && isFull && (odd ? random.next(2) == 0 && emptyPackets : emptyPackets)
        var event = Event.none
        if answer.sent == answer.framed.bytes.count {
            event = .sent(answer.page)
            self.answer = nil
        } else {
            self.answer = answer
        }
        return (.data(count: count, ends: !isFull), event)
    }

    private mutating func hit(_ kind: ScannerFaults.Kind, _ answer: OutgoingAnswer) -> (InAnswer, Event) {
        self.answer?.strike = nil
        guard let page = answer.page else { return (.later(at: nil), .none) }
        if kind == .stall {
            isHalted = true
            return (.stall, .struck(kind, page))
        }
        return (.later(at: nil), .struck(kind, page))
    }

    private mutating func oddLength() -> Int {
        switch random.next(4) {
        case 0: ScannerDescriptors.packetSize * (1 + random.next(8))
        case 1: 1 + random.next(40)
        default: 1 + random.next(9000)
        }
    }
}

/// The page that an answer brings.
struct OutgoingPage: Hashable, Sendable {
    var job: Int
    var sheet: Int
    var side: PageSide
    /// False if its job ended before it was sent.
    var isWhole = true
}

/// An answer on its way to the host.
struct OutgoingAnswer: Sendable {
    var framed: FramedAnswer
    var sent = 0
    var page: OutgoingPage?
    /// When a page's first byte may go, and how many a second then; 0 for all at once.
    var start: UInt64 = 0
    var bytesPerSecond = 0
    /// A fault at a place of this answer.
    var strike: (offset: Int, kind: ScannerFaults.Kind)?

    init(_ framed: FramedAnswer, page: OutgoingPage? = nil) {
        self.framed = framed
        self.page = page
    }

    /// How long a transfer is, where it is not odd: the head, then a chunk, or as much of a body.
    var pieceLength: Int {
        if sent < framed.bodyStart { return framed.bodyStart - sent }
        if let end = framed.chunkEnds.first(where: { $0 > sent }) { return end - sent }
        return HTTPAnswer.chunk
    }

    /// Up to which byte the scanner has read the page by now, and when it will have read on.
    func available(now: UInt64) -> (offset: Int, next: UInt64) {
        guard page != nil else { return (framed.bytes.count, now) }
        guard now >= start else { return (sent, start) }
        guard bytesPerSecond > 0 else { return (framed.bytes.count, now) }
        let read = Int(Double(now - start) * Double(bytesPerSecond) / 1e9)
        let offset = framed.bodyStart + read
        guard offset < framed.bytes.count else { return (framed.bytes.count, now) }
        // Asked again when some packets more are there, or the end.
        let wanted = min(sent + 8 * ScannerDescriptors.packetSize, framed.bytes.count) - framed.bodyStart
        return (offset, start + UInt64(Double(max(0, wanted)) * 1e9 / Double(bytesPerSecond)) + 1)
    }
}
