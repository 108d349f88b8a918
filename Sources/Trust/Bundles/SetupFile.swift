// What `userdriver setup` has written: one word on which devices are taken from the kernel's drivers.

import Glibc

/// What is said of all devices at once.
package enum SetupChoice: String, CaseIterable, Sendable {
    /// Every device that a driver is for, but what the administrator's rules leave.
    case all
    /// No device, whatever the administrator's rules take.
    case none
    /// What the administrator's rules say.
    case rules
}

/// The file, which only `userdriver setup` writes. Without it, rules count.
package enum SetupFile {
    package static let name = "setup.yaml"
    package static let maximumBytes = 4096

    /// Its place: beside the administrator's rules.
    package static func path(beside rules: String) -> String { BundleFile.parent(rules) + "/" + name }

    package static func read(_ path: String) throws(BundleError) -> SetupChoice {
        guard let bytes = try BundleFile.read(path, maximum: maximumBytes, isOwned: true) else { return .rules }
        return try ManifestParser.parseSetup(bytes, path: path)
    }

    /// For rules there is no file.
    package static func write(_ choice: SetupChoice, _ path: String) throws(BundleError) {
        guard choice != .rules else {
            guard unlink(path) != 0, errno != ENOENT else { return }
            throw BundleError(path: path, errno: errno)
        }
        try BundleFile.makeFolder(BundleFile.parent(path))
        try BundleFile.replace(path, Array(text(choice).utf8))
    }

    private static func text(_ choice: SetupChoice) -> String {
        """
        # Written by `userdriver setup`, which may change it: all devices are taken from the kernel's drivers, or none, whatever the rules in
        # userdriver.yaml take. `userdriver setup --take rules` removes it.
        take: \(choice)

        """
    }
}

extension ManifestParser {
    /// Parses `take: all`, `take: none` or `take: rules`.
    package static func parseSetup(_ bytes: [UInt8], path: String) throws(BundleError) -> SetupChoice {
        let parser = ManifestParser(path: path)
        guard let root = try parser.root(bytes), !root.isNull else { return .rules }
        let take = try parser.mapping(root, "the file", allowed: ["take"])["take"]
        guard let word = take?.text, let choice = SetupChoice(rawValue: word) else {
            throw BundleError(path: path, problem: "take must be all, none or rules")
        }
        return choice
    }
}
