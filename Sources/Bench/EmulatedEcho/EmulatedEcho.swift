// A vendor-class device in software that answers questions on pairs of bulk endpoints, at its own
// pace, and knows each byte that it should have been sent.

import Synchronization
public import USB
public import USBEmulation

/// Pairs of bulk endpoints, OUT n and IN n from 1, on interface 0. It counts what it is sent that
/// is not the next byte of the next `EchoMessage`: after the first such byte a pair answers no
/// more.
public final class EmulatedEcho: EmulatedDevice {
    /// How it takes its time, in nanoseconds, at most: a random part of it.
    public struct Pace: Sendable {
        /// Before it takes an OUT transfer.
        public var taking: UInt64
        /// Between two packets of an answer, now and then.
        public var answering: UInt64
        public init(taking: UInt64 = 300_000, answering: UInt64 = 500_000) {
            self.taking = taking
            self.answering = answering
        }
    }

    /// What it has seen of a pair.
    public struct Figures: Hashable, Sendable {
        public var questions: UInt32 = 0
        public var bytesTaken: UInt64 = 0
        public var bytesSent: UInt64 = 0
        public var emptyPackets: UInt64 = 0
        /// The first byte that was not the one that should have come, counted from 0.
        public var wrongAt: UInt64?
    }

    private struct Pair {
        var figures = Figures()
        var checksum = Checksum()
        /// The question that comes next, and how much of it has come.
        var expected: [UInt8]
        var come = 0
        /// What is to be sent.
        var answer: [UInt8] = []
        var sent = 0
        /// Bytes until a short packet.
        var piece = 0
        var owesEmptyPacket = false
        var random: EchoRandom
        var takesAt: UInt64?
        var sendsAt: UInt64 = 0

        init(_ number: UInt8) {
            expected = EchoMessage(pair: number, number: 0).bytes
            random = EchoRandom(seed: UInt64(number))
        }
    }

    public static let packet = 512
    public let descriptors: EmulatedDescriptors
    private let pace: Pace
    private let log: (@Sendable (String) -> Void)?

    private struct State {
        var pairs: [Pair]
        var signal: (any EmulationSignal)?
        var attachments = 0
    }
    private let state: Mutex<State>

    /// - Parameter pairs: 1 to 4.
    public init(pairs: Int = 2, pace: Pace = Pace(), serialNumber: String = "ECHO-1", log: (@Sendable (String) -> Void)? = nil) {
        precondition(1...4 ~= pairs)
        self.pace = pace
        self.log = log
        state = Mutex(State(pairs: (1...UInt8(pairs)).map(Pair.init)))
        let endpoints: [UInt8] = (1...UInt8(pairs)).flatMap { number -> [UInt8] in
            [
                7, 5, number, 2, 0x00, 0x02, 0,  // Bulk OUT, 512 bytes.
                7, 5, 0x80 | number, 2, 0x00, 0x02, 0,  // Bulk IN, 512 bytes.
            ]
        }
        let configuration: [UInt8] =
            [
                9, 2, UInt8(18 + endpoints.count), 0, 1, 1, 0, 0x80, 50,  // Configuration 1: one interface, 100 mA.
                9, 4, 0, 0, UInt8(pairs * 2), 0xff, 0x45, 0x01, 0,  // Interface 0, vendor-specific.
            ] + endpoints
        descriptors = EmulatedDescriptors(
            speed: .high,
            device: [
                18, 1, 0x00, 0x02,  // USB 2.0
                0xff, 0, 0, 64,  // vendor-specific, 64 bytes at endpoint 0
                0x09, 0x12, 0x02, 0x00,  // 1209:0002, which pid.codes keeps for tests
                0x00, 0x01, 1, 2, 3, 1,  // version 1.00, strings 1 to 3, one configuration
            ],
            configurations: [configuration], strings: [1: "UserDriver", 2: "Echo", 3: serialNumber])
    }

    /// Of each pair, since the host took the device.
    public var figures: [Figures] { state.withLock { $0.pairs.map(\.figures) } }

