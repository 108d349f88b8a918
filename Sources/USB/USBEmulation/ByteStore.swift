// Memory that grows and is used again: what keeps the engine from allocating for each transfer.

/// Uninitialised bytes, 64-aligned. Used from one thread.
final class ByteStore {
    private(set) var bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    deinit { bytes.deallocate() }

    /// Makes room for `count` bytes and keeps the first `kept`, as far as there are so many.
    func reserve(_ count: Int, keeping kept: Int = 0) {
        guard count > bytes.count else { return }
        let grown = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, bytes.count * 2, 1024), alignment: 64)
        grown.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<min(kept, bytes.count)]))
        bytes.deallocate()
        bytes = grown
    }

    /// Gives the memory back when it has grown past `limit`.
    func shrink(above limit: Int) {
        guard bytes.count > limit else { return }
        bytes.deallocate()
        bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    func slice(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: bytes[range]) }
}
