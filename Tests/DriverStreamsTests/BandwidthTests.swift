// A bus without room for a stream, as a controller says it that reserves bandwidth when transfers are
// submitted.

import FrameRing
import Synchronization
import Testing
import TransferRing
import USB
import UserDriver

@testable import DriverStreams

@Suite struct BandwidthTests {
    /// Takes transfers, or does not, and completes one.
    private final class Controller: RingCarrier {
        enum Answer {
            case takes
            /// As usbfs says it.
            case refuses
            /// As another machine says it over USB/IP.
            case returns
        }
        private let answer: Answer
        private let inFlight = Mutex<[Int]>([])

        init(_ answer: Answer) { self.answer = answer }

        func submit(_ record: RingRecord) throws(USBError) {
            if answer == .refuses { throw USBError(.noBandwidth, operation: "USBDEVFS_SUBMITURB") }
            inFlight.withLock { $0.append(record.index) }
            record.markInFlight()
        }

        func adopt(_ record: RingRecord) {}

        func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
            guard let index = inFlight.withLock({ $0.isEmpty ? nil : $0.removeFirst() }), index == 0 else {
                throw USBError(.cancelled, operation: "the test's end")
            }
            RingRecord(mapping, index: index).complete(status: answer == .returns ? -28 : 0, actualLength: 0, at: 1)
            return .progress
        }

        func cancelAll(_ mapping: TransferRingMapping) {}
    }

    /// How the stream ended, and whether it had begun.
    private func stream(_ answer: Controller.Answer, _ shape: StreamShape) async throws -> (code: USBError.Code?, begun: Int) {
        let geometry = try #require(
            TransferRingGeometry(
                transferCount: shape.transferCount, packetCount: shape.type == .isochronous ? shape.packetCount : 0,
                packetLength: shape.packetLength))
        let memory = try TransferRingMemory(geometry: geometry)
        let frames = try #require(FrameRingGeometry(capacity: ThermalCarrier.frameLength, slotCount: 8))
        let frameMemory = try FrameRingMemory(geometry: frames)
        let transfers = TransferRing(
            mapping: try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil), carrier: Controller(answer))
        let begun = Mutex(0)
        let run = StreamRun(
            transfers: transfers, shape: shape,
            writer: try FrameRingWriter(descriptor: frameMemory.descriptor, geometry: frames, generation: 1), frameInterval: 33_000_000,
            progress: Progress().activity()
        ) { _, news in if case .begun = news { begun.withLock { $0 += 1 } } }
        let outcome = await withCheckedContinuation { continuation in
            run.start(ThermalAssembler(), from: .fresh(nil)) { continuation.resume(returning: $0) }
        }
        guard case .failure(let error) = outcome else { return (nil, begun.withLock { $0 }) }
        return (error.code, begun.withLock { $0 })
    }

    @Test func `transfers that are refused are no stream that has begun`() async throws {
        let shape = StreamShape.isochronous(bytesPerInterval: 3072, interval: 1, speed: .high)
        #expect(try await stream(.refuses, shape) == (.noBandwidth, 0))
        #expect(try await stream(.returns, shape) == (.noBandwidth, 0))
    }

    @Test func `a stream has begun once its transfers go round`() async throws {
        #expect(try await stream(.takes, .isochronous(bytesPerInterval: 3072, interval: 1, speed: .high)) == (.cancelled, 1))
        #expect(try await stream(.takes, .bulk(maxPacketSize: 512, payloadSize: ThermalCarrier.requested)) == (.cancelled, 1))
    }
}
