// Which cameras are to have a /dev/videoN, and which USB devices are such.

import Glibc
import Logging
import Testing
import Wire

@testable import Supervisor

@Suite struct NodePolicyTests {
    private final class Folder {
        let path: String
        init() throws {
            var template = Array("/tmp/userdriver-nodes-XXXXXX".utf8CString)
            path = String(cString: try #require(mkdtemp(&template)))
        }
        deinit {
            for name in ["nodes.json", "nodes.json.new", "record"] { unlink(path + "/" + name) }
            rmdir(path)
        }
        func policy(isOn: Bool = true) -> NodePolicy {
            NodePolicy(stateDirectory: path, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { isOn }
        }
    }

    @Test func aChoiceOutlastsTheDaemon() throws {
        let folder = try Folder()
        let policy = folder.policy()
        #expect(policy.nodes(of: "a") == nil)
        #expect(try policy.choose("a", nodes: 2) == nil)
        #expect(try policy.choose("b", nodes: 0) == nil)
        #expect(folder.policy().nodes(of: "a") == 2 && folder.policy().nodes(of: "b") == 0)
        // The administrator's word is for those of which nobody has said anything.
        #expect(folder.policy(isOn: false).nodes(of: "a") == 2 && folder.policy(isOn: false).nodes(of: "c") == 0)
    }

    @Test(arguments: ["", "{", "[1]", #"{"a": "x"}"#, #"{"a": 99, "b": -1}"#]) func aFileThatMakesNoSenseCountsForNothing(text: String)
        throws
    {
        let folder = try Folder()
        try StateFile.write(Array(text.utf8), to: folder.path + "/nodes.json")
        #expect(folder.policy().nodes(of: "a") == nil)
    }

    @Test func choicesAreBounded() throws {
        let folder = try Folder()
        let policy = folder.policy()
        for number in 0..<256 { _ = try policy.choose("\(number)", nodes: 1) }
        #expect(throws: CallError.self) { try policy.choose("one more", nodes: 1) }
        #expect(try policy.choose("7", nodes: 0) == nil)
        #expect(policy.nodes(of: "7") == 0)
    }

    @Test func aDeviceIsOursWhereRootSaysSo() throws {
        let folder = try Folder()
        let record = folder.path + "/record"
        #expect(!OwnNodes.contains("3-1", record: record))
        try StateFile.write(Array(VideoNodeRecord(paths: ["3-1", "4-2"]).text.utf8), to: record)
        // As root the test's file is as good as the attacher's.
        let isRoot = geteuid() == 0
        #expect(OwnNodes.contains("3-1", record: record) == isRoot && !OwnNodes.contains("3-2", record: record))
        chmod(record, 0o666)
        #expect(!OwnNodes.contains("3-1", record: record), "anybody could have written that")
    }
}
