// A conversation whose driver dies at each of its steps in turn: no byte is lost, and none is sent
// twice.

import CLinux
import Testing
import USB

@testable import TransferRing

#if DEBUG  // A mapping tells of its writes in debug builds only.

    @Suite struct ConversationDeathTests {
        /// What several processes have in common: memory, kernel, device, and what is to be said.
        private struct Stuck: Error {}

        private final class World {
            let kernel: StandInKernel
            let memories: [TransferRingMemory]
            let views: [TransferRingMapping]
            let messages: [[UInt8]]
            var answers: [[UInt8]] = []

            init(isProxy: Bool, messages: [[UInt8]], emptyPacketAfter: Int? = nil) throws {
                kernel = StandInKernel(isProxy: isProxy)
                self.messages = messages
                let shape = ConversationShape(
                    outgoingCapacity: 100, answerCapacity: 80, outgoingTransfer: 40, answerTransfer: StandInKernel.packet,
                    answerTransferCount: 3,
                    zeroLengthPacketAfter: emptyPacketAfter)
                let geometries = [try #require(shape.outgoing), try #require(shape.incoming)]
                memories = try geometries.map { try TransferRingMemory(geometry: $0) }
                views = try memories.map { try TransferRingMapping(descriptor: $0.descriptor, geometry: $0.geometry, number: nil) }
                kernel.rings = [(views[0], true), (views[1], false)]
            }

            /// A process lives until all is said and answered, or it dies. What it has verified of
            /// an answer it tells with what it discards.
            func live(_ process: MortalProcess) throws {
                let mappings = try memories.map { try TransferRingMapping(descriptor: $0.descriptor, geometry: $0.geometry, number: nil) }
                for mapping in mappings { mapping.writes = { process.step() } }
                let rings = (0..<2).map { index in
                    TransferRing(
                        mapping: mappings[index],
                        carrier: StandInCarrier(kernel, process, isOut: index == 0, memory: views[index], mapping: mappings[index]),
                        direction: index == 0 ? .out : .in)
                }
                let (out, incoming) = (OutgoingBytes(rings[0]), IncomingBytes(rings[1]))
                if try out.resume() { try out.settle(patience: .zero) } else { try out.begin() }
                if try !incoming.resume() { try incoming.begin() }
                var turns = 0
                func getsOn() throws {
                    turns += 1
                    if turns > 20_000 { throw Stuck() }
                }
                while !process.isDead {
                    try getsOn()
                    // The note: the answer that is being read, and how much of it has been.
                    let note = incoming.consumed.note
                    let (number, read) = note.isEmpty ? (0, 0) : (Int(note[0]), Int(note[1]))
                    guard number < messages.count else { return }
                    if out.note.isEmpty || Int(out.note[0]) < number {
                        out.hand(
                            [UInt8(messages[number].count)] + messages[number], note: [UInt8(number)],
                            endsWithEmptyPacket: (messages[number].count + 1) % 16 == 0)
                    }
                    while !out.isDone, !process.isDead {
                        try getsOn()
                        _ = try out.step(timeout: .milliseconds(1))
                    }
                    if process.isDead { return }
                    let expected = StandInDevice.answer(messages[number])
                    while incoming.state.received == incoming.consumed.offset, read < expected.count, !process.isDead {
                        try getsOn()
                        guard try incoming.step(timeout: .milliseconds(1)) != .paused else {
                            Issue.record("it waits for room that there is")
                            return
                        }
                    }
                    // The ends of the four pieces come too, some with no bytes.
                    while try incoming.step(timeout: .milliseconds(1)) == .received {}
                    if process.isDead { return }
                    try consume(incoming, number, read, expected)
                }
            }

            /// Reads what there is of an answer, and is done with it.
            private func consume(_ incoming: IncomingBytes, _ number: Int, _ read: Int, _ expected: [UInt8]) throws {
                let consumed = incoming.consumed
                let count = min(Int(incoming.state.received - consumed.offset), expected.count - read)
                let bytes = incoming.bytes(consumed.offset..<consumed.offset + UInt64(count))
                #expect(bytes == Array(expected[read..<read + count]), "answer \(number) from \(read)")
                let isWhole = read + count == expected.count
                let offset = consumed.offset + UInt64(count)
                // Ends before that place are done with; those at it, of empty pieces, as well.
                var ends = consumed.ends
                while ends < incoming.state.ends, incoming.end(ends) <= offset { ends += 1 }
                let next = IncomingBytes.Consumption(
                    offset: offset, ends: ends, note: isWhole ? [UInt8(number + 1), 0] : [UInt8(number), UInt8(read + count)])
                incoming.discard(next)
                incoming.consumed = next
            }

            func check(_ what: String) {
                let expected = messages.flatMap { [UInt8($0.count)] + $0 }
                #expect(kernel.device.received == expected, "\(what)")
                #expect(kernel.device.pieces.allSatisfy(\.isEmpty) && kernel.undecided == 0, "\(what)")
            }
        }

        private static let messages: [[UInt8]] = [3, 15, 72, 0].enumerated().map { number, count in
            (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
        }

        private func world(isProxy: Bool, takesHalves: Bool) throws -> World {
            let world = try World(isProxy: isProxy, messages: Self.messages)
            if takesHalves { world.kernel.device.halves = { $0 % 3 == 1 } }
            return world
        }

        private func live(_ world: World, _ process: MortalProcess) throws {
            do {
                try world.live(process)
            } catch let error as USBError where error.code == .cancelled && process.isDead {
                // It has died, in the middle of what it did.
            }
        }

        @Test(arguments: [false, true], [false, true])
        func aDriverThatDiesAtAnyStepLosesNoByteAndSendsNoneTwice(isProxy: Bool, takesHalves: Bool) throws {
            var died = 0
            while true {
                let world = try world(isProxy: isProxy, takesHalves: takesHalves)
                let process = MortalProcess(stepsToLive: died)
                try live(world, process)
                let isOver = !process.isDead
                if !isOver { try live(world, MortalProcess(stepsToLive: .max)) }
                world.check("died at step \(died)")
                if isOver { break }
                died += 1
            }
            #expect(died > 200, "there are more steps than \(died)")
        }

        @Test(arguments: [false, true])
        func driversThatDieOneAfterTheOtherLoseNothingEither(isProxy: Bool) throws {
            // Each lives for so many steps: from hardly any to most of what is to be done.
            for pace in stride(from: 1, through: 120, by: 7) {
                let world = try world(isProxy: isProxy, takesHalves: pace % 2 == 0)
                var lives = 0
                while true {
                    lives += 1
                    // Now and then one lives long enough to get on, whatever the pace.
                    let process = MortalProcess(stepsToLive: lives % 4 == 0 ? 150 + pace : pace)
                    try live(world, process)
                    if !process.isDead { break }
                    if lives > 2000 {
                        Issue.record("nothing gets on at pace \(pace)")
                        break
                    }
                }
                world.check("pace \(pace), \(lives) lives")
            }
        }

        /// The one death that can't be decided: the kernel has the transfer, its driver did not
        /// live to note that, and the device does not take it for as long as anybody waits.
        @Test func aTransferOfWhichNobodyKnowsIsAFaultAndIsNotRepeated() throws {
            var undecided = 0
            for died in 0..<120 {
                let world = try World(isProxy: false, messages: [[1, 2, 3]])
                world.kernel.device.takesNothing = true
                let process = MortalProcess(stepsToLive: died)
                try live(world, process)
                guard process.isDead else { break }
                world.kernel.device.takesNothing = true
                let mapping = try TransferRingMapping(
                    descriptor: world.memories[0].descriptor, geometry: world.memories[0].geometry, number: nil)
                let next = MortalProcess(stepsToLive: .max)
                func line() -> OutgoingBytes {
                    OutgoingBytes(
                        TransferRing(
                            mapping: mapping,
                            carrier: StandInCarrier(world.kernel, next, isOut: true, memory: world.views[0], mapping: mapping),
                            direction: .out))
                }
                let out = line()
                guard try out.resume() else { continue }
                try out.settle(patience: .zero)
                guard let fault = out.fault else { continue }
                undecided += 1
                #expect(fault == .undecided(offset: 0, length: 4))
                #expect(try !out.step(timeout: .milliseconds(1)) && world.kernel.out.isEmpty, "it is not sent again")
                // Whoever comes after that sees it as well, until it is dealt with.
                let later = line()
                #expect(try later.resume() && later.fault == fault && later.state.undecided == 1)
                world.kernel.device.takesNothing = false
                later.abandon()
                #expect(later.isDone && later.fault == nil)
                later.hand([0], note: [], endsWithEmptyPacket: false)
                #expect(try later.step(timeout: .milliseconds(1)) && later.isDone)
                #expect(world.kernel.device.received == [0])
            }
            #expect(undecided == 1, "the window is one step wide, between the submission and its note")
        }

        @Test func memoryThatIsNotSoundIsRefused() throws {
            let world = try World(isProxy: false, messages: Self.messages)
            try live(world, MortalProcess(stepsToLive: .max))
            for index in 0..<2 {
                let memory = world.memories[index]
                let mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: memory.geometry, number: nil)
                // Every word of both checkpoints in turn is set to what no driver writes.
                for word in stride(from: 1024, to: 1024 + 2048, by: 8) {
                    let before = mapping.word64(word)
                    mapping.store64(word, 0xffff_ffff_ffff_fff0)
                    let ring = TransferRing(
                        mapping: mapping,
                        carrier: StandInCarrier(
                            world.kernel, MortalProcess(stepsToLive: .max), isOut: index == 0, memory: world.views[index], mapping: mapping),
                        direction: index == 0 ? .out : .in)
                    do throws(ConversationFault) {
                        // What is taken for sound is within bounds.
                        if index == 0 {
                            let out = OutgoingBytes(ring)
                            if try out.resume() { #expect(out.state.handed - out.state.acknowledged <= 100 && out.note.count <= 256) }
                        } else {
                            let incoming = IncomingBytes(ring)
                            if try incoming.resume() { #expect(incoming.state.received - incoming.consumed.offset <= 80) }
                        }
                    } catch {
                        #expect(error == .unsound)
                    }
                    mapping.store64(word, before)
                }
            }
        }
    }

#endif
