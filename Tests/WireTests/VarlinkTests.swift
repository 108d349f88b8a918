// Varlink's messages, cut from a stream in every possible way.

import CLinux
import FileDescriptors
import Glibc
import Testing
import Wire

private func inode(_ descriptor: Int32) -> UInt {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? UInt(status.st_ino) : 0
}

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

@Suite struct VarlinkDecoderTests {
    @Test func cutsTheStreamWhereverItsBytesAreSplit() throws {
        let calls = [
            VarlinkCall(method: "a.b.One"), VarlinkCall(method: "a.b.Two", parameters: ["x": [1, 2, "\u{e9}\u{0}"]], more: true),
            VarlinkCall(method: "a.b.Three", oneway: true),
        ]
        var stream: [UInt8] = []
        for call in calls { stream += try JSON.encode(call) + [0] }
        for split in 0...stream.count {
            var decoder = VarlinkDecoder()
            var got: [VarlinkCall] = []
            for part in [stream[..<split], stream[split...]] where !part.isEmpty {
                try decoder.append(part)
                while let next = try decoder.next(VarlinkCall.self) { got.append(next.message) }
            }
            #expect(got == calls)
            let amid = decoder.isAmidMessage
            #expect(!amid)
        }
    }

    @Test func givesDescriptorsToTheLastMessageBegun() throws {
        let memory = clinux_memfd("test", 0)
        // Two messages whole, the third begun: the descriptors came with the third.
        var decoder = VarlinkDecoder()
        try decoder.append(bytes("{\"method\":\"a.A\"}") + bytes("{\"method\":\"a.B\"}") + Array("{\"meth".utf8), descriptors: [memory])
        #expect(try decoder.next(VarlinkCall.self)?.descriptors == [])
        #expect(try decoder.next(VarlinkCall.self)?.descriptors == [])
        #expect(try decoder.next(VarlinkCall.self) == nil)
        let amid = decoder.isAmidMessage
        #expect(amid)
        try decoder.append(bytes("od\":\"a.C\"}"))
        #expect(try decoder.next(VarlinkCall.self)?.descriptors == [memory])
        close(memory)
    }

    @Test func closesTheDescriptorsOfMessagesThatNeverCome() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        func use() throws {
            var decoder = VarlinkDecoder()
            try decoder.append([1, 2, 3], descriptors: [ends[1]])
        }
        try use()
        var byte: UInt8 = 0
        #expect(read(ends[0], &byte, 1) == 0)
        close(ends[0])
    }

    @Test func refusesMessagesPastTheLimit() throws {
        var decoder = VarlinkDecoder(maximumMessage: 100)
        try decoder.append([UInt8](repeating: 32, count: 100))
        #expect(throws: WireError.self) { try decoder.append([32]) }
        var whole = VarlinkDecoder(maximumMessage: 100)
        try whole.append([UInt8](repeating: 32, count: 101) + [0])
        #expect(throws: WireError.self) { try whole.next(VarlinkCall.self) }
    }

    @Test(arguments: [
        "", "{", "1", "\"text\"", "{\"parameters\":{}}", "{\"method\":1}", "{\"method\":\"a.b\",\"more\":\"yes\"}", "\u{1}",
        String(repeating: "[", count: 65),
    ])
    func refusesWhatIsNoCall(text: String) throws {
        var decoder = VarlinkDecoder()
        try decoder.append(bytes(text))
        #expect(throws: WireError.self) { try decoder.next(VarlinkCall.self) }
    }

    @Test func takesManySmallMessagesAtOnce() throws {
        var decoder = VarlinkDecoder()
        let count = 20_000
        try decoder.append(Array(repeating: bytes("{\"method\":\"a.A\"}"), count: count).flatMap { $0 })
        var got = 0
        while try decoder.next(VarlinkCall.self) != nil { got += 1 }
        #expect(got == count)
    }

    @Test func everyReplyKeepsItsShape() throws {
        for reply in [
            VarlinkReply(), VarlinkReply(["a": 1], continues: true), VarlinkReply(error: "a.b.Busy", parameters: ["message": "m"]),
        ] {
            #expect(try JSON.decode(VarlinkReply.self, from: JSON.encode(reply)) == reply)
        }
        #expect(try JSON.encode(VarlinkReply()) == Array("{\"parameters\":{}}".utf8))
        let error = try #require(throws: CallError.self) {
            try VarlinkReply(error: "io.userdriver.Busy", parameters: ["message": "m"]).result()
        }
        #expect(error == CallError("Busy", "m"))
    }
}

