// Blocks of an arena, given out and taken back.

import Testing

@testable import ObjectStore

@Suite("Free blocks of an arena") struct ArenaSpaceTests {
    @Test func theFirstBlockIsNeverGivenOut() {
        var space = ArenaSpace(blockCount: 8)
        #expect(space.allocate(atMost: 100) == 1..<8)
        #expect(space.allocate(atMost: 1) == nil)
        space.release(1..<8)
        #expect(space.isEmpty && space.free == [1..<8])
        #expect(ArenaSpace(blockCount: 1).free.isEmpty)
    }

    @Test func anObjectGoesOnWhereItEnds() {
        var space = ArenaSpace(blockCount: 16)
        #expect(space.allocate(atMost: 3) == 1..<4)
        #expect(space.allocate(atMost: 3, from: 4) == 4..<7)
        // Where that is taken, it goes on elsewhere.
        #expect(space.allocate(atMost: 2, from: 5) == 7..<9)
        #expect(space.allocate(atMost: 0) == nil)
    }

    @Test func theLongestRunServesWhereNoneIsLongEnough() {
        var space = ArenaSpace(blockCount: 12)
        #expect(space.allocate(atMost: 11) == 1..<12)
        space.release(2..<4)
        space.release(6..<9)
        #expect(space.free == [2..<4, 6..<9])
        #expect(space.allocate(atMost: 5) == 6..<9)
        #expect(space.allocate(atMost: 2) == 2..<4)
    }

    @Test func onlyFreeBlocksAreTaken() {
        var space = ArenaSpace(blockCount: 10)
        #expect(space.take(3..<5) == true)
        for blocks in [4..<6, 0..<2, 9..<11, 6..<6] { #expect(space.take(blocks) == false) }
        #expect(space.free == [1..<3, 5..<10])
        for blocks in [5..<10, 1..<3] { #expect(space.take(blocks) == true) }
        #expect(space.free.isEmpty)
    }

    /// Against a model that knows each block by itself.
    @Test func agreesWithAModelOverManySteps() {
        var random: UInt64 = 7
        func next(_ bound: Int) -> Int {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((random >> 33) % UInt64(bound))
        }
        var space = ArenaSpace(blockCount: 40)
        var isTaken = [Bool](repeating: false, count: 40)
        isTaken[0] = true
        var held: [Range<Int>] = []
        for _ in 0..<20_000 {
            if next(2) == 0, let blocks = space.allocate(atMost: 1 + next(9), from: next(3) == 0 ? next(40) : nil) {
                #expect(!isTaken[blocks].contains(true))
                for block in blocks { isTaken[block] = true }
                held.append(blocks)
            } else if !held.isEmpty {
                let blocks = held.remove(at: next(held.count))
                for block in blocks { isTaken[block] = false }
                space.release(blocks)
            }
            #expect(space.freeCount == isTaken.count { !$0 })
            #expect(zip(space.free, space.free.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
        }
    }

    @Test func boundsAreInBytes() {
        let layout = ArenaLayout(byteCount: 64 << 10)
        #expect(layout?.blockCount == 4 && layout?.capacity == 48 << 10)
        for size in [0, -1, 1, 16 << 10, (64 << 10) + 1, .max, .min, 2 << 30] { #expect(ArenaLayout(byteCount: size) == nil) }
        #expect(layout?.holds(offset: 16 << 10, length: 48 << 10) == true)
        for (offset, length) in [(0, 1), (16 << 10, (48 << 10) + 1), (64 << 10, 1), (16 << 10, -1), (.max, 1), (16 << 10, .max), (-1, 1)] {
            #expect(layout?.holds(offset: offset, length: length) == false)
        }
        #expect(ArenaLayout.blocks(0) == 0 && ArenaLayout.blocks(1) == 1 && ArenaLayout.blocks(16 << 10) == 1)
        #expect((0..<64).allSatisfy { 64..<ArenaLayout.blockSize - 7 ~= ArenaLayout.cursor($0) })
    }
}
