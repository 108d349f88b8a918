// The administrator's file: which devices are taken from the kernel's own drivers (the rules of manifests, and ids), and what is kept ready.

/// What one file says: rules for devices that are taken, and for devices that are left to the kernel.
package struct PolicyFile: Hashable, Sendable {
    package struct Rule: Hashable, Sendable {
        /// A device's id, as `userdriver list` prints it.
        package var id: String?
        package var match = MatchRule()

        /// The larger, the more a rule says. An id outweighs everything else.
        var specificity: Int { (id != nil ? 1024 : 0) + match.specificity }

        func matches(_ id: String, _ subject: MatchSubject) -> Bool { (self.id ?? id) == id && match.matches(subject) }
    }

    package static let maximumBytes = ManifestParser.maximumBytes
    package var take: [Rule] = []
    package var leave: [Rule] = []
    /// Whether a process of each driver waits to replace one that dies.
    package var keepsStandby = true
    /// Whether cameras have a `/dev/videoN` where `userdriver-video` runs and nobody has said anything.
    package var showsCameras = true

    package init(take: [Rule] = [], leave: [Rule] = [], keepsStandby: Bool = true, showsCameras: Bool = true) {
        self.take = take
        self.leave = leave
        self.keepsStandby = keepsStandby
        self.showsCameras = showsCameras
    }

    /// `nil` if no rule is about the device. The most specific rule counts; of equals, the one that leaves the device alone.
    package func takes(_ id: String, _ subject: MatchSubject) -> Bool? {
        func best(_ rules: [Rule]) -> Int? { rules.filter { $0.matches(id, subject) }.map(\.specificity).max() }
        switch (best(take), best(leave)) {
        case (nil, nil): return nil
        case (let take?, let leave): return take > leave ?? -1
        case (nil, _?): return false
        }
    }
}

extension ManifestParser {
    /// Parses a policy: `take` and `leave`, each a list of rules as in a manifest's `match`, which may also name an `id`; and
    /// `standby` and `video`, on or off.
    package static func parsePolicy(_ bytes: [UInt8], path: String) throws(BundleError) -> PolicyFile {
        let parser = ManifestParser(path: path)
        guard let root = try parser.root(bytes) else { return PolicyFile() }
        // A document without anything in it.
        if root.isNull { return PolicyFile() }
        let members = try parser.mapping(root, "the policy", allowed: ["take", "leave", "standby", "video"])
        return PolicyFile(
            take: try parser.policyRules(members["take"], "take"), leave: try parser.policyRules(members["leave"], "leave"),
            keepsStandby: try parser.flag(members["standby"], "standby") ?? true,
            showsCameras: try parser.flag(members["video"], "video") ?? true)
    }
}