@Suite struct VarlinkSocketTests {
    private func makePair() -> (VarlinkSocket, VarlinkSocket) {
        var pair: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        return (VarlinkSocket(OwnedDescriptor(pair[0])), VarlinkSocket(OwnedDescriptor(pair[1])))
    }

    @Test func eachDescriptorStaysWithItsMessage() throws {
        let (server, client) = makePair()
        let memories = (0..<3).map { _ in clinux_memfd("test", 0) }
        defer { memories.forEach { close($0) } }
        // Sizes that need one and several packets of the kernel's, with and without descriptors, all sent before the first is read.
        let sizes = [10, 40_000, 3, 70_000, 200]
        for (index, size) in sizes.enumerated() {
            let text = JSONValue.string(String(repeating: "x", count: size))
            try server.enqueue(
                VarlinkReply(["index": .int(Int64(index)), "text": text]), descriptors: index % 2 == 1 ? [memories[index / 2]] : [])
        }
        for index in sizes.indices {
            let (reply, descriptors) = try #require(try client.receive(VarlinkReply.self))
            #expect(reply.parameters["index"]?.intValue == index)
            #expect(descriptors.map(inode) == (index % 2 == 1 ? [inode(memories[index / 2])] : []))
            descriptors.forEach { close($0) }
        }
    }

    @Test func aStalledReaderIsToldApartNotWaitedFor() throws {
        let (server, client) = makePair()
        let reply = VarlinkReply(["text": .string(String(repeating: "x", count: 100_000))])
        var accepted = 0
        let error = try #require(throws: WireError.self) {
            while true {
                try server.enqueue(reply)
                accepted += 1
            }
        }
        #expect(error.code == .backlog)
        for _ in 0..<accepted {
            while try server.flush(), server.hasBacklog {}
            #expect(try client.receive(VarlinkReply.self)?.message == reply)
        }
    }

    @Test func anEndAmidAMessageIsAnError() throws {
        let (server, client) = makePair()
        #expect(clinux_send(server.descriptor, "{\"par", 5, nil, 0, 0) == 5)
        server.shutdown()
        #expect(throws: WireError.self) { try client.receive(VarlinkReply.self) }
    }

    @Test func knowsItsPeer() throws {
        let (server, _) = makePair()
        let peer = try server.peer()
        #expect(peer.processID == getpid())
        #expect(peer.userID == getuid())
    }
}

@Suite struct VarlinkServiceTests {
    private let service = VarlinkService(
        vendor: "v", product: "p", version: "1", url: "u",
        interfaces: [ManagementInterface.interface, VarlinkInterface(ours: "interface org.example.thing\nmethod M() -> ()\n")])

    @Test func describesItself() throws {
        let info = try #require(service.reply(to: VarlinkCall(method: "org.varlink.service.GetInfo")))
        #expect(info.parameters["interfaces"] == ["org.varlink.service", "io.userdriver", "org.example.thing"])
        for name in ["org.varlink.service", "io.userdriver", "org.example.thing"] {
            let call = VarlinkCall(method: "org.varlink.service.GetInterfaceDescription", parameters: ["interface": .string(name)])
            let text = service.reply(to: call)?.parameters["description"]?.stringValue
            #expect(text?.contains("interface \(name)\n") == true)
            let types = text?.split(separator: "\n").filter { $0.hasPrefix("type ") }.map { $0.split(separator: " ")[1] } ?? []
            #expect(Set(types).count == types.count)
        }
    }

    @Test(arguments: [
        ("GetInfo", "MethodNotFound"), (".GetInfo", "MethodNotFound"), ("", "MethodNotFound"), ("no.such.Method", "InterfaceNotFound"),
        ("io.userdriver.NoSuch", "MethodNotFound"), ("org.varlink.service.NoSuch", "MethodNotFound"),
        ("org.varlink.service.GetInterfaceDescription", "InvalidParameter"),
    ])
    func refusesByTheStandardsErrors(method: String, error: String) {
        #expect(service.reply(to: VarlinkCall(method: method))?.error == "org.varlink.service." + error)
    }

    @Test func leavesItsOwnMethodsToTheServer() {
        for method in ManagementInterface.interface.methods {
            #expect(service.reply(to: VarlinkCall(method: "io.userdriver." + method.name)) == nil)
        }
        #expect(ManagementInterface.interface.methods.count == 28)
    }
}
