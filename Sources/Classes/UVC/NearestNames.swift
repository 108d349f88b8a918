// What somebody may have meant who typed a name that does not exist.

enum NearestNames {
    /// At most three, the nearest first: names that differ by a few letters, else those that contain the word or begin it.
    static func of(_ word: String, among names: [String]) -> [String] {
        let word = Array(word.lowercased().utf8.prefix(64))
        guard !word.isEmpty else { return [] }
        let close = names.map { (name: $0, distance: distance(word, Array($0.utf8))) }
            .filter { $0.distance <= max(1, word.count / 4) }.sorted { $0.distance < $1.distance }.map(\.name)
        if !close.isEmpty { return Array(close.prefix(3)) }
        // "exposure" or "white_balance": several begin so.
        let text = String(decoding: word, as: UTF8.self)
        return word.count < 3 ? [] : Array(names.filter { isPart(text, of: $0) || isPart($0, of: text) }.prefix(3))
    }

    /// Not String's own search, which brings all of its regular expressions into the driver.
    private static func isPart(_ part: String, of whole: String) -> Bool {
        let (part, whole) = (Array(part.utf8), Array(whole.utf8))
        guard part.count <= whole.count else { return false }
        return (0...(whole.count - part.count)).contains { whole[$0..<$0 + part.count].elementsEqual(part) }
    }

    /// Letters that have to be put in, taken out or replaced (Levenshtein).
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, letter) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in b.enumerated() {
                let replaced = diagonal + (letter == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
