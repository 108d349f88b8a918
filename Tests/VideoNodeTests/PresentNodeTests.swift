import Glibc
import Testing

@testable import VideoNode

@Suite struct PresentNodeTests {
    /// sysfs as the kernel has it, with two nodes, of which one has no video device yet, and a camera of somebody else's.
    @Test func nodesAreFoundByWhereTheyAreAttached() throws {
        var template = Array("/tmp/userdriver-sysfs-XXXXXX".utf8CString)
        let root = String(cString: try #require(mkdtemp(&template)))
        defer { _ = removeFolder(root) }
        func write(_ path: String, _ text: String) {
            var folder = root
            for part in path.split(separator: "/").dropLast() {
                folder += "/" + part
                mkdir(folder, 0o755)
            }
            let file = open(root + "/" + path, O_WRONLY | O_CREAT, 0o644)
            _ = text.withCString { Glibc.write(file, $0, strlen($0)) }
            close(file)
        }
        write("devices/3-1/serial", "1209-0001-A\n")
        write("devices/3-1/3-1:1.0/video4linux/video4/index", "1\n")
        write("devices/3-1/3-1:1.0/video4linux/video3/index", "0\n")
        write("devices/4-2/serial", "1209-0001-A.2\n")
        write("devices/1-1/serial", "1209-0001-A\n")
        #expect(PresentNode.all(record: root + "/nodes", devices: root + "/devices") == nil)
        write("nodes", "3-1\n4-2\n4-7\n../../1-1\n")
        let nodes = try #require(PresentNode.all(record: root + "/nodes", devices: root + "/devices"))
        #expect(nodes.map(\.serial) == ["1209-0001-A", "1209-0001-A.2"])
        #expect(nodes.map(\.path) == ["/dev/video3", nil])
    }
}
