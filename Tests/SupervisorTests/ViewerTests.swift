// Who sees a device's pictures: programs that are cut off, and those that others show them to.

import FrameRing
import Glibc
import Spawn
import Testing
import Wire

@testable import Supervisor

@Suite("Viewers", .serialized, .timeLimit(.minutes(5))) struct ViewerTests {
    private func bench() async throws -> Bench {
        let bench = try await Bench("moving") { $0.timing.callLimit = .seconds(200) }
        try await bench.drive()
        return bench
    }

    /// This process is whoever watches here.
    private let process: JSONValue = ["process": .int(Int64(getpid()))]

    private func refusal(_ client: TestClient, _ method: String, _ parameters: JSONValue) async throws -> String {
        do {
            _ = try await client.call("io.userdriver.\(method)", parameters)
            return ""
        } catch let error as CallError {
            return "\(error.code): \(error.message)"
        }
    }

    @Test func aProgramThatIsCutOffSeesNothingMoreAndMayNotComeBack() async throws {
        let bench = try await bench()
        let guest = try await HeldRing(bench, ["format": "moves"])
        try await wait("a frame") { guest.reader.latest != nil }
        let client = try bench.client()
        let listener = try await bench.listener()
        _ = try await client.call("io.userdriver.Revoke", process)
        let ended = try await guest.client.event("ended")
        #expect(ended["message"]?.stringValue?.contains("revoke") == true)
        #expect(try await listener.event("revoked")["message"]?.stringValue?.contains("\(getpid())") == true)
        #expect(try await bench.status().first?.streams.allSatisfy { $0.clients == 0 } == true)
        try await guest.client.send("io.userdriver.Watch", ["request": [:]], more: true)
        let again = try #require(try await guest.client.receive())
        #expect(again.reply.error?.hasSuffix("NotPermitted") == true)
        #expect(try await refusal(client, "Revoke", process).contains("InvalidParameter"), "it watches no more")
        await bench.stop()
    }

    @Test func whatOthersShowTheDeviceToIsToldAndCutOff() async throws {
        let bench = try await bench()
        let surface = try bench.client()
        let viewers: JSONValue = [
            "viewers": [["pid": 77, "uid": 4242, "program": "browser\u{1b}[31m"], ["pid": 78, "uid": 0, "program": ""]]
        ]
        try await surface.send("io.userdriver.Show", viewers, more: true)
        #expect(try #require(try await surface.receive()).reply.error == nil)
        let told = try #require(try await bench.status().first?.viewers)
        #expect(told.map(\.pid) == [77, 78] && told.allSatisfy { $0.through?.isEmpty == false })
        #expect(told[0].program.hasPrefix("browser") && !told[0].program.contains("\u{1b}"), "nothing that steers a terminal")
        #expect(told[0].uid == (getuid() == 0 ? 4242 : getuid()), "of other people's programs only root may speak")
        let client = try bench.client()
        _ = try await client.call("io.userdriver.Revoke", ["process": 78])
        #expect(try #require(try await surface.receive()).reply.parameters["revoked"] == 78)
        #expect(try await refusal(client, "Revoke", ["process": 79]).contains("InvalidParameter"))
        surface.socket.shutdown()
        try await wait("nobody is shown anything") { try await bench.status().first?.viewers == nil }
        await bench.stop()
    }

    @Test(
        arguments: [
            ("Revoke", [:]), ("Revoke", ["process": 0]), ("Revoke", ["process": -1]), ("Revoke", ["process": 4_294_967_296]),
            ("Revoke", ["process": "77"]),
        ] as [(String, JSONValue)])
    func whatMakesNoSenseIsRefused(method: String, parameters: JSONValue) async throws {
        let bench = try await bench()
        #expect(try await refusal(try bench.client(), method, parameters).contains("InvalidParameter"))
        await bench.stop()
    }

    @Test(
        arguments: [
            [:], ["viewers": 1], ["viewers": [["pid": 0, "uid": 0, "program": ""]]],
            ["viewers": [["pid": 1, "uid": 0, "program": .string(String(repeating: "x", count: 65))]]],
            ["viewers": .array((1...65).map { ["pid": .int($0), "uid": 0, "program": ""] })],
        ] as [JSONValue])
    func listsThatMakeNoSenseAreRefused(parameters: JSONValue) async throws {
        let bench = try await bench()
        let surface = try bench.client()
        try await surface.send("io.userdriver.Show", parameters, more: true)
        #expect(try #require(try await surface.receive()).reply.error?.hasSuffix("InvalidParameter") == true)
        #expect(try await bench.status().first?.viewers == nil)
        await bench.stop()
    }

    @Test func aProcessIsToldFromALaterOneOfItsNumber() throws {
        let own = try #require(ProcessIdentity(getpid()))
        #expect(own == ProcessIdentity(getpid()) && own.began > 0 && own.began != ProcessIdentity(1)?.began)
        #expect(ProcessIdentity(0) == nil)
    }
}
