// What the next incarnation needs to go on with a stream: part of the driver's recovery record.

/// About the device it holds only what the device agreed to and how long it takes.
public struct StreamRecord<Request: StreamRequesting>: Codable, Hashable, Sendable {
    /// What was agreed for the stream; `nil` while it is off.
    public private(set) var request: Request?
    /// `StreamAgreement.record` of it, as hexadecimal digits.
    private var agreement: String?
    /// How long the device took from being told to stream to its first picture, in milliseconds.
    private var startup: Int?
    /// How often it was told to stream again since its last picture.
    private var remedies: Int?

    private static var longestAgreement: Int { 128 }

    public init() {}

    mutating func set(_ request: Request?, agreement bytes: [UInt8]) {
        self.request = request
        agreement =
            request == nil
            ? nil : bytes.prefix(Self.longestAgreement).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    var agreementBytes: [UInt8]? {
        guard let digits = agreement?.utf8, digits.count % 2 == 0, digits.count <= 2 * Self.longestAgreement else { return nil }
        let nibbles = digits.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard nibbles.count == digits.count else { return nil }
        return stride(from: 0, to: nibbles.count, by: 2).map { UInt8(nibbles[$0] << 4 | nibbles[$0 + 1]) }
    }

    var patience: Patience {
        get {
            Patience(
                startup: UInt64(max(0, min(startup ?? 0, 3_600_000))) * 1_000_000, remedies: UInt32(clamping: max(0, remedies ?? 0)))
        }
        set {
            startup = Int(newValue.startup / 1_000_000)
            remedies = Int(newValue.remedies)
        }
    }
}
