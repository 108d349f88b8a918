// A conversation as its driver sees it, through a proxy: waiting, noticing ends and halts, handing
// over.

import CLinux
import FileDescriptors
import Glibc
import Testing
import TransferRing
import USB
import USBEmulation

@testable import USBIPHost

@Suite(.timeLimit(.minutes(2))) struct ConversationTests {
    /// A proxy on the loopback device, and the memory of one conversation.
    private final class Talk: Sendable {
        let bench: HostBench
        let proxy: USBIPProxy
        let device: USBIPDevice
        let memories: [TransferRingMemory]
        let wakes: [Int32]
        static let ends = [LoopbackDevice.bulkOut, LoopbackDevice.bulkIn]

        init(_ shape: ConversationShape = ConversationShape()) async throws {
            bench = try HostBench()
            let handover = try await bench.open().handOver()
            let (information, deviceID) = (handover.information, handover.deviceID)
            proxy = try USBIPProxy(socket: handover.socket, deviceID: deviceID) { _ in }
            var pair: [Int32] = [-1, -1]
            try #require(clinux_stream_pair(&pair) == 0)
            try proxy.connect(driver: OwnedDescriptor(pair[1]), rights: FunctionRights(interfaces: 0, endpoints: Set(Self.ends)))
            device = try USBIPDevice(adopting: OwnedDescriptor(pair[0]), information: information, deviceID: deviceID)
            let geometries = [try #require(shape.outgoing), try #require(shape.incoming)]
            memories = try geometries.map { try TransferRingMemory(geometry: $0) }
            wakes = [clinux_eventfd(), clinux_eventfd()]
            for number in 0..<2 {
                try proxy.carry(
                    ring: number, memory: memories[number].descriptor, geometry: geometries[number], wake: wakes[number],
                    endpoint: Self.ends[number], interval: 0)
            }
        }

        deinit { for wake in wakes { close(wake) } }

        /// As each incarnation opens it.
        func open(faulted: @escaping @Sendable (ConversationFault, UInt64) -> Void = { _, _ in }) throws -> Conversation {
            let rings = try (0..<2).map { number in
                TransferRing(
                    mapping: try TransferRingMapping(
                        descriptor: memories[number].descriptor, geometry: memories[number].geometry, number: nil),
                    carrier: try device.carrier(endpoint: Self.ends[number], type: .bulk, wake: wakes[number]),
                    direction: Self.ends[number].direction)
            }
            return try Conversation(out: rings[0], in: rings[1], faulted: faulted)
        }

        func stall(_ endpoint: EndpointAddress) async throws {
            _ = try await device.control(
                vendor(LoopbackDevice.Request.stallEndpoint, isIn: false, value: UInt16(endpoint.rawValue)), sending: [],
                timeout: .seconds(5))
        }
    }

    private func read(_ conversation: Conversation, _ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += try await conversation.receive().bytes }
        return bytes
    }

    @Test func `an answer ends at a short packet`() async throws {
        let talk = try await Talk()
        let conversation = try talk.open()
        #expect(try await conversation.resume() == nil)
        let question = (0..<1300).map { UInt8(truncatingIfNeeded: $0) }
        try await conversation.send(question)
        #expect(conversation.acknowledged == 1300)
        var answer: [UInt8] = []
        for try await chunk in conversation.answer() { answer += chunk.bytes }
        #expect(answer == question)
        await conversation.close()
        await #expect(throws: ConversationFault.closed) { try await conversation.send([1]) }
        await #expect(throws: ConversationFault.closed) { _ = try await conversation.receive() }
    }

    /// The first driver leaves without a word; what it read and did not discard is read again.
    @Test func `a successor finds what was sent and the answer so far, with the notes`() async throws {
        let talk = try await Talk()
        let first = try talk.open()
        try await first.send([1, 2, 3], note: [7])
        #expect(try await read(first, 3) == [1, 2, 3])
        first.discard(note: [8, 9])
        try await first.send([4, 5], note: [10])
        #expect(try await read(first, 2) == [4, 5])
        let second = try talk.open()
        let past = try #require(try await second.resume())
        #expect(past.handed == 5 && past.acknowledged == 5 && past.note == [10] && past.answerNote == [8, 9] && past.undecided == 0)
        #expect(past.answer == 3..<5)
        #expect(try await read(second, 2) == [4, 5])
    }

    @Test func `a device that takes nothing more is told with what it took`() async throws {
        let talk = try await Talk()
        let conversation = try talk.open()
        try await talk.stall(LoopbackDevice.bulkOut)
        await #expect(throws: ConversationFault.stalled(.out)) { try await conversation.send([1, 2, 3]) }
        await #expect(throws: ConversationFault.stalled(.out)) { try await conversation.send([4]) }
        try await talk.device.clearHalt(endpoint: LoopbackDevice.bulkOut)
        try await conversation.goOn()
        try await conversation.finishSending()
        #expect(try await read(conversation, 3) == [1, 2, 3], "what was handed over is sent, and what came behind the fault is not")
        try await talk.stall(LoopbackDevice.bulkOut)
        await #expect(throws: ConversationFault.stalled(.out)) { try await conversation.send([5, 6]) }
        try await talk.device.clearHalt(endpoint: LoopbackDevice.bulkOut)
        try await conversation.abandon()
        try await conversation.send([7])
        #expect(try await read(conversation, 1) == [7])
    }

    @Test func `a halted answer goes on once the halt is cleared`() async throws {
        let talk = try await Talk()
        let conversation = try talk.open()
        try await talk.stall(LoopbackDevice.bulkIn)
        try await conversation.send([1, 2, 3])
        await #expect(throws: ConversationFault.stalled(.in)) { _ = try await conversation.receive() }
        try await talk.device.clearHalt(endpoint: LoopbackDevice.bulkIn)
        try await conversation.goOn()
        #expect(try await read(conversation, 3) == [1, 2, 3])
    }

    @Test func `an answer larger than its memory streams as it is discarded, and is told when it is not`() async throws {
        let talk = try await Talk(ConversationShape(outgoingCapacity: 4096, answerCapacity: 2048, answerTransferCount: 4))
        let conversation = try talk.open()
        let question = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 3) }
        try await conversation.send(question)
        var answer: [UInt8] = []
        do {
            while answer.count < question.count { answer += try await conversation.receive().bytes }
            Issue.record("there is no room for all")
        } catch let fault as ConversationFault {
            #expect(fault == .answerTooLarge)
        }
        while answer.count < question.count {
            conversation.discard()
            answer += try await conversation.receive().bytes
        }
        #expect(answer == question)
        await #expect(throws: USBError.self) { try await conversation.send([UInt8](repeating: 0, count: 4097)) }
    }

    @Test func `whoever is cancelled waits no longer`() async throws {
        let talk = try await Talk()
        let conversation = try talk.open()
        let reader = Task { try await conversation.receive() }
        reader.cancel()
        await #expect(throws: CancellationError.self) { _ = try await reader.value }
        try await conversation.send([1])
        #expect(try await read(conversation, 1) == [1])
    }
}
