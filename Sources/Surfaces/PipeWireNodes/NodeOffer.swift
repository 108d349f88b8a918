// What a camera's nodes offer: formats, sizes and rates as the camera has them, under PipeWire's names.

import CPipeWire
import Pictures
public import UserDriverClient

/// Frames a second as PipeWire has it, a fraction, beside the number that the daemon knows.
public struct NodeRate: Hashable, Sendable {
    public var numerator: UInt32
    public var denominator: UInt32
    public var framesPerSecond: Double

    /// `nil` for no rate of a camera.
    public init?(_ framesPerSecond: Double) {
        guard framesPerSecond >= 0.1, framesPerSecond <= 1000 else { return nil }
        self.framesPerSecond = framesPerSecond
        let (plain, television) = (framesPerSecond.rounded(), (framesPerSecond * 1.001).rounded())
        if plain >= 1, abs(framesPerSecond - plain) <= 0.005 {
            (numerator, denominator) = (UInt32(plain), 1)
        } else if television >= 1, abs(framesPerSecond * 1.001 - television) <= 0.005 {
            (numerator, denominator) = (UInt32(television) * 1000, 1001)
        } else {
            let (thousandths, common) = (UInt32((framesPerSecond * 1000).rounded()), Self.commonDivisor)
            let divisor = common(thousandths, 1000)
            (numerator, denominator) = (thousandths / divisor, 1000 / divisor)
        }
    }

    private static func commonDivisor(_ first: UInt32, _ second: UInt32) -> UInt32 {
        second == 0 ? max(1, first) : commonDivisor(second, first % second)
    }
}

/// A format in one size, with its rates.
public struct NodeOffer: Hashable, Sendable {
    /// As the daemon calls it: `"yuy2"`.
    public var format: String
    public var width: Int
    public var height: Int
    /// The one for programs that name none first.
    public var rates: [NodeRate]
    /// It is made of the camera's MJPEG.
    public var isDecoded: Bool

    var pixels: cpipewire_pixels { Self.pixels[format] ?? CPIPEWIRE_MJPEG }
    /// A picture has as many bytes as it takes.
    public var isCompressed: Bool { format == "mjpeg" || format == "h264" }

    /// What PipeWire has a name for. Of H.265 not every version has one.
    static let pixels: [String: cpipewire_pixels] = [
        "mjpeg": CPIPEWIRE_MJPEG, "h264": CPIPEWIRE_H264, "yuy2": CPIPEWIRE_YUY2, "uyvy": CPIPEWIRE_UYVY, "nv12": CPIPEWIRE_NV12,
        "nv21": CPIPEWIRE_NV21, "i420": CPIPEWIRE_I420, "yv12": CPIPEWIRE_YV12, "grey": CPIPEWIRE_GRAY8, "y16": CPIPEWIRE_GRAY16,
    ]
    /// Of two formats in one size the first goes before: what takes least in programs.
    static let order = ["mjpeg", "h264", "nv12", "i420", "yv12", "nv21", "yuy2", "uyvy", "grey", "y16"]

    /// At most. No camera makes more than two bytes of a pixel when it compresses.
    public var byteCount: Int {
        switch format {
        case "mjpeg", "h264": max(128 << 10, width * height * 2)
        case "yuy2", "uyvy", "y16": width * height * 2
        case "grey": width * height
        default: I420Decoder.byteCount(width: width, height: height)
        }
    }

    /// Bytes of a row of the first plane.
    var stride: Int {
        switch format {
        case "mjpeg", "h264": 0
        case "yuy2", "uyvy", "y16": width * 2
        default: width
        }
    }

    /// Several pictures' time for a program that is slow, within some 24 MiB.
    var buffers: Int { min(max(24 << 20 / max(1, byteCount), 6), 16) }

    /// Rows begin where programs expect them that know the size only.
    private static func isPlain(_ format: String, _ width: Int, _ height: Int) -> Bool {
        guard (1...8192).contains(width), (1...8192).contains(height) else { return false }
        return switch format {
        case "mjpeg", "h264": true
        case "yuy2", "uyvy", "y16": width % 2 == 0
        case "grey": width % 4 == 0
        default: width % 8 == 0 && height % 2 == 0
        }
    }

    /// The rate with this fraction, or the nearest to it; 0/1 stands for any.
    func rate(numerator: UInt32, denominator: UInt32) -> NodeRate? {
        guard numerator > 0, denominator > 0 else { return rates.first }
        let wanted = Double(numerator) / Double(denominator)
        return rates.min { abs($0.framesPerSecond - wanted) < abs($1.framesPerSecond - wanted) }
    }

