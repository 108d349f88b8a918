// A size that a camera offers.

/// One size that a camera offers in one format.
public struct CameraFormat: Codable, Hashable, Sendable {
    /// `"mjpeg"`, `"yuy2"`, `"nv12"`…
    public var format: String
    public var width: Int
    public var height: Int
    /// Frames a second, usually the highest first.
    public var fps: [Double]

    public init(format: String, width: Int, height: Int, fps: [Double]) {
        self.format = format
        self.width = width
        self.height = height
        self.fps = fps
    }
}
