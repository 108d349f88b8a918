// What is asked of a camera's stream, and what its frames are.

public import Wire

/// What a client wants of a camera's stream. Whatever is left out, the driver chooses, or it is
/// what the stream already has.
public struct CameraRequest: Codable, Hashable, Sendable {
    public var format: String?
    public var width: Int?
    public var height: Int?
    public var fps: Double?

    public init(format: String? = nil, width: Int? = nil, height: Int? = nil, fps: Double? = nil) {
        self.format = format
        self.width = width
        self.height = height
        self.fps = fps
    }
}

/// What the frames of a stream are.
public struct StreamDescription: Codable, Hashable, Sendable, CustomStringConvertible {
    public var format: String
    public var width: Int
    public var height: Int
    /// 0 if it isn't known.
    public var fps: Double

    public init(format: String, width: Int, height: Int, fps: Double) {
        self.format = format
        self.width = width
        self.height = height
        self.fps = fps
    }

    /// `nil` if the driver's words do not describe pictures.
    public init?(_ value: JSONValue?) {
        guard let format = value?["format"]?.stringValue, let width = value?["width"]?.intValue, let height = value?["height"]?.intValue,
            (1...65_536).contains(width), (1...65_536).contains(height)
        else { return nil }
        self.init(format: format, width: width, height: height, fps: value?["fps"]?.doubleValue ?? 0)
    }

    public var description: String {
        let rate = fps == fps.rounded() ? String(Int(exactly: fps) ?? 0) : String(fps)
        return "\(format.uppercased()) \(width)×\(height)" + (fps > 0 ? " at \(rate) frames a second" : "")
    }
}