    /// What the daemon is asked for.
    func request(_ rate: NodeRate) -> CameraRequest {
        CameraRequest(format: isDecoded ? "mjpeg" : format, width: width, height: height, fps: rate.framesPerSecond)
    }
}

/// What a camera's nodes offer, the best for a program that asks for nothing first.
public struct NodePlan: Hashable, Sendable {
    /// Uncompressed pictures; decoded ones where the camera has a size, or a rate for it, in MJPEG only.
    public var raw: [NodeOffer] = []
    public var jpeg: [NodeOffer] = []
    public var h264: [NodeOffer] = []

    private static let mostOffers = 128
    private static let mostRates = 32
    private static let mostBytes = 64 << 20

    /// What the camera says is not trusted.
    public init(_ formats: [CameraFormat]) {
        for format in NodeOffer.order {
            var offers: [NodeOffer] = []
            for size in formats where size.format == format {
                guard !offers.contains(where: { $0.width == size.width && $0.height == size.height }),
                    let offer = NodeOffer(size, as: format)
                else { continue }
                offers.append(offer)
            }
            switch format {
            case "mjpeg": jpeg = Self.sorted(offers)
            case "h264": h264 = Self.sorted(offers)
            default: raw += offers
            }
        }
        let (uncompressed, compressed) = (raw, jpeg)
        for size in compressed {
            guard let fastest = size.fastest, I420Decoder.takes(width: size.width, height: size.height) else { continue }
            let same = uncompressed.filter { $0.width == size.width && $0.height == size.height }
            guard !same.contains(where: { ($0.fastest ?? 0) >= fastest - 0.5 }), let offer = NodeOffer(decoding: size) else { continue }
            raw.append(offer)
        }
        raw = Self.sorted(raw)
    }

    var isEmpty: Bool { NodeKind.allCases.allSatisfy { self[$0].isEmpty } }

    subscript(kind: NodeKind) -> [NodeOffer] {
        switch kind {
        case .raw: raw
        case .jpeg: jpeg
        case .h264: h264
        }
    }

    private static func sorted(_ offers: [NodeOffer]) -> [NodeOffer] {
        // Of equals the first stays first.
        let ranked = offers.enumerated().sorted {
            goesBefore($0.element, $1.element) || (!goesBefore($1.element, $0.element) && $0.offset < $1.offset)
        }
        return ranked.prefix(mostOffers).map(\.element)
    }

    /// What is smooth and no larger than a call takes, then what costs nothing to make, then what is large.
    private static func goesBefore(_ first: NodeOffer, _ second: NodeOffer) -> Bool {
        func rank(_ offer: NodeOffer) -> (Int, Int, Int) {
            let pixels = offer.width * offer.height
            let isUsual = pixels <= 1280 * 720 && (offer.fastest ?? 0) >= 24
            return (isUsual ? 0 : 1, offer.isDecoded ? 1 : 0, isUsual ? -pixels : pixels)
        }
        return rank(first) < rank(second)
    }

    fileprivate static func rates(_ size: CameraFormat) -> [NodeRate] {
        var rates: [NodeRate] = []
        for rate in size.fps.sorted(by: >).compactMap({ NodeRate($0) })
        where !rates.contains(where: { $0.numerator == rate.numerator && $0.denominator == rate.denominator }) {
            rates.append(rate)
        }
        rates = Array(rates.prefix(mostRates))
        // Thirty, or what is next below.
        if let usual = rates.firstIndex(where: { $0.framesPerSecond <= 30.5 }) { rates.insert(rates.remove(at: usual), at: 0) }
        return rates
    }

    fileprivate static func isSane(_ offer: NodeOffer) -> Bool { !offer.rates.isEmpty && offer.byteCount <= mostBytes }
}

extension NodeOffer {
    fileprivate init?(_ size: CameraFormat, as format: String) {
        self.init(format: format, width: size.width, height: size.height, rates: [], isDecoded: false)
        guard Self.isPlain(format, width, height) else { return nil }
        rates = NodePlan.rates(size)
        guard NodePlan.isSane(self) else { return nil }
    }

    fileprivate init?(decoding jpeg: NodeOffer) {
        self.init(format: "i420", width: jpeg.width, height: jpeg.height, rates: jpeg.rates, isDecoded: true)
        guard NodePlan.isSane(self) else { return nil }
    }

    fileprivate var fastest: Double? { rates.map(\.framesPerSecond).max() }
}
