// Holes between isochronous transfers.

import Testing
import USB

@Suite struct SlotContinuityTests {
    /// The indices of the transfers that had a hole before them.
    private func holes(speed: USBSpeed = .high, interval: UInt8 = 1, packets: Int = 32, _ starts: [UInt32?]) -> [Int] {
        var continuity = SlotContinuity(speed: speed, interval: interval)
        return starts.indices.filter { continuity.hole(startFrame: starts[$0], packetCount: packets) }
    }

    @Test func `transfers that follow one another leave no hole, over the wrap of the counter too`() {
        #expect(holes((0..<600).map { (8192 - 64 + $0 * 32) % 8192 }) == [])
    }

    @Test func `a skipped slot is a hole, once`() {
        #expect(holes([0, 32, 64, 96, 128, 161, 193, 225]) == [5])
    }

    @Test func `holes one after the other are holes`() {
        #expect(holes([0, 32, 64, 96, 128, 200, 300, 400, 432, 500]) == [5, 6, 7, 9])
    }

    @Test func `numbers that never follow one another are not believed`() {
        #expect(holes((0..<100).map { $0 * 7 }) == [])
    }

    @Test func `a backend that does not count tells of no hole`() {
        #expect(holes(speed: .full, packets: 8, Array(repeating: nil, count: 100)) == [])
    }

    @Test func `intervals longer than a slot count in slots`() {
        #expect(holes(interval: 3, packets: 8, (0..<50).map { $0 * 8 * 4 }) == [])
    }
}
