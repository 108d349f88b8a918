// How streams are cut into transfers.

import Testing
import USB

@testable import DriverStreams

@Suite struct StreamShapeTests {
    @Test func isochronousTransfersHave64PacketsAndCoverTheirTime() {
        let shape = StreamShape.isochronous(bytesPerInterval: 1024, interval: 1, speed: .high)
        #expect(shape.packetCount == 64 && shape.packetLength == 1024)
        // 64 microframes are 8 ms; 128 ms at least are in flight.
        #expect(shape.transferCount * 8 >= 128 && shape.transferCount * shape.packetCount * 1024 <= 4 << 20)
        // At full speed a packet comes every millisecond: a frame is not to wait for longer.
        #expect(StreamShape.isochronous(bytesPerInterval: 192, interval: 1, speed: .full).packetCount == 8)
    }

    @Test func smallBulkPayloadsShareATransferWhereTheyMay() {
        let joined = StreamShape.bulk(maxPacketSize: 512, payloadSize: 16 << 10, joinsPayloads: true)
        #expect(joined.packetLength == 128 << 10)
        // An assembler that has not said so gets each payload by itself.
        #expect(StreamShape.bulk(maxPacketSize: 512, payloadSize: 16 << 10).packetLength == 16 << 10)
        // A payload that ends with a short packet ends its transfer anyway.
        let short = StreamShape.bulk(maxPacketSize: 512, payloadSize: (16 << 10) + 12, joinsPayloads: true)
        #expect(short.packetLength == (16 << 10) + 512)
        // Six payloads of 20 KiB are whole in 120 KiB.
        #expect(StreamShape.bulk(maxPacketSize: 512, payloadSize: 20 << 10, joinsPayloads: true).packetLength == 120 << 10)
        #expect(StreamShape.bulk(maxPacketSize: 512, payloadSize: 600_000, joinsPayloads: true).packetLength == 128 << 10)
    }

    @Test func withoutMemoryForLongBulkTransfersThereAreShorterOnes() {
        func lengths(_ payloadSize: Int, joins: Bool = true) -> [Int] {
            StreamShape.bulk(maxPacketSize: 1024, payloadSize: payloadSize, joinsPayloads: joins).shorterLengths
        }
        #expect(lengths(16 << 10) == [64 << 10, 16 << 10] && lengths(600_000) == [64 << 10, 16 << 10])
        // Three payloads are whole in the one, and in the other a part.
        #expect(lengths(20 << 10) == [60 << 10, 16 << 10])
        // Always whole packets: a device sends no parts of them.
        #expect(lengths((16 << 10) + 12) == [16 << 10])
        #expect(lengths(3000) == [] && lengths(0) == [])
        // Payloads are cut only where they were anyway, unless the assembler has said that it joins them.
        #expect(lengths(32 << 10, joins: false) == [] && lengths(600_000, joins: false) == [64 << 10, 16 << 10])
    }

    @Test func bulkQueuesCoverATimeWithinTheirMemory() {
        func count(_ bytesPerSecond: Int) -> Int {
            StreamShape.bulk(maxPacketSize: 512, payloadSize: 600_000, bytesPerSecond: bytesPerSecond).transferCount
        }
        #expect(count(0) == 16 && count(-1) == 16 && count(1_000_000) == 16)
        // 128 ms of 30 MB/s.
        #expect((28...32).contains(count(30_000_000)))
        // 64 ms of 120 MB/s are more than 4 MiB; no stream has more than 8.
        #expect((56...64).contains(count(120_000_000)) && count(.max) == 64)
    }

    @Test(arguments: [0, 1, 7, 511, 512, 513, .max]) func noPacketSizeIsTooOdd(_ maxPacketSize: Int) {
        let shape = StreamShape.bulk(maxPacketSize: min(maxPacketSize, 1 << 20), payloadSize: 3000, joinsPayloads: true)
        #expect(shape.packetLength >= 3000 && shape.transferCount >= 16)
    }
}
