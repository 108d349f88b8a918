// What a client asks of a camera's stream, and what a stream is.

import DriverStreams
import UVC
import Wire

/// Each part is optional in what is asked.
struct StreamRequest: StreamRequesting {
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

    /// 29.97 rather than 29.970002997.
    init(_ choice: StreamChoice) {
        self.init(
            format: choice.format.name, width: choice.frame.width, height: choice.frame.height,
            fps: (choice.rate * 1000).rounded() / 1000)
    }

    init(_ value: JSONValue) throws(CallError) {
        do {
            self = try value.decoded(as: StreamRequest.self)
        } catch {
            throw CallError("InvalidParameter", "A stream request has format, width, height and fps; this one can't be read: \(error)")
        }
    }

    var wish: StreamWish { StreamWish(format: format, width: width, height: height, rate: fps) }

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
