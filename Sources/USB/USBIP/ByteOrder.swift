// Big-endian words in raw memory, where the caller has checked that they are within it.

extension UnsafeRawBufferPointer {
    func word16(_ offset: Int) -> UInt16 { UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    func word32(_ offset: Int) -> UInt32 { UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    func signed32(_ offset: Int) -> Int32 { Int32(bitPattern: word32(offset)) }
}

extension UnsafeMutableRawBufferPointer {
    func put(_ value: UInt16, at offset: Int) { storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self) }
    func put(_ value: UInt32, at offset: Int) { storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self) }
    func put(_ value: Int32, at offset: Int) { put(UInt32(bitPattern: value), at: offset) }
    func zero(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        UnsafeMutableRawBufferPointer(rebasing: self[range]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Text in a field of fixed size: cut so that a NUL ends it, the rest zero.
    func put(text: String, in range: Range<Int>) {
        zero(range)
        for (offset, byte) in zip(range.lowerBound..<range.upperBound - 1, text.utf8) { self[offset] = byte }
    }
}

extension UnsafeRawBufferPointer {
    /// The text of a field of fixed size, up to its first NUL.
    func text(in range: Range<Int>) -> String {
        String(decoding: self[range].prefix { $0 != 0 }, as: UTF8.self)
    }
}
