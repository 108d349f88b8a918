// What a parser offers to be fuzzed.

/// One parser of hostile bytes. To add one: a file `NameFuzz.swift` with a type of this protocol, and its line in `FuzzTargets.swift`.
protocol FuzzTarget: Sendable {
    /// What is typed, and the folder of its corpus: lower case, `"descriptors"`.
    static var name: String { get }
    /// Well-formed inputs that mutation starts from. Small ones are best.
    static var seeds: [[UInt8]] { get }
    /// Parses the bytes and looks at all of the result. Whatever goes wrong traps: a parser's own trap, or a `precondition` on the result.
    static func run(_ bytes: [UInt8])
}
