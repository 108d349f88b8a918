// Little-endian numbers in byte arrays, never read past the end.

extension [UInt8] {
    mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// The number at `offset`; bytes that are not there count as 0.
    func littleEndian<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type = Value.self) -> Value {
        var value: Value = 0
        for index in 0..<(Value.bitWidth / 8) where offset >= 0 && offset + index < count {
            value |= Value(truncatingIfNeeded: self[offset + index]) << Value(truncatingIfNeeded: 8 * index)
        }
        return value
    }
}
