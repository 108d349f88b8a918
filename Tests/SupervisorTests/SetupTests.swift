// All devices taken or given back at once: what `userdriver setup` has written, and what the daemon makes of it.

import Bundles
import FoundationEssentials
import Glibc
import Logging
import Testing
import USB
import Wire

@testable import Supervisor

@Suite struct SetupPolicyTests {
    private let folder = TemporaryFolder()
    private var administrators: String { folder.path + "/userdriver.yaml" }
    private var setup: String { SetupFile.path(beside: administrators) }

    private func policy() -> TakingPolicy {
        TakingPolicy(
            takesEverything: false, administrators: administrators, stateDirectory: folder.path,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
    private func subject(class interfaceClass: UInt8 = 0x0e) -> MatchSubject {
        MatchSubject(
            vendor: 0x046d, product: 0x0825, release: 0x0100,
            interfaces: [.init(number: 0, interfaceClass: interfaceClass, interfaceSubclass: 1, interfaceProtocol: 0)])
    }

    /// Rules of the administrator's, what was set up, and whether a webcam called `a` is taken then.
    @Test(
        arguments: [
            ("", .rules, false), ("", .none, false), ("", .all, true),
            ("take: [{class: 14}]", .rules, true), ("take: [{class: 14}]", .none, false), ("take: [{class: 14}]", .all, true),
            ("leave: [{class: 14}]", .all, false), ("leave: [{id: a}]", .all, false), ("take: [{id: a}]", .none, false),
            ("leave: [{class: 3}]", .all, true), ("take: [", .all, true),
        ] as [(String, SetupChoice, Bool)])
    func whatWasSetUpOutweighsRulesThatTake(rules: String, choice: SetupChoice, isTaken: Bool) throws {
        try StateFile.write(Array(rules.utf8), to: administrators)
        try SetupFile.write(choice, setup)
        #expect(policy().takes("a", subject()) == isTaken)
        #expect(policy().wouldTake("a", subject(), under: choice) == isTaken)
    }

    @Test func aLaterChoiceForOneDeviceOutweighsIt() throws {
        let policy = policy()
        try SetupFile.write(.none, setup)
        try policy.choose("a", takes: true)
        #expect(policy.takes("a", subject()) && !policy.takes("b", subject()))
        try SetupFile.write(.all, setup)
        try policy.choose("a", takes: false)
        #expect(!policy.takes("a", subject()) && policy.takes("b", subject()))
        // What would be, were nothing chosen.
        #expect(policy.wouldTake("a", subject(), under: .all))
    }

    @Test func choicesAreForgottenForGood() throws {
        let policy = policy()
        try policy.choose("a", takes: true)
        #expect(policy.forgetChoices() == nil)
        #expect(!policy.takes("a", subject()) && !self.policy().takes("a", subject()))
    }

    @Test func whatCanNotBeForgottenOnTheDiskIsSaid() throws {
        let policy = policy()
        try policy.choose("a", takes: true)
        #expect(mkdir(folder.path + "/taken.yaml.new", 0o700) == 0)
        #expect(policy.forgetChoices()?.contains("only until the daemon ends") == true)
        #expect(!policy.takes("a", subject()) && self.policy().takes("a", subject()))
    }

    @Test(arguments: ["take: everything", "take: [all]", "take:", "give: all", "take: [", "- all", "take: ALL"])
    func aFileThatMakesNoSenseTakesNothing(text: String) throws {
        try StateFile.write(Array(text.utf8), to: setup)
        #expect(throws: BundleError.self) { try SetupFile.read(setup) }
        try StateFile.write(Array("take: [{class: 14}]".utf8), to: administrators)
        #expect(!policy().takes("a", subject()))
        #expect(throws: CallError.self) { try policy().checkSetup(is: .all) }
    }

    @Test func aFileThatSomebodyElseMayWriteCountsAsNone() throws {
        try SetupFile.write(.all, setup)
        #expect(chmod(setup, 0o666) == 0)
        #expect(throws: BundleError.self) { try SetupFile.read(setup) }
        #expect(!policy().takes("a", subject()))
    }

    @Test func rulesNeedNoFile() throws {
        #expect(try SetupFile.read(setup) == .rules)
        try SetupFile.write(.rules, setup)
        try SetupFile.write(.all, setup)
        #expect(try SetupFile.read(setup) == .all)
        try SetupFile.write(.rules, setup)
        #expect(access(setup, F_OK) != 0)
        #expect(try SetupFile.read(setup) == .rules)
        #expect(throws: BundleError.self) { try SetupFile.write(.all, "/proc/nowhere/setup.yaml") }
    }
}

@Suite(.timeLimit(.minutes(10))) struct SetUpTests {
    private func makeBench() async throws -> Bench {
        try await Bench { $0.policyPath = $0.runtimeDirectory + "/userdriver.yaml" }
    }
    private func write(_ choice: SetupChoice, _ bench: Bench) throws {
        try SetupFile.write(choice, bench.configuration.runtimeDirectory + "/setup.yaml")
    }
    private func setUp(_ bench: Bench, _ choice: SetupChoice, apply: Bool = true) async throws -> [SetUpChange] {
        let reply = try await bench.client().call("io.userdriver.SetUp", ["take": .string(choice.rawValue), "apply": .bool(apply)])
        return try #require(reply["changes"]).decoded(as: [SetUpChange].self)
    }
    private func plugForTheKernel(_ bench: Bench) async throws {
        bench.source.failOpening(with: .leftToKernel("uvcvideo has it"))
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("kernel")
    }

    @Test func withoutApplyNothingChanges() async throws {
        let bench = try await makeBench()
        try await plugForTheKernel(bench)
        let changes = try await setUp(bench, .all, apply: false)
        #expect(changes.map(\.taken) == [true] && changes.first?.device == "1234:5678:S1")
        #expect(try await setUp(bench, .none, apply: false).isEmpty)
        #expect(try await bench.status().first?.state == .kernel && bench.source.opens == 1)
        await bench.stop()
    }

    @Test func allTakesWhatTheKernelHasAndForgetsWhatWasChosen() async throws {
        let bench = try await makeBench()
        try await plugForTheKernel(bench)
        _ = try await bench.client().call("io.userdriver.Release")
        let listener = try await bench.listener()
        bench.source.failOpening(with: nil)
        try write(.all, bench)
        #expect(try await setUp(bench, .all).map(\.taken) == [true])
        _ = try await listener.event("running")
        await bench.stop()
    }

    @Test func noneGivesEverythingBackBeforeItAnswers() async throws {
        let bench = try await makeBench()
        try await bench.drive()
        bench.source.take()
        _ = try await bench.client().call("io.userdriver.Take")
        let pid = try #require(try await bench.status().first).pid
        try write(.none, bench)
        let changes = try await setUp(bench, .none)
        #expect(changes.map(\.taken) == [false] && changes.allSatisfy { $0.failure == nil })
        #expect(!exists(pid) && bench.source.givenBack == ["1-1"])
        #expect(try await bench.status().first?.state == .kernel)
        await bench.stop()
    }

    @Test func whatWasTakenFromNobodyGoesOn() async throws {
        let bench = try await makeBench()
        try await bench.drive()
        try write(.none, bench)
        #expect(try await setUp(bench, .none).isEmpty)
        #expect(try await bench.status().first?.state == .running)
        await bench.stop()
    }

    @Test func aDeviceThatIsNotGivenBackIsNamed() async throws {
        let bench = try await makeBench()
        try await bench.drive()
        bench.source.take()
        bench.source.failGivingBack(with: .refused("uvcvideo is not there"))
        try write(.none, bench)
        #expect(try await setUp(bench, .none).first?.failure?.contains("uvcvideo is not there") == true)
        await bench.stop()
    }

    @Test func onlyWhatStandsInTheFileIsApplied() async throws {
        let bench = try await makeBench()
        try await plugForTheKernel(bench)
        try write(.none, bench)
        let error = await #expect(throws: CallError.self) { try await setUp(bench, .all) }
        #expect(error?.message.contains("says none") == true)
        await #expect(throws: CallError.self) {
            try await bench.client().call("io.userdriver.SetUp", ["take": "everything", "apply": true])
        }
        #expect(try await bench.status().first?.state == .kernel)
        await bench.stop()
    }

    @Test func aDaemonWithoutAnAdministratorsFileIsNotSetUp() async throws {
        let bench = try await Bench()
        let error = await #expect(throws: CallError.self) { try await setUp(bench, .all) }
        #expect(error?.message.contains("no administrator's file") == true)
        await bench.stop()
    }
}
