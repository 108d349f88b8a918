// Paths of eSCL's resources, and of jobs as devices name them.

public enum ESCLPath {
    /// Over USB nothing announces another one.
    public static let root = "/eSCL"
    public static func capabilities(_ root: String = root) -> String { root + "/ScannerCapabilities" }
    public static func status(_ root: String = root) -> String { root + "/ScannerStatus" }
    public static func jobs(_ root: String = root) -> String { root + "/ScanJobs" }
    public static func nextDocument(_ job: String) -> String { job + "/NextDocument" }

    static let longest = 200

    /// The path in a `Location` or `JobUri`: of whichever scheme and host, which devices make up;
    /// or relative, to the list of jobs or to the root. `nil` for what can be no path.
    public static func path(of location: String, root: String) -> String? {
        var text = location.utf8[...]
        while let last = text.last, last <= 0x20 { text.removeLast() }
        while let first = text.first, first <= 0x20 { text.removeFirst() }
        if let end = text.firstIndex(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) { text = text[..<end] }
        if let scheme = Substring(text).schemeEnd {
            text = text[scheme...]
            guard let slash = text.firstIndex(of: UInt8(ascii: "/")) else { return nil }
            text = text[slash...]
        }
        while text.last == UInt8(ascii: "/") { text.removeLast() }
        var path = String(Substring(text))
        guard !path.isEmpty else { return nil }
        if !path.utf8.starts(with: "/".utf8) {
            // "ScanJobs/1" stands beside the list, "1" in it.
            path = (path.utf8.starts(with: "ScanJobs/".utf8) ? root : jobs(root)) + "/" + path
        }
        guard path.utf8.count <= longest, path.utf8.allSatisfy({ 0x21...0x7e ~= $0 }) else { return nil }
        return path
    }
}

extension Substring {
    /// Behind `://`, where it begins with a scheme.
    fileprivate var schemeEnd: Index? {
        let scheme = utf8.prefix { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 }
        guard !scheme.isEmpty, utf8[scheme.endIndex...].starts(with: "://".utf8) else { return nil }
        return utf8.index(scheme.endIndex, offsetBy: 3)
    }
}
