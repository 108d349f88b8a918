// Holes between isochronous transfers.

import Testing
import USB

@Suite struct SlotContinuityTests {
    @Test func `transfers that follow one another leave no hole, over the wrap of the counter too`() {
        var continuity = SlotContinuity(speed: .high, interval: 1)
        var frame: UInt32 = 8192 - 64
        for _ in 0..<600 {
            #expect(!continuity.hole(startFrame: frame, packetCount: 32))
            frame = (frame + 32) % 8192
        }
    }

    @Test func `a skipped slot is a hole, once`() {
        var continuity = SlotContinuity(speed: .high, interval: 1)
        for index in 0..<5 { #expect(!continuity.hole(startFrame: UInt32(index * 32), packetCount: 32)) }
        #expect(continuity.hole(startFrame: 161, packetCount: 32))
        #expect(!continuity.hole(startFrame: 193, packetCount: 32))
    }

    @Test func `numbers that never follow one another are not believed`() {
        var continuity = SlotContinuity(speed: .high, interval: 1)
        for index in 0..<100 { #expect(!continuity.hole(startFrame: UInt32(index * 7), packetCount: 32)) }
    }

    @Test func `a backend that does not count tells of no hole`() {
        var continuity = SlotContinuity(speed: .full, interval: 1)
        for _ in 0..<100 { #expect(!continuity.hole(startFrame: nil, packetCount: 8)) }
    }

    @Test func `intervals longer than a slot count in slots`() {
        var continuity = SlotContinuity(speed: .high, interval: 3)
        for index in 0..<50 { #expect(!continuity.hole(startFrame: UInt32(index * 8 * 4), packetCount: 8)) }
    }
}
