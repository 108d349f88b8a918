// Which of a camera's formats, sizes and rates a request means.

import USB

/// A format, a size and a rate that a camera offers.
public struct StreamChoice: Hashable, Sendable, CustomStringConvertible {
    public var format: VideoFormat
    public var frame: VideoFrame
    /// `dwFrameInterval`, in 100 ns.
    public var interval: UInt32

    public init(format: VideoFormat, frame: VideoFrame, interval: UInt32) {
        self.format = format
        self.frame = frame
        self.interval = interval
    }

    /// Frames a second.
    public var rate: Double { Self.rate(interval) }

    /// `"mjpeg 1280×720 at 30 fps"`
    public var description: String { "\(format.name) \(frame.width)×\(frame.height) at \(Self.text(rate: rate)) fps" }

    static func rate(_ interval: UInt32) -> Double { 10_000_000 / Double(max(interval, 1)) }

    /// `"30"`, `"7.5"`, `"29.97"`
    static func text(rate: Double) -> String {
        guard rate.isFinite else { return "\(rate)" }
        let hundredths = Int((min(max(rate, 0), 1e9) * 100).rounded())
        let (whole, fraction) = hundredths.quotientAndRemainder(dividingBy: 100)
        if fraction == 0 { return "\(whole)" }
        return fraction % 10 == 0 ? "\(whole).\(fraction / 10)" : "\(whole).\(fraction < 10 ? "0" : "")\(fraction)"
    }
}

/// What is asked of a stream; what is `nil` is left to the choice.
public struct StreamWish: Hashable, Sendable {
    /// A format's name, or its four characters; letters of either case.
    public var format: String?
    public var width: Int?
    public var height: Int?
    /// Frames a second; met by a rate within one per cent, so that 30 means 29.97 where there is nothing nearer.
    public var rate: Double?

    public init(format: String? = nil, width: Int? = nil, height: Int? = nil, rate: Double? = nil) {
        self.format = format
        self.width = width
        self.height = height
        self.rate = rate
    }
}

/// A wish that a camera can't meet; the description says what it offers instead.
public struct StreamChoiceError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
}

extension StreamingInterface {
    /// The offer that meets a wish exactly.
    ///
    /// What the wish leaves open is chosen so that the picture is large and moves well on any machine: the largest size of at most
    /// 1280×720 pixels at 30 frames a second or more (1080p costs a client more than twice the work, and many cameras fall to 5 fps
    /// uncompressed), MJPEG before uncompressed formats (it leaves the bus room for a second camera), both before what few programs decode.
    /// A camera without such an offer gets its own defaults. A rate that is left open is 30 where the size has it, else its default.
    public func choose(_ wish: StreamWish, quirks: VideoQuirks = []) throws(StreamChoiceError) -> StreamChoice {
        try [self].choose(wish, quirks: quirks).choice
    }

    /// Every offer that meets a wish.
    fileprivate func offers(_ wish: StreamWish, quirks: VideoQuirks) -> [StreamChoice] {
        var offers: [StreamChoice] = []
        for format in formats where wish.format.map(format.isNamed) ?? true {
            for frame in format.frames {
                guard wish.width.map({ $0 == frame.width }) ?? true, wish.height.map({ $0 == frame.height }) ?? true else { continue }
                guard let interval = frame.interval(for: wish.rate, restricted: quirks.contains(.restrictFrameRate)) else { continue }
                offers.append(StreamChoice(format: format, frame: frame, interval: interval))
            }
        }
        return offers
    }
}

extension [StreamingInterface] {
    /// The same for all streaming interfaces of a function, and which of them has it: its index.
    public func choose(
        _ wish: StreamWish, quirks: VideoQuirks = []
    ) throws(StreamChoiceError) -> (interface: Int, choice: StreamChoice) {
        let offers = enumerated().flatMap { index, interface in
            interface.offers(wish, quirks: quirks).map { (interface: index, choice: $0) }
        }
        if let best = offers.filter(\.choice.isComfortable).max(by: { $0.choice.merit < $1.choice.merit }) { return best }
        // Nothing comfortable: the default frame of the most usable format that is left, else its smallest.
        guard let usability = offers.map(\.choice.usability).max() else { throw StreamChoiceError(description: refusal(wish)) }
        let usable = offers.filter { $0.choice.usability == usability }
        if let standard = usable.first(where: { $0.choice.format.defaultFrame == $0.choice.frame }) { return standard }
        guard let smallest = usable.min(by: { $0.choice.area < $1.choice.area }) else {
            throw StreamChoiceError(description: refusal(wish))
        }
        return smallest
    }

