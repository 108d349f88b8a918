// What a stream has counted, for the heartbeat.

package struct StreamCounters: Sendable {
    package var frames: UInt64 = 0
    package var lost: UInt64 = 0
    package var bytes: UInt64 = 0
    /// CLOCK_MONOTONIC ns of the newest frames, for the rate; at most one second's.
    var recent: [UInt64] = []

    package init() {}

    init(_ books: StreamBooks) { set(books) }

    mutating func set(_ books: StreamBooks) {
        frames = books.frames
        lost = books.lost
        bytes = books.bytes
    }

    mutating func note(captured time: UInt64) {
        recent.append(time)
        if recent.count > 240 { recent.removeFirst(120) }
    }

    func rate(now: UInt64) -> Double {
        let second = recent.filter { $0 + 1_000_000_000 > now }
        guard let first = second.first, let last = second.last, last > first else { return 0 }
        return Double(second.count - 1) * 1e9 / Double(last - first)
    }
}
