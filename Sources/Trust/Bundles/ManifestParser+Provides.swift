// What a manifest says of the interfaces that its driver answers, and of its streams.

import Wire

extension ManifestParser {
    static let maximumInterfaces = 16
    private static let maximumMethods = 200
    private static let maximumStreams = 16
    /// The supervisor's own: no driver answers them.
    private static let reserved = [ManagementInterface.name, VarlinkService.name]

    func provided(_ node: YAMLNode?) throws(BundleError) -> [DriverManifest.Provided] {
        guard let node else { return [] }
        var result: [DriverManifest.Provided] = []
        for entry in try list(node, "provides") {
            guard case .mapping = entry.content else {
                throw failure("an entry of provides must have the members interface, sha256 and methods, not just a name", entry)
            }
            let members = try mapping(entry, "an entry of provides", allowed: ["interface", "sha256", "methods"])
            let interface = try line(members["interface"], "interface", maximum: 80)
            guard VarlinkInterface.isName(interface) else {
                throw failure("interface must be a Varlink interface's name, like org.example.thermometer", members["interface"])
            }
            guard !Self.reserved.contains(interface) else {
                throw failure("\(interface) is the daemon's own interface: a driver can't answer it", members["interface"])
            }
            guard !result.contains(where: { $0.interface == interface }) else {
                throw failure("\(interface) is provided twice", members["interface"])
            }
            result.append(
                DriverManifest.Provided(
                    interface: interface, digest: try digest(members["sha256"]), methods: try methods(members["methods"], of: interface)))
        }
        guard result.count <= Self.maximumInterfaces else {
            throw failure("provides has more than \(Self.maximumInterfaces) interfaces", node)
        }
        return result
    }

    private func methods(_ node: YAMLNode?, of interface: String) throws(BundleError) -> [String: MethodPolicy] {
        guard let node else { return [:] }
        guard case .mapping(let entries) = node.content, entries.count <= Self.maximumMethods else {
            throw failure("methods of \(interface) must be a mapping with up to \(Self.maximumMethods) members", node)
        }
        var result: [String: MethodPolicy] = [:]
        for (name, node) in entries {
            let place = "\(interface).\(name.prefix(40))"
            let members = try mapping(node, place, allowed: ["idempotent", "resumes", "deadline", "right"])
            var policy = MethodPolicy()
            policy.isIdempotent = try flag(members["idempotent"], "idempotent") ?? false
            policy.resumes = try flag(members["resumes"], "resumes") ?? false
            guard policy.isIdempotent || !policy.resumes else {
                throw failure("\(place) resumes, so it must be idempotent", members["resumes"])
            }
            policy.deadline = try deadline(members["deadline"], place) ?? policy.deadline
            if let right = members["right"] {
                guard let value = right.text.flatMap(MethodPolicy.Right.init) else {
                    throw failure("right must be anyone or administrator", right)
                }
                policy.right = value
            }
            result[name] = policy
        }
        return result
    }

    /// `5s`, `500ms`, `2m`
    private func deadline(_ node: YAMLNode?, _ place: String) throws(BundleError) -> Duration? {
        guard let node else { return nil }
        let text = try line(node, "deadline", maximum: 20)
        for (unit, milliseconds) in [("ms", 1), ("s", 1000), ("m", 60_000)] where text.hasSuffix(unit) {
            let digits = text.dropLast(unit.count)
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits), (1...3_600_000).contains(number) else {
                break
            }
            let deadline = Duration.milliseconds(number * milliseconds)
            guard deadline <= MethodPolicy.longestDeadline else { break }
            return deadline
        }
        throw failure("the deadline of \(place) must be a time from 1ms to 60m: 500ms, 5s, 2m", node)
    }

    func streams(_ node: YAMLNode?) throws(BundleError) -> [String] {
        guard let node else { return [] }
        var result: [String] = []
        for entry in try list(node, "streams") {
            let name = try name(entry, "streams")
            guard !result.contains(name) else { throw failure("the stream \(name) is listed twice", entry) }
            result.append(name)
        }
        guard result.count <= Self.maximumStreams else { throw failure("streams has more than \(Self.maximumStreams) names", node) }
        return result
    }
}
