// Fuzzes the descriptor parsers.

import USB

enum DescriptorFuzz: FuzzTarget {
    static let name = "descriptors"
    static let seeds: [[UInt8]] = []

    static func run(_ bytes: [UInt8]) {
        let set = DescriptorSet(parsing: bytes)
        precondition(set.oddities.count <= DescriptorOddities.limit)
    }
}
