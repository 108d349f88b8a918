// Patterns of names, as OpenSSH matches them (ssh_config(5), PATTERNS).

enum Pattern {
    /// A list admits a name that one of its patterns matches and none of its negated ones.
    static func list(_ patterns: [String], admits name: String) -> Bool {
        var admits = false
        for pattern in patterns {
            if pattern.hasPrefix("!") {
                if matches(pattern.dropFirst(), name) { return false }
            } else if matches(pattern[...], name) {
                admits = true
            }
        }
        return admits
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
