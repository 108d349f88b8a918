// The last lines of what a driver printed, however much it prints.

import Wire

/// Keeps the last lines of a stream of bytes, bounded in number and length.
struct LineTail: Sendable {
    static let maximumLines = 40
    static let maximumLineBytes = 400
    private(set) var lines: [String] = []
    private var unfinished: [UInt8] = []

    mutating func append(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                finishLine()
            } else if unfinished.count < Self.maximumLineBytes {
                unfinished.append(byte)
            }
        }
    }

    mutating func append(line: String) {
        lines.append(line.clipped(toBytes: Self.maximumLineBytes).printable)
        if lines.count > Self.maximumLines { lines.removeFirst(lines.count - Self.maximumLines) }
    }

    /// What came last may have no end of line.
    mutating func finish() { if !unfinished.isEmpty { finishLine() } }

    private mutating func finishLine() {
        let text = String(decoding: unfinished, as: UTF8.self)
        unfinished.removeAll(keepingCapacity: true)
        append(line: text)
    }
}
