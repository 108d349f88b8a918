// driver.yaml into a manifest: a parser of hostile text, which says what it does not like and where.

import Wire

/// Parses manifests. Pure; size, depth and number of parts are bounded by `YAMLReader`.
package struct ManifestParser {
    package static let maximumBytes = YAMLReader.maximumBytes
    static let maximumRules = 500

    private let path: String

    init(path: String) { self.path = path }

    /// - Parameter path: for the error's text.
    package static func parse(_ bytes: [UInt8], path: String) throws(BundleError) -> DriverManifest {
        try ManifestParser(path: path).parse(bytes)
    }

    /// - Parameter node: where it is wrong.
    func failure(_ problem: String, _ node: YAMLNode? = nil) -> BundleError {
        BundleError(path: path, problem: node.map { "\(problem) (line \($0.line))" } ?? problem)
    }

    /// The document's root, `nil` for one that is empty.
    func root(_ bytes: [UInt8]) throws(BundleError) -> YAMLNode? {
        do throws(YAMLError) {
            return try YAMLReader.read(bytes)
        } catch {
            throw failure("the file is not valid YAML here: \(error)")
        }
    }

    private func parse(_ bytes: [UInt8]) throws(BundleError) -> DriverManifest {
        guard let root = try root(bytes) else { throw failure("the manifest is empty") }
        let members = try mapping(
            root, "the manifest",
            allowed: [
                "id", "version", "kind", "executable", "sha256", "match", "interfaces", "streaming", "provides", "streams", "settings",
                "quirks",
            ])
        let manifest = DriverManifest(
            id: try name(members["id"], "id"), version: try line(members["version"], "version", maximum: 40),
            kind: try name(members["kind"], "kind"), executable: try executable(members["executable"]),
            executableDigest: try digest(members["sha256"]), match: try rules(members["match"], "match"),
            interfaces: try rules(members["interfaces"], "interfaces"), streaming: try rules(members["streaming"], "streaming"),
            provides: try provided(members["provides"]), streams: try streams(members["streams"]),
            settings: try settings(members["settings"], "settings"), quirks: try quirks(members["quirks"]))
        guard !manifest.match.isEmpty else { throw failure("match names no device: a driver needs at least one rule") }
        guard !manifest.match.contains(where: { $0.specificity == 0 }) else {
            throw failure("a rule of match is empty: it would take every device")
        }
        guard (manifest.interfaces + manifest.streaming).allSatisfy({ $0.vendor == nil && $0.specificity > 0 }) else {
            throw failure("interfaces and streaming are matched by class, subclass and protocol")
        }
        return manifest
    }

    // MARK: Parts

    private func rules(_ node: YAMLNode?, _ place: String) throws(BundleError) -> [MatchRule] {
        guard let node else { return [] }
        var result: [MatchRule] = []
        for entry in try list(node, place) { result.append(try rule(entry, place)) }
        return result
    }

    /// Rules of a policy: as of a manifest, with an `id` or without.
    func policyRules(_ node: YAMLNode?, _ place: String) throws(BundleError) -> [PolicyFile.Rule] {
        guard let node, !node.isNull else { return [] }
        var result: [PolicyFile.Rule] = []
        for entry in try list(node, place) {
            let members = try mapping(entry, "a rule of \(place)", allowed: Self.ruleMembers.union(["id"]))
            let id = try members["id"].map { node throws(BundleError) in try line(node, "id", maximum: 400) }
            let rule = PolicyFile.Rule(id: id, match: try rule(members, place))
            guard rule.specificity > 0 else { throw failure("a rule of \(place) is empty: it would match every device") }
            result.append(rule)
        }
        return result
    }

    private static let ruleMembers: Set<String> = ["class", "subclass", "protocol", "device", "bcdDevice"]

    private func rule(_ node: YAMLNode, _ place: String) throws(BundleError) -> MatchRule {
        try rule(try mapping(node, "a rule of \(place)", allowed: Self.ruleMembers), place)
    }

    private func rule(_ members: [String: YAMLNode], _ place: String) throws(BundleError) -> MatchRule {
        var rule = MatchRule()
        rule.interfaceClass = try byte(members["class"], "class")
        rule.interfaceSubclass = try byte(members["subclass"], "subclass")
        rule.interfaceProtocol = try byte(members["protocol"], "protocol")
        if let device = members["device"] {
            // `046d` or `046d:0825`, in quotes or not.
            let parts = try line(device, "device", maximum: 9).split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let vendor = Self.hex(parts[0]) else {
                throw failure("device must be vendor or vendor:product, four hexadecimal digits each")
            }
            rule.vendor = vendor
            if parts.count == 2 {
                guard let product = Self.hex(parts[1]) else { throw failure("device's product must be four hexadecimal digits") }
                rule.product = product
            }
        }
        if let release = members["bcdDevice"] {
            let parts = try line(release, "bcdDevice", maximum: 9).split(separator: "-", omittingEmptySubsequences: false)
            guard rule.product != nil, parts.count <= 2, let low = Self.hex(parts[0]), let high = Self.hex(parts[parts.count - 1]),
                low <= high
            else {
                throw failure(
                    "bcdDevice must be four hexadecimal digits, or two such numbers with a dash between them, and needs a device with vendor and product"
                )
            }
            rule.release = low...high
        }
        guard rule.interfaceClass != nil || (rule.interfaceSubclass == nil && rule.interfaceProtocol == nil) else {
            throw failure("a rule of \(place) with a subclass or protocol needs a class")
        }
        guard rule.interfaceSubclass != nil || rule.interfaceProtocol == nil else {
            throw failure("a rule of \(place) with a protocol needs a subclass")
        }
        return rule
    }

    private func quirks(_ node: YAMLNode?) throws(BundleError) -> [DriverManifest.Quirk] {
        guard let node else { return [] }
        var result: [DriverManifest.Quirk] = []
        for entry in try list(node, "quirks") {
            let members = try mapping(entry, "a quirk", allowed: ["match", "set", "reason", "source"])
            guard let match = members["match"] else { throw failure("a quirk has no match") }
            let quirk = DriverManifest.Quirk(
                match: isList(match) ? try rules(match, "quirks") : [try rule(match, "quirks")], set: try settings(members["set"], "set"),
                reason: try line(members["reason"], "a quirk's reason", maximum: 2000),
                source: try line(members["source"], "a quirk's source", maximum: 2000))
            guard !quirk.match.isEmpty, !quirk.match.contains(where: { $0.specificity == 0 }) else {
                throw failure("a quirk matches nothing, or everything")
            }
            guard !quirk.set.isEmpty else { throw failure("a quirk sets nothing") }
            result.append(quirk)
        }
        return result
    }

    private func settings(_ node: YAMLNode?, _ place: String) throws(BundleError) -> [String: JSONValue] {
        guard let node else { return [:] }
        guard case .object(let members) = json(node) else { throw failure("\(place) is not a mapping") }
        return members
    }

    /// Not a path: nothing outside the bundle can be named.
    private func executable(_ node: YAMLNode?) throws(BundleError) -> String {
        let name = try line(node, "executable", maximum: 100)
        guard !name.contains("/"), name != ".", name != "..", !name.hasPrefix("."), name.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw failure("executable must be the plain name of a file in the bundle")
        }
        return name
    }

    func digest(_ node: YAMLNode?) throws(BundleError) -> [UInt8]? {
        guard let node else { return nil }
        let text = try line(node, "sha256", maximum: 64)
        guard let digest = Hexadecimal.bytes(text), digest.count == 32 else {
            throw failure("sha256 must be a file's SHA-256, 64 hexadecimal digits", node)
        }
        return digest
    }

    // MARK: Nodes

    private func isList(_ node: YAMLNode) -> Bool {
        guard case .list = node.content else { return false }
        return true
    }

    func list(_ node: YAMLNode, _ place: String) throws(BundleError) -> [YAMLNode] {
        guard case .list(let entries) = node.content else { throw failure("\(place) is not a list", node) }
        guard entries.count <= Self.maximumRules else { throw failure("\(place) has more than \(Self.maximumRules) entries", node) }
        return entries
    }

    func mapping(_ node: YAMLNode, _ place: String, allowed: Set<String>) throws(BundleError) -> [String: YAMLNode] {
        guard case .mapping(let members) = node.content else { throw failure("\(place) is not a mapping", node) }
        var result: [String: YAMLNode] = [:]
        for (key, value) in members {
            guard allowed.contains(key) else { throw failure("\(place) has a member \"\(key.prefix(40))\" that is not known", value) }
            result[key] = value
        }
        return result
    }

    func line(_ node: YAMLNode?, _ place: String, maximum: Int) throws(BundleError) -> String {
        guard let text = node?.text, !text.isEmpty else { throw failure("\(place) is missing") }
        guard text.utf8.count <= maximum else { throw failure("\(place) is longer than \(maximum) bytes", node) }
        guard !text.unicodeScalars.contains(where: { $0.value < 32 && $0 != "\n" }) else {
            throw failure("\(place) has a control character", node)
        }
        return text
    }

    /// Letters, digits, points and dashes.
    func name(_ node: YAMLNode?, _ place: String) throws(BundleError) -> String {
        let text = try line(node, place, maximum: 80)
        guard
            text.utf8.allSatisfy({
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d || $0 == 0x2e
            })
        else { throw failure("\(place) may only have letters, digits, dots and dashes", node) }
        return text
    }

    /// YAML's words for it: on and off, yes and no, true and false.
    func flag(_ node: YAMLNode?, _ place: String) throws(BundleError) -> Bool? {
        guard let node else { return nil }
        guard let value = node.bool else { throw failure("\(place) must be on or off", node) }
        return value
    }

    private func byte(_ node: YAMLNode?, _ place: String) throws(BundleError) -> UInt8? {
        guard let node else { return nil }
        guard let value = node.int, let byte = UInt8(exactly: value) else { throw failure("\(place) is not a number from 0 to 255", node) }
        return byte
    }

    private static func hex(_ text: Substring) -> UInt16? {
        guard text.utf8.count == 4, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
        return UInt16(text, radix: 16)
    }

    private func json(_ node: YAMLNode) -> JSONValue {
        switch node.content {
        case .list(let entries): return .array(entries.map { json($0) })
        case .mapping(let members): return .object(Dictionary(members.map { ($0.key, json($0.value)) }) { first, _ in first })
        case .scalar(let text, _):
            if node.isNull { return .null }
            if let value = node.bool { return .bool(value) }
            if let value = node.int { return .int(Int64(value)) }
            if let value = node.double { return .double(value) }
            return .string(text)
        }
    }
}
