// Packets as the kernel describes them, which somebody else may have written over.

import Testing
import USB

@Suite struct IsochronousPacketsTests {
    @Test func eachPacketHasItsPlaceAndOutcome() {
        IsochronousPackets.with([(100, 0), (0, 0), (7, -71), (1024, 0)], packetLength: 1024) { packets in
            #expect(packets.map(\.offset) == [0, 1024, 2048, 3072])
            #expect(packets.map(\.actualLength) == [100, 0, 7, 1024])
            #expect(packets.map(\.status) == [.completed, .completed, .fault(71), .completed])
            #expect(packets.actualLength == 1131)
        }
    }

    @Test func aLengthThatDoesNotFitIsAFailedPacket() {
        IsochronousPackets.with([(1025, 0), (Int(UInt32.max), 0), (5, -121)], packetLength: 1024) { packets in
            #expect(packets.map(\.actualLength) == [0, 0, 5] && packets.actualLength == 5)
            #expect(packets.map(\.status) == [.overflow, .overflow, .completed])
            let lengths = packets.indices.map {
                IsochronousPackets.wholeLength(packets.base! + $0 * IsochronousPackets.descriptionLength, room: 1024)
            }
            // The last one came, and is looked at more closely: its status is not 0.
            #expect(lengths == [-1, -1, -1])
        }
    }

    @Test func thereMayBeNone() {
        #expect(IsochronousPackets().isEmpty && IsochronousPackets().actualLength == 0)
    }
}
