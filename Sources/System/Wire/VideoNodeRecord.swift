// Which USB devices are this project's own cameras: what whoever attaches them writes down, and the daemon reads.

/// The bus paths of the nodes that `userdriver-video` has attached, in a file that root alone can write: the daemon leaves those devices
/// alone, whatever they say they are.
public struct VideoNodeRecord: Hashable, Sendable {
    public static let folder = "/run/userdriver-video"
    public static let path = folder + "/nodes"
    public static let maximumBytes = 4096

    /// `"3-1"`, as in sysfs.
    public var paths: [String]

    public init(paths: [String]) { self.paths = paths }

    /// One per line. Lines that are not the bus path of a root hub's port are ignored.
    public init(parsing text: String) {
        paths = text.utf8.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let parts = line.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
            guard parts.count == 2, parts.allSatisfy({ (1...4).contains($0.count) && $0.allSatisfy { (0x30...0x39).contains($0) } }) else {
                return nil
            }
            return String(decoding: line, as: UTF8.self)
        }
    }

    public var text: String { paths.map { $0 + "\n" }.joined() }
}
