// The package that `userdriver driver new` makes.

/// Texts of a new driver's package, under its name.
struct DriverTemplate {
    /// Lower-case letters, digits and single dashes between them: `"thermometer"`,
    /// `"coffee-scale"`.
    let name: String
    /// The framework's source, for the package; the folder of the programs, for its Makefile.
    let framework: String
    let programs: String

    static let longestName = 30
    /// Names whose modules exist already.
    static let taken: Set<String> = ["webcam", "scanner", "loopback", "emulated"]

    /// Why a name won't do; `nil` if it does.
    static func problem(with name: String) -> String? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard (1...longestName).contains(name.utf8.count), let first = name.utf8.first, letters.contains(first),
            parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { letters.contains($0) || digits.contains($0) } })
        else {
            return """
                A driver's name has up to \(longestName) lower-case letters and digits, with single dashes between them, and begins with a \
                letter: thermometer, coffee-scale.
                """
        }
        return taken.contains(name) ? "\(name) is the name of a part of UserDriver's own. Choose another one." : nil
    }

    /// `"coffee-scale"` → `"CoffeeScale"`
    var typeName: String { name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined() }

    /// What it consists of, by path from the package's folder.
    var contents: [(path: String, text: String)] {
        Self.files.map { (instantiate($0.path), instantiate($0.text)) }
    }

    private func instantiate(_ text: String) -> String {
        // Paths last: nothing is replaced in them.
        text.replacing("thermometer", with: name).replacing("Thermometer", with: typeName)
            .replacing("$(abspath ../../.build/release)", with: Self.makeQuoted(programs))
            .replacing("\"../..\"", with: Self.swiftQuoted(framework))
    }

    private static func swiftQuoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// A dollar sign begins a variable in a Makefile.
    private static func makeQuoted(_ text: String) -> String { text.replacing("$", with: "$$") }
}