    private func refusal(_ wish: StreamWish) -> String {
        var wanted: [String] = []
        if let format = wish.format { wanted.append(format) }
        if wish.width != nil || wish.height != nil {
            wanted.append("\(wish.width.map(String.init) ?? "any")×\(wish.height.map(String.init) ?? "any")")
        }
        if let rate = wish.rate { wanted.append("\(StreamChoice.text(rate: rate)) fps") }
        let offered = flatMap(\.formats).filter { !$0.frames.isEmpty }.map { format in
            let sizes = format.frames.map { frame in
                "\(frame.width)×\(frame.height) (\(frame.intervals.rateTexts.joined(separator: ", ")) fps)"
            }
            return format.name + " " + sizes.joined(separator: ", ")
        }
        let name = wanted.isEmpty ? "a stream" : wanted.joined(separator: " ")
        guard !offered.isEmpty else { return "The camera does not offer \(name): it offers no format that has frames." }
        return "The camera does not offer \(name). It offers \(offered.joined(separator: "; "))."
    }
}

extension StreamChoice {
    fileprivate var area: Int { frame.width * frame.height }
    fileprivate var isComfortable: Bool { area > 0 && area <= 1280 * 720 && rate >= 29.7 && usability > 0 }

    /// 2 MJPEG, 1 an uncompressed format that we know, 0 anything else.
    fileprivate var usability: Int {
        if case .mjpeg = format.kind { return 2 }
        return format.pixelFormat.map { $0.isCompressed ? 0 : 1 } ?? 0
    }

    fileprivate var merit: (Int, Int, Double) { (area, usability, -rate) }
}

extension VideoFormat {
    func isNamed(_ wanted: String) -> Bool {
        if name == wanted.lowercased() || unknownGUID?.description == wanted.lowercased() { return true }
        guard let pixelFormat, let meant = PixelFormat(name: wanted) else { return false }
        return pixelFormat.name == meant.name
    }
}

extension VideoFrame {
    /// The interval for a rate, `nil` if there is none within one per cent.
    fileprivate func interval(for rate: Double?, restricted: Bool) -> UInt32? {
        let allowed = restricted ? FrameIntervals.discrete([defaultInterval]) : intervals
        guard let rate else {
            let usual = allowed.nearest(to: 333_333)
            return usual.isWithinOnePercent(of: 333_333) ? usual : defaultInterval
        }
        guard rate > 0.001, rate < 100_000 else { return nil }
        let wanted = 10_000_000 / rate
        let nearest = allowed.nearest(to: UInt32(min(wanted, Double(UInt32.max) - 1)))
        return nearest.isWithinOnePercent(of: wanted) ? nearest : nil
    }
}

extension UInt32 {
    fileprivate func isWithinOnePercent(of wanted: Double) -> Bool { abs(Double(self) - wanted) <= wanted / 100 }
}

extension FrameIntervals {
    /// Frames a second, the highest rate first, each once; the two ends where every rate between is allowed.
    public var rates: [Double] {
        switch self {
        case .discrete(let list): Set(list).sorted().map(StreamChoice.rate)
        case .continuous(let minimum, let maximum, _): Set([minimum, maximum]).sorted().map(StreamChoice.rate)
        }
    }

    /// The same in thousandths, which is what clients are told; intervals that differ by less stand once.
    public var roundedRates: [Double] { Self.once(rates.map { ($0 * 1000).rounded() / 1000 }) }

    /// `"30"`, `"29.97"`…: intervals that read the same stand once.
    var rateTexts: [String] { Self.once(rates.map(StreamChoice.text)) }

    private static func once<Value: Hashable>(_ values: [Value]) -> [Value] {
        var seen: Set<Value> = []
        return values.filter { seen.insert($0).inserted }
    }
}
