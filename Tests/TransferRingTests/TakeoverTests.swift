// A ring changes hands at every possible moment, and nothing is handled twice or not at all.

import Glibc
import Synchronization
import Testing
import USB

@testable import TransferRing

private let layout: UInt64 = 7

@Suite struct TakeoverTests {
    /// What a handler remembers: how many transfers it has handled, and the sum of their first bytes.
    struct Memory: BitwiseCopyable, Equatable {
        var handled: UInt64 = 0
        var sum: UInt64 = 0
    }

    /// One ring's memory, its carrier, and the process of the moment.
    private final class Scene {
        let memory: TransferRingMemory
        let carrier = FakeCarrier()
        private(set) var mapping: TransferRingMapping
        private(set) var ring: TransferRing
        var sent: UInt8 = 0

        init(transferCount: Int = 4) throws {
            let geometry = try #require(TransferRingGeometry(transferCount: transferCount, packetCount: 0, packetLength: 64))
            memory = try TransferRingMemory(geometry: geometry)
            mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
            ring = TransferRing(mapping: mapping, carrier: carrier)
        }

        /// The process dies; another has the memory.
        func succeed() throws {
            mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: memory.geometry, number: nil)
            ring = TransferRing(mapping: mapping, carrier: carrier)
        }

        func complete() {
            sent += 1
            carrier.complete(mapping, with: [sent])
        }
    }

    private func handle(_ scene: Scene, _ memory: inout Memory) throws -> Bool {
        guard let transfer = try scene.ring.take(timeout: .zero.advanced(milliseconds: 1)) else { return false }
        memory.handled += 1
        memory.sum += UInt64(transfer.bytes[0])
        return true
    }

    /// Bytes in a dead driver's memory come from whoever kept it; where nobody has, the transfer is a fault and
    /// what follows goes on.
    @Test func bytesThatNobodyHasAreAFault() throws {
        let scene = try Scene()
        scene.carrier.state.withLock { $0.place = 3 }
        try scene.ring.begin(layout: layout, state: Memory())
        for _ in 0..<4 { scene.complete() }
        scene.carrier.state.withLock { ($0.place, $0.kept) = (0, [0: [9], 2: [8]]) }
        try scene.succeed()
        _ = try #require(scene.ring.resume(layout: layout, as: Memory.self))
        var came: [UInt8?] = []
        for _ in 0..<4 {
            let transfer = try #require(try scene.ring.take(timeout: .zero))
            #expect(transfer.status == (transfer.actualLength == 0 ? .fault(5) : .completed))
            came.append(transfer.bytes.first)
            try scene.ring.commit(layout: layout, state: Memory())
        }
        #expect(came == [9, nil, 8, nil])
        scene.complete()
        #expect(try scene.ring.take(timeout: .zero)?.bytes.first == 5)
    }

    /// Whoever is so late that nothing is in flight any more knows from which transfer on something is missing.
    @Test(arguments: [false, true]) func aQueueThatRanDryIsNoticed(dies: Bool) throws {
        let scene = try Scene()
        try scene.ring.begin(layout: layout, state: Memory())
        for completed in [3, 4] {
            let next = scene.ring.next
            for _ in 0..<completed { scene.complete() }
            if dies {
                try scene.succeed()
                _ = try #require(scene.ring.resume(layout: layout, as: Memory.self))
                #expect(scene.ring.inheritedEnd == next + 4)
                try scene.ring.refill()
            }
            var marked: [UInt64] = []
            for number in next..<(next + 8) {
                let transfer = try #require(try scene.ring.take(timeout: .zero))
                #expect(transfer.number == number)
                if transfer.followsDryQueue { marked.append(number) }
                try scene.ring.commit(layout: layout, state: Memory())
                // From the last of those that came at once on, one comes at a time.
                if number >= next + UInt64(completed) - 1 { scene.complete() }
            }
            // Three of four: the fourth was in flight when the first was submitted again.
            #expect(marked == (completed == 3 ? [] : [next + 4]))
            // What has come is handled.
            let last = try #require(try scene.ring.take(timeout: .zero))
            #expect(!last.followsDryQueue)
            try scene.ring.commit(layout: layout, state: Memory())
        }
    }

    @Test func transfersGoRoundInOrder() throws {
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        for round in 1...20 {
            scene.complete()
            #expect(try handle(scene, &memory))
            #expect(memory.sum == UInt64(round * (round + 1) / 2))
            try scene.ring.commit(layout: layout, state: memory)
        }
        #expect(scene.carrier.state.withLock { $0.submissions } == Array(0..<24))
        #expect(try scene.ring.take(timeout: .zero) == nil)
    }

    @Test func whatWasNotCommittedIsHandledAgain() throws {
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        for death in 0..<50 {
            scene.complete()
            scene.complete()
            #expect(try handle(scene, &memory))
            if death % 2 == 0 { try scene.ring.commit(layout: layout, state: memory) }
            try scene.succeed()
            memory = try #require(scene.ring.resume(layout: layout, as: Memory.self))
            try scene.ring.refill()
            while try handle(scene, &memory) { try scene.ring.commit(layout: layout, state: memory) }
            #expect(memory.handled == UInt64(2 * (death + 1)))
        }
        #expect(memory.sum == (1...100).reduce(0) { $0 + UInt64($1 % 256) })
        // No number was put in flight twice.
        #expect(scene.carrier.state.withLock { $0.submissions } == Array(0..<104))
    }

    /// Rings on one open file take each other's transfers back, each on its own thread.
    @Test func whatCameBackBeforeItsSubmitterCouldSaySoHasCompleted() throws {
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        scene.complete()
        RingRecord(scene.mapping, index: 0).markInFlight()
        #expect(RingRecord(scene.mapping, index: 0).hasCompleted)
        #expect(try handle(scene, &memory))
    }

    @Test func aRecordThatLostItsPhaseIsAFaultAndTheRestGoesOn() throws {
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        scene.complete()
        scene.complete()
        // A flipped bit: what has completed does not say so any more.
        scene.mapping.store32(scene.mapping.record(0) + RecordWord.phase, RecordPhase.inFlight)
        let lost = try #require(try scene.ring.take(timeout: .milliseconds(1)))
        #expect(lost.number == 0)
        #expect(lost.status == .fault(EIO))
        #expect(lost.actualLength == 0)
        try scene.ring.commit(layout: layout, state: memory)
        #expect(try handle(scene, &memory))
        #expect(memory.sum == 2)
        try scene.ring.commit(layout: layout, state: memory)
        #expect(try scene.ring.take(timeout: .zero) == nil)
    }

    @Test func whatTheDeadProcessHandledAndDidNotPutInFlightAgainIs() throws {
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        scene.complete()
        #expect(try handle(scene, &memory))
        scene.carrier.state.withLock { $0.diesAtSubmission = true }
        #expect(throws: USBError.self) { try scene.ring.commit(layout: layout, state: memory) }
        try scene.succeed()
        #expect(scene.ring.resume(layout: layout, as: Memory.self) == memory)
        try scene.ring.refill()
        for _ in 0..<8 {
            scene.complete()
            #expect(try handle(scene, &memory))
            try scene.ring.commit(layout: layout, state: memory)
        }
        #expect(memory.handled == 9)
    }

    @Test func aTransferThatNeverWasIsPassedOver() throws {
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        scene.complete()
        #expect(try handle(scene, &memory))
        // Marked as about to be submitted, and never submitted: the successor finds out by what completes first.
        scene.carrier.state.withLock { $0.dropsSubmission = true }
        #expect(throws: USBError.self) { try scene.ring.commit(layout: layout, state: memory) }
        try scene.succeed()
        memory = try #require(scene.ring.resume(layout: layout, as: Memory.self))
        try scene.ring.refill()
        for _ in 0..<10 {
            scene.complete()
            while try !handle(scene, &memory) {}
            try scene.ring.commit(layout: layout, state: memory)
        }
        #expect(memory.handled == 11)
        #expect(memory.sum == 66)
    }

    /// The death between the submission and the note of it, with news of earlier transfers that nobody has waited for.
    @Test func oldNewsDoesNotPassOverATransferThatWasSubmitted() throws {
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        scene.complete()
        #expect(try handle(scene, &memory))
        scene.carrier.state.withLock { $0.diesAtSubmission = true }
        #expect(throws: USBError.self) { try scene.ring.commit(layout: layout, state: memory) }
        try scene.succeed()
        memory = try #require(scene.ring.resume(layout: layout, as: Memory.self))
        try scene.ring.refill()
        for _ in 0..<3 { scene.complete() }
        for _ in 0..<3 {
            #expect(try handle(scene, &memory))
            try scene.ring.commit(layout: layout, state: memory)
        }
        #expect(try !handle(scene, &memory), "the next one is in flight, whatever the carrier says of those before it")
        #expect(scene.ring.next == 4)
        for _ in 0..<4 {
            scene.complete()
            #expect(try handle(scene, &memory))
            try scene.ring.commit(layout: layout, state: memory)
        }
        #expect(memory == Memory(handled: 8, sum: 36))
    }

    @Test func nonsenseIsNotTakenOver() throws {
        let scene = try Scene()
        #expect(scene.ring.resume(layout: layout, as: Memory.self) == nil, "nothing was begun")
        let memory = Memory(handled: 1, sum: 2)
        try scene.ring.begin(layout: layout, state: memory)
        try scene.succeed()
        #expect(scene.ring.resume(layout: layout + 1, as: Memory.self) == nil, "another program's memory")
        #expect(scene.ring.resume(layout: layout, as: UInt32.self) == nil, "of another size")
        scene.mapping.store64(RingWord.magic, 0x3147_4E49_5252_5455)
        #expect(scene.ring.resume(layout: layout, as: Memory.self) == memory, "that of a program which knows no places")
        for (offset, value) in [(RingWord.submitted, UInt64.max), (RingWord.submitted, 5), (RingWord.magic, 0)] {
            let before = scene.mapping.word64(offset)
            scene.mapping.store64(offset, value)
            #expect(scene.ring.resume(layout: layout, as: Memory.self) == nil, "word \(offset) is \(value)")
            scene.mapping.store64(offset, before)
        }
        scene.mapping.store64(scene.mapping.record(2) + RecordWord.number, 99)
        #expect(scene.ring.resume(layout: layout, as: Memory.self) == nil, "a record of another number")
    }

    /// Whatever is written over the memory, a successor stays within it.
    @Test(arguments: 0..<40) func survivesGarbage(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let scene = try Scene()
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        for _ in 0..<40 {
            let offset = Int(random.next() % UInt64(scene.memory.geometry.buffersOffset / 8)) * 8
            scene.mapping.store64(offset, random.next() >> (random.next() % 64))
        }
        try scene.succeed()
        guard let found = scene.ring.resume(layout: layout, as: Memory.self) else { return }
        memory = found
        do {
            try scene.ring.refill()
            for _ in 0..<10 {
                scene.complete()
                if let transfer = try scene.ring.take(timeout: .zero) {
                    #expect(transfer.bytes.count <= 64)
                    try scene.ring.commit(layout: layout, state: memory)
                }
            }
        } catch {
            Issue.record("a carrier that works: \(error)")
        }
        scene.ring.drain(patience: .zero)
    }

    @Test func aSubmissionThatIsRefusedIsNotWaitedFor() throws {
        let scene = try Scene()
        scene.carrier.state.withLock { $0.mostInFlight = 2 }
        let error = #expect(throws: USBError.self) { try scene.ring.begin(layout: layout, state: Memory()) }
        #expect(error?.code == .memoryLimit)
        let start = ContinuousClock.now
        scene.ring.drain(patience: .seconds(60))
        #expect(start.duration(to: .now) < .seconds(30), "two were cancelled and taken back, and the third never was")
        #expect(scene.carrier.state.withLock { $0.inFlight.isEmpty })
    }

    @Test func withLessMemoryThanItWantsItGoesRoundWithFewer() throws {
        let scene = try Scene(transferCount: 8)
        scene.carrier.state.withLock { $0.mostInFlight = 3 }
        scene.ring.sufficientCount = 3
        var memory = Memory()
        try scene.ring.begin(layout: layout, state: memory)
        for round in 1...20 {
            scene.complete()
            #expect(try handle(scene, &memory))
            #expect(memory.handled == UInt64(round))
            try scene.ring.commit(layout: layout, state: memory)
            #expect(scene.carrier.state.withLock { $0.inFlight.count } == 3)
        }
        // The next process asks for all of them again, and goes on with as many as it gets.
        scene.carrier.state.withLock { $0.mostInFlight = 5 }
        try scene.succeed()
        scene.ring.sufficientCount = 3
        memory = try #require(scene.ring.resume(layout: layout, as: Memory.self))
        try scene.ring.refill()
        #expect(scene.carrier.state.withLock { $0.inFlight.count } == 5)
        #expect(scene.carrier.state.withLock { $0.submissions } == Array(0..<25))
    }

    @Test func whereMemoryIsInSmallPiecesItsTransfersAreShorter() throws {
        let scene = try Scene(transferCount: 8)
        let whole = scene.ring.mapping.geometry.transferLength
        func lengths() -> [Int] { (0..<8).map { RingRecord(scene.ring.mapping, index: $0).length } }
        scene.ring.sufficientCount = 3
        scene.ring.shorterLengths = [whole / 2, whole / 4]
        try scene.ring.begin(layout: layout, state: Memory())
        #expect(lengths() == [Int](repeating: whole, count: 8))
        // Five go on without the long ones that are refused; then all that come are short.
        scene.carrier.state.withLock { $0.longest = whole / 4 }
        var memory = Memory()
        for round in 1...20 {
            scene.complete()
            #expect(try handle(scene, &memory))
            #expect(memory.handled == UInt64(round))
            try scene.ring.commit(layout: layout, state: memory)
            #expect(scene.carrier.state.withLock { $0.inFlight.count } >= 3)
        }
        func lengthsInFlight() -> [Int] { scene.carrier.state.withLock { $0.inFlight }.map { lengths()[$0] } }
        #expect(lengthsInFlight() == [Int](repeating: whole / 4, count: 3))
        // The next process finds them as they are, and tries for itself what there is memory for.
        try scene.succeed()
        scene.ring.shorterLengths = [whole / 2, whole / 4]
        memory = try #require(scene.ring.resume(layout: layout, as: Memory.self))
        scene.carrier.state.withLock { $0.longest = whole / 2 }
        try scene.ring.refill()
        #expect(lengthsInFlight() == [Int](repeating: whole / 4, count: 3) + [Int](repeating: whole / 2, count: 5))
        scene.complete()
        #expect(try scene.ring.take(timeout: .zero)?.requested == whole / 4)
        // Shorter than the last that there is does not go.
        scene.carrier.state.withLock { $0.longest = whole / 8 }
        let error = #expect(throws: USBError.self) { try scene.ring.commit(layout: layout, state: memory) }
        #expect(error?.code == .memoryLimit)
    }

    @Test func geometriesAreBounded() {
        #expect(TransferRingGeometry(transferCount: 1, packetCount: 0, packetLength: 512) == nil)
        #expect(TransferRingGeometry(transferCount: 257, packetCount: 0, packetLength: 512) == nil)
        #expect(TransferRingGeometry(transferCount: 16, packetCount: 129, packetLength: 512) == nil)
        #expect(TransferRingGeometry(transferCount: 16, packetCount: -1, packetLength: 512) == nil)
        #expect(TransferRingGeometry(transferCount: 256, packetCount: 128, packetLength: 1 << 20) == nil)
        #expect(TransferRingGeometry(transferCount: 16, packetCount: 32, packetLength: 3072)?.transferLength == 98_304)
    }

    @Test func aMemoryOfAnotherSizeOrWithoutSealsIsNotMapped() throws {
        let geometry = try #require(TransferRingGeometry(transferCount: 4, packetCount: 0, packetLength: 64))
        let other = try #require(TransferRingGeometry(transferCount: 8, packetCount: 0, packetLength: 64))
        let memory = try TransferRingMemory(geometry: geometry)
        #expect(throws: USBError.self) { try TransferRingMapping(descriptor: memory.descriptor, geometry: other, number: nil) }
        #expect(throws: USBError.self) { try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: 16) }
        let first = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: 3)
        #expect(UInt(bitPattern: first.base) == TransferRingMapping.address(ofRing: 3))
        #expect(throws: USBError.self, "the address is taken") {
            try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: 3)
        }
    }
}

private struct SplitMix {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

extension Duration {
    fileprivate func advanced(milliseconds: Int64) -> Duration { self + .milliseconds(milliseconds) }
}
