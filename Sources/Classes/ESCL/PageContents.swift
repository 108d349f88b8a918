// Whether a page's bytes are a whole picture or document: by their beginning and their end, as they
// go by.

/// Told by its first bytes and not by what the scanner says: some announce PNG and send JPEG.
public enum PageFormat: UInt8, Hashable, Sendable, CaseIterable {
    case jpeg = 1
    case png
    case pdf
    case tiff
    case other = 0

    /// Bytes that are needed to tell it.
    public static let opening = 8

    public init(opening bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes.prefix(Self.opening))
        self =
            if bytes.starts(with: [0xff, 0xd8, 0xff]) {
                .jpeg
            } else if bytes.starts(with: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) {
                .png
            } else if bytes.starts(with: "%PDF-".utf8) {
                .pdf
            } else if bytes.starts(with: [0x49, 0x49, 0x2a, 0x00]) || bytes.starts(with: [0x4d, 0x4d, 0x00, 0x2a]) {
                .tiff
            } else {
                .other
            }
    }

    public var mediaType: String? {
        switch self {
        case .jpeg: "image/jpeg"
        case .png: "image/png"
        case .pdf: "application/pdf"
        case .tiff: "image/tiff"
        case .other: nil
        }
    }

    /// What its last bytes are; `nil` if nothing tells its end.
    fileprivate var ending: [UInt8]? {
        switch self {
        case .jpeg: [0xff, 0xd9]  // EOI
        case .png: [0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82]  // IEND and its CRC
        case .pdf: Array("%%EOF".utf8)
        case .tiff, .other: nil
        }
    }
}

/// Looks at a page's bytes as they go by. Its state is small, so that a successor process can
/// continue it.
public struct PageContents: Hashable, Sendable {
    /// So many bytes may follow what ends a page: padding.
    private static let mostPadding: UInt64 = 1024

    public private(set) var format: PageFormat?
    public private(set) var length: UInt64 = 0
    /// Where the last of the format's endings was over; 0 for none.
    private var ended: UInt64 = 0
    /// The last bytes, at most eight: an ending may be split; and before the format is known, all.
    private var tail: [UInt8] = []

    public init() {}

    public mutating func take(_ bytes: ArraySlice<UInt8>) {
        guard !bytes.isEmpty else { return }
        let seen = tail + bytes
        // What ends before these bytes was seen before, unless it was not known yet what ends it.
        let searched = format == nil ? 0 : tail.count
        if format == nil, seen.count >= PageFormat.opening { format = PageFormat(opening: seen) }
        if let ending = format?.ending, let last = ending.last {
            var place = seen.count
            while place >= ending.count, place > searched {
                if seen[place - 1] == last, seen[(place - ending.count)..<place].elementsEqual(ending) {
                    ended = length + UInt64(place) - UInt64(tail.count)
                    break
                }
                place -= 1
            }
        }
        length += UInt64(bytes.count)
        tail = Array(seen.suffix(PageFormat.opening))
    }

    /// Why it is not whole, in a phrase; `nil` if it is, or where nothing tells.
    public var defect: String? {
        if length == 0 { return "it is empty" }
        guard let format else { return "it has \(length) bytes" }
        guard format.ending != nil else { return nil }
        guard ended > 0, length - min(ended, length) <= Self.mostPadding else { return "its end is missing" }
        return nil
    }

    // MARK: Kept

    public static let checkpointLength = 28

    public var checkpoint: [UInt8] {
        func bytes(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) } }
        return [format == nil ? 0 : 1, format?.rawValue ?? 0, UInt8(tail.count), 0] + bytes(length) + bytes(ended) + tail
            + [UInt8](repeating: 0, count: PageFormat.opening - tail.count)
    }

    /// `nil` for bytes that are not such a state.
    public init?(checkpoint: [UInt8]) {
        guard checkpoint.count == Self.checkpointLength, checkpoint[2] <= UInt8(PageFormat.opening) else { return nil }
        func number(_ start: Int) -> UInt64 { checkpoint[start..<(start + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        if checkpoint[0] == 1 {
            guard let format = PageFormat(rawValue: checkpoint[1]) else { return nil }
            self.format = format
        }
        length = number(4)
        ended = number(12)
        guard length < 1 << 48, ended <= length else { return nil }
        tail = Array(checkpoint[20..<(20 + Int(checkpoint[2]))])
    }
}
