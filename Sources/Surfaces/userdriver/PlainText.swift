// Text made fit for a terminal: nothing in it commands the terminal, ASCII where the locale has no more, and no longer than there is room.

import Wire

enum PlainText {
    /// What is typed in place of characters of ours where the locale has only ASCII.
    private static let substitutes: [Unicode.Scalar: String] = [
        "×": "x", "…": "...", "–": "-", "—": "-", "→": "->", "✓": "+", "✗": "x", "µ": "u", "°": " degrees", "’": "'", "‘": "'",
        "“": "\"", "”": "\"", "≤": "<=", "≥": ">=", "·": "-", "•": "-", "\u{A0}": " ", "±": "+/-",
    ]

    /// Line feeds and tabs stay; other control characters become spaces, as do those that hide or turn around what stands beside them.
    static func shown(_ text: String, utf8: Bool) -> String {
        if text.utf8.allSatisfy({ (32...126).contains($0) || $0 == 10 || $0 == 9 }) { return text }
        var shown = ""
        for scalar in text.unicodeScalars {
            if scalar == "\n" || scalar == "\t" || (32...126).contains(scalar.value) {
                shown.unicodeScalars.append(scalar)
            } else if !scalar.isPrintable {
                shown += " "
            } else if utf8 {
                shown.unicodeScalars.append(scalar)
            } else {
                shown += substitutes[scalar] ?? "?"
            }
        }
        return shown
    }

    /// JSON in which what commands a terminal is escaped: it can only stand in strings, and means the same there.
    static func escaped(_ json: String) -> String {
        guard json.unicodeScalars.contains(where: { $0 != "\n" && !$0.isPrintable }) else { return json }
        var escaped = ""
        for scalar in json.unicodeScalars {
            guard scalar != "\n", !scalar.isPrintable else {
                escaped.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return escaped
    }

    /// As one line.
    static func line(_ text: String, utf8: Bool) -> String {
        let shown = shown(text, utf8: utf8)
        guard shown.utf8.contains(where: { $0 < 32 }) else { return shown }
        return String(String.UnicodeScalarView(shown.unicodeScalars.map { $0.value < 32 ? " " : $0 }))
    }

    /// The text, with a sign at its end where some of it is missing.
    static func shortened(_ text: String, to room: Int, utf8: Bool) -> String {
        guard text.count > room else { return text }
        let sign = utf8 ? "…" : ".."
        guard room > sign.count else { return String(text.prefix(max(0, room))) }
        var kept = text.prefix(room - sign.count)
        while kept.hasSuffix(" ") { kept.removeLast() }
        return kept + sign
    }

    /// Lines of at most `width` columns, broken between words: a word that is longer has a line of its own.
    static func wrapped(_ text: String, width: Int?) -> [String] {
        guard let width, text.count > width else { return [text] }
        var lines: [String] = []
        var line = String(text.prefix { $0 == " " })
        for word in text.dropFirst(line.count).split(separator: " ", omittingEmptySubsequences: false) {
            if line.allSatisfy({ $0 == " " }) {
                line += word
            } else if line.count + 1 + word.count <= width {
                line += " " + word
            } else {
                lines.append(line)
                line = String(word)
            }
        }
        return lines + [line]
    }
}
