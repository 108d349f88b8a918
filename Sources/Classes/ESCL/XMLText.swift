// Text as it stands in an XML document's content (XML 1.0 §2.2, §2.4).

public enum XMLText {
    /// What no document may hold is left out: a device calls itself what it likes.
    public static func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case let character where character.value < 0x20 || character.value == 0xfffe || character.value == 0xffff: break
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
