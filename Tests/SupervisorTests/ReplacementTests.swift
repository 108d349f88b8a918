// Drivers that are replaced, revoked or taken away while the supervisor runs.

import Bundles
import Glibc
import Testing
import Trust
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct ReplacementTests {
    private func reload(_ bench: Bench) async throws -> [DriverStatus] {
        try await bench.client().call("io.userdriver.ReloadDrivers")["drivers"]?.decoded(as: [DriverStatus].self) ?? []
    }

    private func install(_ bench: Bench, _ behaviour: String, version: String) throws {
        try Bench.makeBundle(in: bench.folder.path + "/drivers", behaviour: behaviour, version: version)
    }

    @Test func aNewVersionTakesOverAndViewersStay() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let viewer = try bench.client()
        try await viewer.send("io.userdriver.Watch", more: true)
        _ = try await viewer.event("opened")
        let first = try #require(try await bench.status().first)
        // Nothing has changed: nothing happens.
        #expect(try await reload(bench).map(\.version) == ["1"])
        #expect(try await bench.status().first?.pid == first.pid)
        let listener = try await bench.listener()
        try install(bench, "good", version: "2")
        #expect(try await reload(bench).map(\.version) == ["2"])
        let replaced = try await listener.event("replaced")
        #expect(replaced["message"]?.stringValue?.contains("test 2 takes over from test 1") == true)
        _ = try await listener.event("running")
        _ = try await viewer.event("restarted")
        let second = try #require(try await bench.status().first)
        #expect(second.pid != first.pid)
        #expect(second.restarts == 1)
        #expect(second.streams.first?.clients == 1)
        #expect(try await bench.client().call("io.userdriver.Crashes")["crashes"] == [])
        await bench.stop()
    }

    @Test(arguments: ["exits", "fails-to-start", "garbage"])
    func aVersionThatDiesThreeTimesGivesWayToTheOneBefore(behaviour: String) async throws {
        let bench = try await Bench()
        try await bench.drive()
        let viewer = try bench.client()
        try await viewer.send("io.userdriver.Watch", more: true)
        _ = try await viewer.event("opened")
        let listener = try await bench.listener()
        try install(bench, behaviour, version: "2")
        // Its file goes with the version: the old one runs on from memory.
        unlink(bench.folder.path + "/drivers/test.driver/good")
        _ = try await reload(bench)
        let fallback = try await listener.event("fallback")
        #expect(fallback["message"]?.stringValue?.contains("test 2 died 3 times in a minute") == true, "\(fallback)")
        _ = try await listener.event("running")
        _ = try await viewer.event("restarted")
        let device = try #require(try await bench.status().first)
        #expect(device.state == .running)
        #expect(device.reason?.contains("test 1 drives it again") == true)
        #expect(device.streams.first?.clients == 1)
        let crashes = try await bench.client().call("io.userdriver.Crashes")["crashes"]?.decoded(as: [CrashReport].self)
        #expect(crashes?.count == 3)
        // Asked again, it stays away from what failed; a fixed version is taken.
        _ = try await reload(bench)
        #expect(try await bench.status().first?.pid == device.pid)
        try install(bench, "good", version: "3")
        _ = try await reload(bench)
        _ = try await listener.event("running")
        let fixed = try #require(try await bench.status().first)
        #expect(fixed.reason == nil)
        #expect(fixed.pid != device.pid)
        await bench.stop()
    }

    @Test func aDriverThatIsRevokedEndsAtOnceAndSaysWhy() async throws {
        let key = PrivateKey(comment: "publisher")
        let lists = TemporaryFolder()
        try StateFile.write(
            Array(AllowedSigners.line(AllowedSigner(principals: ["publisher"], key: key.publicKey)).utf8), to: lists.path + "/signers")
        let bench = try await Bench {
            $0.allowsUnsigned = false
            $0.allowedSigners = [lists.path + "/signers"]
            $0.revokedKeys = [lists.path + "/revoked"]
            // The bench has made the bundle by now.
            do { try BundleSigner.sign($0.driverFolders[0] + "/test.driver", by: key) } catch { Issue.record(error) }
        }
        try await bench.drive()
        let device = try #require(try await bench.status().first)
        #expect(device.signer == "publisher")
        #expect(device.warnings == [])
        let listener = try await bench.listener()
        try StateFile.write(Array(key.publicKey.line.utf8), to: lists.path + "/revoked")
        #expect(try await reload(bench).map(\.state) == [.refused])
        _ = try await listener.event("unsupported")
        let after = try #require(try await bench.status().first)
        #expect(after.state == .unsupported)
        #expect(after.reason?.contains("is revoked") == true, "\(after)")
        unlink(lists.path + "/revoked")
        #expect(try await reload(bench).map(\.state) == [.ready])
        _ = try await listener.event("running")
        await bench.stop()
        #expect(!exists(device.pid))
    }

    @Test func anUnsignedDriverIsNotRunAndStatusSaysWhy() async throws {
        let bench = try await Bench { $0.allowsUnsigned = false }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        let event = try await listener.event("unsupported")
        #expect(event["message"]?.stringValue?.contains("It is unsigned") == true)
        #expect(try await bench.status().first?.reason?.contains("It is unsigned") == true)
        #expect(try await bench.status().first?.pid == 0)
        await bench.stop()
    }

    @Test func deathsCountWithinTheirWindowAndInTheFirstTenMinutes() throws {
        func bundle(_ version: String) throws -> DriverBundle {
            let folder = TemporaryFolder()
            try Bench.makeBundle(in: folder.path, behaviour: "good", version: version)
            return try DriverBundle(path: folder.path + "/test.driver", trust: DriverTrust(allowsUnsigned: true))
        }
        let (old, new) = (try bundle("1"), try bundle("2"))
        let start = ContinuousClock.now
        func failures(at seconds: [Int]) -> [Bool] {
            var choice = DriverChoice(old)
            _ = choice.offer(new, configuration: .init(), now: start)
            return seconds.map { choice.died("x", configuration: .init(), now: start + .seconds($0)) != nil }
        }
        // Two in a minute, one long after, two more within a minute of that one.
        #expect(failures(at: [0, 30, 100, 130, 159]) == [false, false, false, false, true])
        #expect(failures(at: [0, 30, 61, 92]) == [false, false, false, false])
        #expect(failures(at: [0, 1, 2, 3, 4, 5]) == [false, false, true, false, false, false])
        #expect(failures(at: [601, 602, 603, 604]) == [false, false, false, false])
    }
}
