// What the next incarnation needs to go on where this one ended.

import UVC
import Wire

/// Kept by the supervisor. It holds what clients asked for, and of the device no more than what it committed itself to and how long it takes.
struct RecoveryRecord: Codable, Equatable {
    /// What each stream that is on was negotiated to, by name.
    var streams: [String: StreamRequest] = [:]
    /// The probe and commit block that each stream that is on was committed with, as hexadecimal digits: a successor that takes the
    /// stream over asks the device nothing.
    var committed: [String: String]? = [:]
    /// By stream: how long the camera took from being told to stream to its first picture, in milliseconds.
    var startups: [String: Int]? = [:]
    /// By stream: how often it was told to stream again since its last picture.
    var remedies: [String: Int]? = [:]
    /// Controls that clients have set, by name. A camera that was unplugged has forgotten them.
    var controls: [String: Int] = [:]

    func committedBlock(of stream: String) -> [UInt8]? {
        guard let digits = committed?[stream]?.utf8, digits.count % 2 == 0, digits.count <= 96 else { return nil }
        let nibbles = digits.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard nibbles.count == digits.count else { return nil }
        return stride(from: 0, to: nibbles.count, by: 2).map { UInt8(nibbles[$0] << 4 | nibbles[$0 + 1]) }
    }

    mutating func setCommitted(_ block: [UInt8]?, of stream: String) {
        let digits = block?.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        committed = (committed ?? [:]).merging([stream: digits].compactMapValues { $0 }) { $1 }
        if digits == nil { committed?[stream] = nil }
    }

    func patience(of stream: String) -> Patience {
        Patience(
            startup: UInt64(max(0, min(startups?[stream] ?? 0, 3_600_000))) * 1_000_000,
            remedies: UInt32(clamping: max(0, remedies?[stream] ?? 0)))
    }

    mutating func setPatience(_ patience: Patience, of stream: String) {
        startups = (startups ?? [:]).merging([stream: Int(patience.startup / 1_000_000)]) { $1 }
        remedies = (remedies ?? [:]).merging([stream: Int(patience.remedies)]) { $1 }
    }

    /// A record that can't be read is no record: the driver starts as if for the first time, and says so.
    static func read(_ value: JSONValue?) throws -> RecoveryRecord {
        guard let value else { return RecoveryRecord() }
        return try value.decoded(as: RecoveryRecord.self)
    }
}

/// What a client asks of a stream; each part is optional.
struct StreamRequest: Codable, Equatable {
    var format: String?
    var width: Int?
    var height: Int?
    var fps: Double?

    init(format: String? = nil, width: Int? = nil, height: Int? = nil, fps: Double? = nil) {
        self.format = format
        self.width = width
        self.height = height
        self.fps = fps
    }

    init(_ choice: StreamChoice) {
        self.init(format: choice.format.name, width: choice.frame.width, height: choice.frame.height, fps: choice.rate)
    }

    /// Throws `CallError("InvalidParameter")` for members of the wrong type.
    init(_ value: JSONValue) throws(CallError) {
        do {
            self = try value.decoded(as: StreamRequest.self)
        } catch {
            throw CallError("InvalidParameter", "A stream is asked for with format, width, height and fps; this can't be read: \(error)")
        }
    }

    /// Whether a stream of that kind is what was asked for.
    func allows(_ stream: StreamRequest) -> Bool {
        func fits<T: Equatable>(_ wanted: T?, _ given: T?) -> Bool { wanted == nil || wanted == given }
        let rate = fps.map { wanted in stream.fps.map { abs($0 - wanted) < 0.01 * wanted } ?? false } ?? true
        return fits(format, stream.format) && fits(width, stream.width) && fits(height, stream.height) && rate
    }

    var text: String {
        var parts: [String] = []
        if let format { parts.append(format) }
        if let width, let height { parts.append("\(width)×\(height)") }
        if let fps { parts.append("\(Int(exactly: fps).map(String.init) ?? String(fps)) fps") }
        return parts.isEmpty ? "any format" : parts.joined(separator: " ")
    }
}
