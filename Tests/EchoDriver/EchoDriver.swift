// A driver that asks the echo device one question after the other, on each pair of endpoints, and
// checks each byte of the answers. For tests that kill it.

import EmulatedEcho
import TransferRing
import USB
import UserDriver
import Wire

@main
enum Entry {
    static func main() { DriverProcess.run(EchoDriver.self) }
}

actor EchoDriver: Driver {
    static let name = "echo-driver"
    private let context: DriverContext
    nonisolated let facts = DriverFacts(kind: "test", name: "Echo", interfaces: [])

    static func start(_ context: DriverContext) async throws -> EchoDriver {
        // What a predecessor claimed is claimed still.
        if context.takeover == nil { try await context.device.claim(interface: 0) }
        let driver = EchoDriver(context)
        for pair in UInt8(1)...2 {
            Task {
                do {
                    try await Talk(context.supervisor, pair: pair).run()
                } catch {
                    context.supervisor.event("echoFailed", ["pair": .int(Int64(pair)), "reason": .string("\(error)")])
                    context.supervisor.log("error", "Pair \(pair): \(error)")
                }
            }
        }
        return driver
    }

    private init(_ context: DriverContext) { self.context = context }

    func stop() async {}
}

/// The talk on one pair: which question is being answered stands in the note of the answer, which
/// was asked last in the note of the questions.
private struct Talk {
    struct Mismatch: Error, CustomStringConvertible { var description: String }

    let supervisor: SupervisorLink
    let pair: UInt8

    init(_ supervisor: SupervisorLink, pair: UInt8) {
        self.supervisor = supervisor
        self.pair = pair
    }

    /// What is known of the answer to a question, as a note.
    private struct Reading {
        var number: UInt32 = 0
        /// Bytes of it that are done with.
        var read: UInt32 = 0

        init(_ note: ConversationNote) {
            guard note.count == 8 else { return }
            number = EchoMessage.word(note[..<4])
            read = EchoMessage.word(note[4...])
        }
        var note: ConversationNote { (0..<8).map { UInt8(truncatingIfNeeded: (UInt64(read) << 32 | UInt64(number)) >> UInt64($0 * 8)) } }
    }

    func run() async throws {
        let conversation = try await supervisor.openConversation(
            name: "echo-\(pair)", out: EndpointAddress(number: pair, direction: .out), in: EndpointAddress(number: pair, direction: .in),
            shape: ConversationShape(
                outgoingCapacity: 32 << 10, answerCapacity: 24 << 10, outgoingTransfer: 2048, answerTransferCount: 16,
                zeroLengthPacketAfter: 512))
        let past = try await conversation.resume()
        if past != nil { try await conversation.finishSending() }
        var reading = Reading(past?.answerNote ?? [])
        var asked = past.flatMap { $0.note.count == 4 ? EchoMessage.word($0.note) : nil }
        while true {
            if asked != reading.number {
                try await conversation.send(
                    EchoMessage(pair: pair, number: reading.number).bytes, note: [UInt8](word: reading.number))
                asked = reading.number
            }
            try await readAnswer(conversation, &reading)
            if reading.number % 64 == 0 { supervisor.event("echoed", ["pair": .int(Int64(pair)), "count": .int(Int64(reading.number))]) }
        }
    }

    /// Reads the answer from where it was done with last, and is done with it piece by piece.
    private func readAnswer(_ conversation: Conversation, _ reading: inout Reading) async throws {
        let message = EchoMessage(pair: pair, number: reading.number)
        var checksum = UInt32(0)
        // The checksum is the device's own business, which compares byte by byte: here it is taken
        // as it comes.
        var expected = message.answer(checksum: 0)
        while reading.read < expected.count {
            let chunk = try await conversation.receive()
            let start = Int(reading.read)
            guard start + chunk.bytes.count <= expected.count else {
                throw Mismatch(description: "question \(reading.number): \(chunk.bytes.count) bytes at \(start) of \(expected.count)")
            }
            for (index, byte) in chunk.bytes.enumerated() {
                if 12..<16 ~= start + index {
                    checksum |= UInt32(byte) << UInt32((start + index - 12) * 8)
                    expected[start + index] = byte
                }
            }
            guard chunk.bytes.elementsEqual(expected[start..<start + chunk.bytes.count]) else {
                throw Mismatch(description: "question \(reading.number): other bytes at \(start)")
            }
            reading.read += UInt32(chunk.bytes.count)
            if reading.read == expected.count { reading = next(reading) }
            conversation.discard(upTo: chunk.end, note: reading.note)
            if reading.read == 0 { return }
        }
    }

    private func next(_ reading: Reading) -> Reading {
        var next = reading
        next.number += 1
        next.read = 0
        return next
    }
}

extension [UInt8] {
    fileprivate init(word: UInt32) { self = (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
}
