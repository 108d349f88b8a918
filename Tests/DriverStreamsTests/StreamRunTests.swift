// The stream engine with a class of devices that it has never heard of: its streams survive their
// process, to the byte.

import FileDescriptors
import FrameRing
import Glibc
import Synchronization
import Testing
import Threads
import TransferRing
import USB
import UserDriver
import Wire

@testable import DriverStreams

@Suite struct StreamRunTests {
    /// The memories that survive, the device, and the process of the moment.
    private final class Scene {
        let carrier = ThermalCarrier()
        let shape = StreamShape.bulk(maxPacketSize: 512, payloadSize: ThermalCarrier.requested)
        let transferMemory: TransferRingMemory
        let frameMemory: FrameRingMemory
        let frames: FrameRingGeometry
        let reader: FrameRingReader
        private var generation: UInt32 = 0

        init() throws {
            let geometry = try #require(
                TransferRingGeometry(transferCount: shape.transferCount, packetCount: 0, packetLength: shape.packetLength))
            transferMemory = try TransferRingMemory(geometry: geometry)
            frames = try #require(FrameRingGeometry(capacity: ThermalCarrier.frameLength, slotCount: 8))
            frameMemory = try FrameRingMemory(geometry: frames)
            let owned = try frameMemory.readOnlyDescriptor()
            let readable = owned.number
            reader = try FrameRingReader(descriptor: readable, geometry: frames)
        }

        func ring() throws -> TransferRing {
            TransferRing(
                mapping: try TransferRingMapping(descriptor: transferMemory.descriptor, geometry: transferMemory.geometry, number: nil),
                carrier: carrier)
        }

        /// A process that handles so many transfers of the camera's, and dies.
        func live(
            _ transfers: TransferRing, from origin: StreamOrigin<ThermalAssembler.State>, handling count: Int,
            heard: @escaping @Sendable (StreamNews) -> Void = { _ in }
        ) async throws -> StreamRun.Outcome {
            carrier.give(count)
            generation += 1
            let run = StreamRun(
                transfers: transfers, shape: shape,
                writer: try FrameRingWriter(descriptor: frameMemory.descriptor, geometry: frames, generation: generation),
                frameInterval: 33_000_000, progress: Progress().activity()
            ) { _, news in heard(news) }
            return await withCheckedContinuation { continuation in
                run.start(ThermalAssembler(), from: origin) { continuation.resume(returning: $0) }
            }
        }

