// SSH's wire format (RFC 4251 §5): big-endian numbers, strings with a length before them.

/// Reads from the front of bytes that may be anything; never past their end.
struct SSHReader {
    private(set) var rest: ArraySlice<UInt8>
    /// What is being read, for errors: "the signature".
    let subject: String

    init(_ bytes: some Sequence<UInt8>, of subject: String) {
        rest = ArraySlice(bytes)
        self.subject = subject
    }

    var isAtEnd: Bool { rest.isEmpty }

    func malformed(_ problem: String) -> TrustError { TrustError(.malformed, "\(subject) is malformed: \(problem).") }

    mutating func bytes(_ count: Int) throws(TrustError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= rest.count else { throw malformed("it ends too early") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func byte() throws(TrustError) -> UInt8 {
        guard let byte = rest.popFirst() else { throw malformed("it ends too early") }
        return byte
    }

    mutating func uint32() throws(TrustError) -> UInt32 { try bytes(4).reduce(0) { $0 << 8 | UInt32($1) } }
    mutating func uint64() throws(TrustError) -> UInt64 { try bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }

    mutating func string() throws(TrustError) -> [UInt8] {
        let length = try uint32()
        guard Int(length) <= rest.count else { throw malformed("a length of \(length) is more than what follows") }
        return Array(try bytes(Int(length)))
    }

    /// A string that a person reads: UTF-8 without control characters.
    mutating func text() throws(TrustError) -> String {
        guard let text = String(validating: try string(), as: UTF8.self),
            !text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 })
        else { throw malformed("a name in it is not text") }
        return text
    }

    /// An unsigned `mpint` as exactly `count` bytes.
    mutating func number(bytes count: Int) throws(TrustError) -> [UInt8] {
        let number = try string()
        guard number.first ?? 0 < 0x80 else { throw malformed("a number in it is negative") }
        let digits = number.drop { $0 == 0 }
        guard digits.count <= count else { throw malformed("a number in it is too large") }
        return [UInt8](repeating: 0, count: count - digits.count) + digits
    }

    func end() throws(TrustError) {
        guard rest.isEmpty else { throw malformed("\(rest.count) bytes follow its end") }
    }
}

/// Writes the same format.
struct SSHWriter {
    private(set) var bytes: [UInt8] = []

    mutating func raw(_ more: some Sequence<UInt8>) { bytes += more }
    mutating func uint32(_ value: UInt32) {
        for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    mutating func string(_ more: some Collection<UInt8>) {
        uint32(UInt32(more.count))
        bytes += more
    }
    mutating func text(_ text: String) { string(Array(text.utf8)) }
    /// An unsigned number, big-endian, as an `mpint`.
    mutating func number(_ digits: some Collection<UInt8>) {
        let significant = Array(digits.drop { $0 == 0 })
        string((significant.first ?? 0) >= 0x80 ? [0] + significant : significant)
    }
}
