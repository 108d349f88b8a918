// What a scanner's endpoint is known by, derived from the device's id, so that it is the same each
// time.

enum EndpointIdentity {
    /// Ports that scanners get, from the base on.
    static let range = 64

    /// The port that is tried first, and those that follow.
    static func ports(of device: String, base: UInt16) -> [UInt16] {
        let first = Int(hash(device, seed: 0) % UInt64(range))
        return (0..<range).compactMap { UInt16(exactly: Int(base) + (first + $0) % range) }
    }

    /// A UUID of the kind that whoever makes it defines (RFC 9562 §5.8).
    static func text(of device: String) -> String {
        let (high, low) = (hash(device, seed: 1), hash(device, seed: 2))
        let bits = [(high & ~0xf000) | 0x8000, (low & ~(0xc << 60)) | 0x8 << 60]
        let digits = bits.map { value in
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
        var groups: [Substring] = []
        var rest = digits[...]
        for length in [8, 4, 4, 4, 12] {
            groups.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return groups.joined(separator: "-")
    }

    /// FNV-1a, 64 bits. It need not withstand anybody: who chooses ids chooses among a few ports.
    private static func hash(_ text: String, seed: UInt8) -> UInt64 {
        ([seed] + Array(text.utf8)).reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
