// What a driver shows of itself, as a few words for a person: of classes that are known and of
// those that are not.

public import Wire

extension DeviceStatus.Stream {
    /// `"mjpeg 640x480"`; for a class that shows something else, its names and values.
    public var summary: String {
        if let format = shown["format"]?.stringValue, let width = shown["width"]?.intValue, let height = shown["height"]?.intValue {
            return "\(format) \(width)x\(height)"
        }
        let words = ShownText.words(shown.filter { $0.key != "fps" })
        return words.isEmpty ? name : words
    }

    public var fps: Double? { shown["fps"]?.doubleValue }
}

public enum ShownText {
    /// `"temperature 21.5, unit celsius"`, by name. What is nested is left to JSON.
    public static func words(_ members: [String: JSONValue]) -> String {
        members.sorted { $0.key < $1.key }.compactMap { name, value in
            switch value {
            case .string(let text): "\(name) \(text)"
            case .int(let number): "\(name) \(number)"
            case .double(let number): "\(name) \(number)"
            case .bool(let flag): "\(name) \(flag ? "yes" : "no")"
            case .null, .array, .object: nil
            }
        }.joined(separator: ", ")
    }
}