        func succeed(handling count: Int, dropping: Bool = false) async throws {
            let transfers = try ring()
            let found = transfers.resume(layout: ThermalAssembler.memoryLayout, as: StreamMemory<ThermalAssembler.State>.self)
            let memory = try #require(found)
            _ = try await live(transfers, from: .takeover(memory, dropping: dropping), handling: count)
        }
    }

    private struct Seen {
        var numbers: [UInt64] = []
        var wrong: [UInt64] = []
        var damaged: [UInt64] = []
        var gaps = 0
    }

    /// What a client that was there all the time has seen since `last`.
    private func read(_ scene: Scene, _ seen: inout Seen) {
        while true {
            switch scene.reader.next(after: seen.numbers.last ?? 0, timeout: .zero) {
            case .frame(let frame):
                let picture = ThermalCarrier.picture(Int(frame.sequence) - 1)
                var isEqual = false
                _ = frame.withBytes { isEqual = $0.elementsEqual(picture) }
                seen.numbers.append(frame.sequence)
                if !isEqual { seen.wrong.append(frame.sequence) }
                if frame.flags.contains(.damaged) { seen.damaged.append(frame.sequence) }
            case .gap:
                seen.gaps += 1
                return
            default: return
            }
        }
    }

    @Test func noPictureIsLostOrAlteredByAnyDeath() async throws {
        let scene = try Scene()
        var seen = Seen()
        _ = try await scene.live(try scene.ring(), from: .fresh(nil), handling: 1)
        var handled = 1
        for death in 1...60 {
            read(scene, &seen)
            // Between two pictures, within one, and before anything came at all.
            try await scene.succeed(handling: death % 4)
            handled += death % 4
        }
        read(scene, &seen)
        #expect(seen.numbers == Array(1...UInt64(handled / 2)))
        #expect(seen.wrong.isEmpty && seen.damaged.isEmpty && seen.gaps == 0)
    }

    /// Whoever is so late that nothing is in flight any more has lost what came then, unless the bus's own count says otherwise.
    @Test(arguments: [false, true]) func aDryIsochronousQueueIsAHole(countsFrames: Bool) throws {
        let shape = StreamShape.isochronous(bytesPerInterval: 192, interval: 1, speed: .high)
        let geometry = try #require(
            TransferRingGeometry(transferCount: shape.transferCount, packetCount: shape.packetCount, packetLength: shape.packetLength))
        let memory = try TransferRingMemory(geometry: geometry)
        let mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
        let frames = try #require(FrameRingGeometry(capacity: 1000, slotCount: 4))
        let frameMemory = try FrameRingMemory(geometry: frames)
        let carrier = LateCarrier(framesOfTransfer: countsFrames ? UInt32(shape.packetCount) : nil)
        let run = StreamRun(
            transfers: TransferRing(mapping: mapping, carrier: carrier), shape: shape,
            writer: try FrameRingWriter(descriptor: frameMemory.descriptor, geometry: frames, generation: 1), frameInterval: 33_000_000,
            progress: Progress().activity())
        var assembler = ThermalAssembler()
        var pass = try run.begin(.fresh(nil), &assembler)
        carrier.complete(shape.transferCount, mapping)
        var holes: [UInt64] = []
        for number in 0..<UInt64(shape.transferCount * 2) {
            // From here on one comes at a time.
            if number >= UInt64(shape.transferCount) { carrier.complete(1, mapping) }
            guard case .transfer(let transfer, let afterHole) = try run.next(&pass, headerLength: 0) else {
                Issue.record("there is no transfer \(number)")
                return
            }
            #expect(transfer.number == number)
            if afterHole { holes.append(number) }
            try run.transfers.commit(layout: 1, state: UInt64(0))
        }
        #expect(holes == (countsFrames ? [] : [UInt64(shape.transferCount)]))
    }

    @Test func aTransferThatIsDroppedMarksItsPicture() async throws {
        let scene = try Scene()
        var seen = Seen()
        _ = try await scene.live(try scene.ring(), from: .fresh(nil), handling: 5)
        // A transfer completed, and the process that had it in its hands is gone.
        try await scene.succeed(handling: 0)
        scene.carrier.give(1)
        let transfers = try scene.ring()
        _ = transfers.resume(layout: ThermalAssembler.memoryLayout, as: StreamMemory<ThermalAssembler.State>.self)
        _ = try transfers.take(timeout: .seconds(10))
        try await scene.succeed(handling: 3, dropping: true)
        read(scene, &seen)
        #expect(seen.damaged == [3])
        #expect(seen.wrong == [3])
    }

    @Test func aStateOfAnotherVersionIsNotTakenOver() async throws {
        let scene = try Scene()
        _ = try await scene.live(try scene.ring(), from: .fresh(nil), handling: 2)
        let other = ThermalAssembler.memoryLayout ^ 1 << 32
        #expect(try scene.ring().resume(layout: other, as: StreamMemory<ThermalAssembler.State>.self) == nil)
    }

    @Test func theFirstPictureIsHeardOfOnce() async throws {
        let scene = try Scene()
        let heard = Mutex(0)
        _ = try await scene.live(try scene.ring(), from: .fresh(nil), handling: 6) {
            if case .firstPicture = $0 { heard.withLock { $0 += 1 } }
        }
        #expect(heard.withLock { $0 } == 1)
    }

    @Test func whatSurvivesFitsIntoATransferRing() {
        #expect(MemoryLayout<StreamMemory<ThermalAssembler.State>>.size <= TransferRingGeometry.stateSize - 512)
    }
}
