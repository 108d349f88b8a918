// Frames in a test driver's ring, and the ways in which it goes on in another one.

import CLinux
import FrameRing
import Glibc
import Wire

struct MovingRings {
    /// What happens when another ring comes. The ways to die are the first incarnation's.
    enum Way: String {
        case atOnce = "moves"
        /// There are no frames at all.
        case withoutFrames = "moves-without-frames"
        case never = "moves-never"
        /// When its supervisor has gone, in the first incarnation; later ones at once.
        case alone = "moves-alone"
        case diesBefore = "dies-before"
        /// It has gone over, and says nothing of it.
        case diesBetween = "dies-between"
        /// It has a frame in the new ring as well.
        case diesAfterFrame = "dies-after-frame"
        case diesConfirmed = "dies-confirmed"
    }
    var way = Way.atOnce
    private var writer: FrameRingWriter?
    private var name = ""
    private var generation: UInt32 = 0
    private var grant: RingGrant?

    func isOpen(_ name: String) -> Bool { writer != nil && name == self.name }

    mutating func opened(_ grant: RingGrant, _ descriptors: [Int32], _ generation: UInt32) throws {
        writer = try FrameRingWriter(
            descriptor: descriptors[0], geometry: geometry(grant), generation: generation, reports: pages(grant, descriptors))
        writer?.movesAtFrames = false
        (name, self.generation) = (grant.name, generation)
        self.grant = nil
    }

    mutating func take(_ grant: RingGrant, _ descriptors: [Int32]) throws {
        try writer?.offer(descriptor: descriptors[0], geometry: geometry(grant), reports: pages(grant, descriptors)) {}
        self.grant = grant
    }

    private func geometry(_ grant: RingGrant) -> FrameRingGeometry {
        FrameRingGeometry(capacity: grant.capacity, slotCount: grant.slotCount)!
    }

    private func pages(_ grant: RingGrant, _ descriptors: [Int32]) -> [Int32] {
        precondition(descriptors.count == 1 + (grant.reports ?? 0), "a page for each who reports")
        return Array(descriptors.dropFirst())
    }

    mutating func close() { (writer, grant) = (nil, nil) }

    mutating func tick(_ page: UnsafeMutableRawPointer, _ channel: Channel, isAlone: Bool) {
        if let grant, moves(isAlone) {
            let isFirst = generation == 1
            if isFirst, way == .diesBefore { _exit(21) }
            writer?.move()
            self.grant = nil
            if isFirst, way == .diesBetween { _exit(22) }
            if isFirst, way == .diesAfterFrame {
                publish()
                _exit(23)
            }
            if !isAlone { try? channel.send(MessageFromDriver.ringMoved(name: name, request: grant.request)) }
            if isFirst, way == .diesConfirmed { _exit(24) }
        }
        guard way != .withoutFrames else { return }
        publish()
        _ = clinux_add_u64(page + ProgressPage.units, 1)
    }

    private func moves(_ isAlone: Bool) -> Bool {
        switch way {
        case .never: false
        case .alone: isAlone || generation > 1
        default: true
        }
    }

    /// A frame that holds its number.
    private func publish() {
        guard let slot = writer?.begin() else { return }
        slot.bytes.storeBytes(of: slot.sequence, as: UInt64.self)
        writer?.publish(length: 8, captured: clinux_monotonic_ns())
    }
}
