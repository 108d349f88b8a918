// How an arena is laid out: Docs/Objects.md says it for readers in any language.

/// An arena is a memfd of fixed size. Its first block holds a magic number and the cursors, the
/// others hold objects' bytes.
public struct ArenaLayout: Hashable, Sendable {
    /// Space is given in blocks.
    public static let blockSize = 16 << 10
    /// The first word of an arena, "USDROBJ1" as bytes.
    public static let magic: UInt64 = 0x314a_424f_5244_5355
    /// Objects that can be written at a time in an arena.
    public static let cursorCount = 64
    private static let firstCursor = 64

    /// Of the whole arena.
    public let byteCount: Int

    /// `nil` for a size that is not a whole number of blocks, has no room for objects, or is more
    /// than an arena may have.
    public init?(byteCount: Int) {
        guard byteCount % Self.blockSize == 0, 2 * Self.blockSize...1 << 30 ~= byteCount else { return nil }
        self.byteCount = byteCount
    }

    public var blockCount: Int { byteCount / Self.blockSize }
    /// Bytes for objects.
    public var capacity: Int { byteCount - Self.blockSize }

    /// Where the cursor of this number lies: a 64-bit word, each with a cache line of its own. A
    /// writer stores in it how many bytes of its object are written.
    public static func cursor(_ number: Int) -> Int { firstCursor + min(max(number, 0), cursorCount - 1) * 64 }

    /// Blocks that a number of bytes takes.
    public static func blocks(_ bytes: Int) -> Int { bytes / blockSize + (bytes % blockSize == 0 ? 0 : 1) }

    /// Whether these are bytes of objects.
    public func holds(offset: Int, length: Int) -> Bool {
        length >= 0 && offset >= Self.blockSize && length <= byteCount && offset <= byteCount - length
    }
}
