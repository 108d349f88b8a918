// Which blocks of an arena are free: a pure allocator.

/// Free blocks as runs, in order, no two of them adjacent.
public struct ArenaSpace: Hashable, Sendable {
    public let blockCount: Int
    /// The first block is never free: it is the arena's own.
    public private(set) var free: [Range<Int>]

    public init(blockCount: Int) {
        self.blockCount = blockCount
        free = blockCount > 1 ? [1..<blockCount] : []
    }

    public var freeCount: Int { free.reduce(0) { $0 + $1.count } }
    /// Nothing is in it.
    public var isEmpty: Bool { freeCount == blockCount - 1 }

    /// Up to `count` blocks in one run: those from `start` on if they are free, else the first run
    /// that is long enough, else the longest.
    public mutating func allocate(atMost count: Int, from start: Int? = nil) -> Range<Int>? {
        guard count > 0 else { return nil }
        var index = start.flatMap { start in free.firstIndex { $0.lowerBound == start } }
        index = index ?? free.firstIndex { $0.count >= count }
        index = index ?? free.indices.max { free[$0].count < free[$1].count }
        guard let index else { return nil }
        let run = free[index]
        let taken = run.lowerBound..<run.lowerBound + min(count, run.count)
        if taken == run { free.remove(at: index) } else { free[index] = taken.upperBound..<run.upperBound }
        return taken
    }

    /// Takes these blocks. False, with nothing done, where they are not all free.
    public mutating func take(_ blocks: Range<Int>) -> Bool {
        guard !blocks.isEmpty,
            let index = free.firstIndex(where: { $0.lowerBound <= blocks.lowerBound && $0.upperBound >= blocks.upperBound })
        else { return false }
        let run = free[index]
        let rest = [run.lowerBound..<blocks.lowerBound, blocks.upperBound..<run.upperBound].filter { !$0.isEmpty }
        free.replaceSubrange(index...index, with: rest)
        return true
    }

    /// Gives blocks back. All of them must have been taken: anything else is a mistake in the caller.
    public mutating func release(_ blocks: Range<Int>) {
        guard !blocks.isEmpty else { return }
        precondition(
            blocks.lowerBound > 0 && blocks.upperBound <= blockCount && !free.contains { $0.overlaps(blocks) },
            "blocks must be freed only once")
        var index = free.firstIndex { $0.lowerBound > blocks.lowerBound } ?? free.count
        free.insert(blocks, at: index)
        if index + 1 < free.count, free[index].upperBound == free[index + 1].lowerBound {
            free[index] = free[index].lowerBound..<free[index + 1].upperBound
            free.remove(at: index + 1)
        }
        if index > 0, free[index - 1].upperBound == free[index].lowerBound {
            index -= 1
            free[index] = free[index].lowerBound..<free[index + 1].upperBound
            free.remove(at: index + 1)
        }
    }
}
