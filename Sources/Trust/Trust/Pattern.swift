// Patterns of names, as OpenSSH matches them (ssh_config(5), PATTERNS).

enum Pattern {
    /// A list admits a name that one of its patterns matches and none of its negated ones.
    static func list(_ patterns: [String], admits name: String) -> Bool {
        var admits = false
        for pattern in patterns {
            // OpenSSH has no room for longer ones, and lets a list with one admit nobody.
            guard pattern.utf8.count < longestPattern else { return false }
            if pattern.hasPrefix("!") {
                if matches(pattern.dropFirst(), name) { return false }
            } else if matches(pattern[...], name) {
                admits = true
            }
        }
        return admits
    }

    private static let longestPattern = 1022

    /// Whether there is a name that a list admits: `*,!*` and `!a` admit none. Names are tried that each pattern stands for, with little and with much
    /// in place of its stars, of a character that no pattern has. A list that is so contrived that none of them is right counts as one that admits
    /// nobody.
    static func admitsAnybody(_ patterns: [String]) -> Bool {
        let used = Set(patterns.joined().unicodeScalars)
        guard let fresh = (0x61...0xfff).lazy.compactMap(Unicode.Scalar.init).first(where: { !used.contains($0) }) else { return false }
        let many = min(patterns.reduce(1) { $0 + $1.utf8.count }, longestPattern)
        return patterns.contains { pattern in
            guard !pattern.hasPrefix("!"), pattern.utf8.count < longestPattern else { return false }
            return [0, 1, 2, 3, many].contains { first in
                [0, 1, 2, 3, many].contains { others in
                    var stars = 0
                    var name = ""
                    for character in pattern {
                        switch character {
                        case "*":
                            name += String(repeating: Character(fresh), count: stars == 0 ? first : others)
                            stars += 1
                        case "?": name.unicodeScalars.append(fresh)
                        default: name.append(character)
                        }
                    }
                    return list(patterns, admits: name)
                }
            }
        }
    }

    /// `*` is any number of characters, `?` one. Linear but for stars: the last star is the only one that is gone back to.
    static func matches(_ pattern: Substring, _ name: String) -> Bool {
        let (pattern, name) = (Array(pattern.utf8), Array(name.utf8))
        var (at, position) = (0, 0)
        var back: (pattern: Int, name: Int)?
        while position < name.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                back = (at, position)
                at += 1
            } else if at < pattern.count, pattern[at] == UInt8(ascii: "?") || pattern[at] == name[position] {
                at += 1
                position += 1
            } else if let star = back {
                at = star.pattern + 1
                position = star.name + 1
                back = (star.pattern, position)
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