    /// How often a host took it.
    public var attachments: Int { state.withLock { $0.attachments } }

    public func attached(now: UInt64, signal: any EmulationSignal) {
        state.withLock { state in
            state.signal = signal
            state.attachments += 1
            state.pairs = (1...UInt8(state.pairs.count)).map(Pair.init)
        }
    }

    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer { .stall }
    public func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {}

    public func takesOut(endpoint: EndpointAddress, now: UInt64) -> UInt64? {
        change(endpoint) { pair, _ in
            let time = pair.takesAt ?? now + UInt64(pair.random.next(Int(pace.taking) + 1))
            pair.takesAt = time
            return time > now ? time : nil
        } ?? nil
    }

    public func dataOut(endpoint: EndpointAddress, now: UInt64, data: UnsafeRawBufferPointer) -> TransferStatus {
        change(endpoint) { pair, signal in
            pair.takesAt = nil
            if data.isEmpty { pair.figures.emptyPackets += 1 }
            for byte in data { take(byte, of: &pair, endpoint) }
            pair.figures.bytesTaken += UInt64(data.count)
            if !pair.answer.isEmpty { signal?.ready(endpoint: EndpointAddress(number: endpoint.number, direction: .in)) }
            return .completed
        } ?? .stall
    }

    private func take(_ byte: UInt8, of pair: inout Pair, _ endpoint: EndpointAddress) {
        guard pair.figures.wrongAt == nil else { return }
        guard byte == pair.expected[pair.come] else {
            let offset = pair.figures.bytesTaken
            pair.figures.wrongAt = offset
            log?(
                "pair \(endpoint.number), question \(pair.figures.questions): an unexpected byte in the transfer at \(offset)"
            )
            return
        }
        pair.come += 1
        pair.checksum.add(CollectionOfOne(byte))
        guard pair.come == pair.expected.count else { return }
        let message = EchoMessage(pair: endpoint.number, number: pair.figures.questions)
        pair.answer += message.answer(checksum: pair.checksum.value)
        pair.figures.questions += 1
        pair.expected = EchoMessage(pair: endpoint.number, number: pair.figures.questions).bytes
        pair.come = 0
    }

    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        change(endpoint) { pair, _ in
            if now < pair.sendsAt { return .later(at: pair.sendsAt) }
            if pair.owesEmptyPacket {
                pair.owesEmptyPacket = false
                pair.figures.emptyPackets += 1
                return .data(count: 0, ends: true)
            }
            let left = pair.answer.count - pair.sent
            guard left > 0 else { return .later(at: nil) }
            if pair.piece == 0 {
                pair.piece = pair.random.next(4) == 0 ? Self.packet * (1 + pair.random.next(3)) : 1 + pair.random.next(3000)
                if pair.random.next(8) == 0 { pair.sendsAt = now + UInt64(pair.random.next(Int(pace.answering) + 1)) }
                if pair.random.next(10) == 0 { return .data(count: 0, ends: true) }
            }
            let count = min(buffer.count, pair.piece, left)
            buffer.copyBytes(from: pair.answer[pair.sent..<pair.sent + count])
            pair.sent += count
            pair.piece -= count
            pair.figures.bytesSent += UInt64(count)
            if pair.sent == pair.answer.count {
                (pair.answer, pair.sent, pair.piece) = ([], 0, 0)
            }
            guard count % Self.packet == 0 else { return .data(count: count, ends: true) }
            // Of a piece that fills its last packet, an empty one behind it tells the end, or
            // nothing does.
            if pair.piece == 0 { pair.owesEmptyPacket = pair.random.next(2) == 0 }
            return .data(count: count, ends: false)
        } ?? .stall
    }

    private func change<Result>(_ endpoint: EndpointAddress, _ body: (inout Pair, (any EmulationSignal)?) -> sending Result)
        -> sending Result?
    {
        state.withLock { state in
            let index = Int(endpoint.number) - 1
            guard state.pairs.indices.contains(index) else { return nil }
            return body(&state.pairs[index], state.signal)
        }
    }
}
