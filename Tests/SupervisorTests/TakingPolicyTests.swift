// Which devices are taken from the kernel's drivers, and who says so; udev's rules for them.

import Bundles
import FoundationEssentials
import Glibc
import Logging
import Testing
import Wire

@testable import Supervisor

private func parse(_ text: String) throws(BundleError) -> PolicyFile {
    try ManifestParser.parsePolicy(Array(text.utf8), path: "userdriver.yaml")
}

private func subject(_ vendor: UInt16 = 0x046d, _ product: UInt16 = 0x0825, class interfaceClass: UInt8 = 0x0e) -> MatchSubject {
    MatchSubject(
        vendor: vendor, product: product, release: 0x0100,
        interfaces: [.init(number: 0, interfaceClass: interfaceClass, interfaceSubclass: 1, interfaceProtocol: 0)])
}

@Suite struct PolicyFileTests {
    @Test func theMostSpecificRuleCounts() throws {
        let policy = try parse(
            """
            take: [{class: 0x0e}, {id: "046d:0825:A1"}]
            leave:
              - {device: "046d:0825"}
            """)
        #expect(policy.takes("046d:0900:X", subject(0x046d, 0x0900)) == true)
        #expect(policy.takes("046d:0825:B2", subject()) == false)
        #expect(policy.takes("046d:0825:A1", subject()) == true)
        #expect(policy.takes("1234:5678:X", subject(0x1234, 0x5678, class: 3)) == nil)
    }

    @Test func ofEqualRulesTheOneThatLeavesTheDeviceCounts() throws {
        #expect(try parse("take: [{class: 14}]\nleave: [{class: 14}]").takes("x", subject()) == false)
    }

    @Test(arguments: ["", "# nothing but words\n", "take: []\nleave: []\n", "take:\nleave:\n"])
    func anEmptyPolicyTakesNothing(text: String) throws {
        #expect(try parse(text) == PolicyFile())
    }

    @Test func camerasAreShownUnlessTheAdministratorMinds() throws {
        #expect(try parse("").showsCameras && parse("video: on").showsCameras)
        #expect(try !parse("video: off\ntake: []").showsCameras)
    }

    @Test(arguments: [
        "take": "a word", "- a": "a list", "take: [": "broken", "take: yes": "no list", "take: [{}]": "a rule for everything",
        "standby: perhaps": "neither on nor off", "standby: [on]": "a list of one", "video: 2": "no flag",
        "give: []": "a member nobody knows",
        "take: [{name: x}]": "a rule's member nobody knows",
        "take: [{subclass: 1}]": "a subclass alone",
        "take: [{id: \"\"}]": "an empty id", "take: [{id: [1]}]": "an id that is a list",
        "take: [{id: \"a\\u0001\"}]": "a control character",
        "take: [{class: 300}]": "a class past a byte", "take: [{device: 46d}]": "a short number", "take: &a [*a]": "an alias to itself",
        "take: [" + String(repeating: "[", count: 2000): "nesting",
        "take: [{id: \"" + String(repeating: "a", count: 500) + "\"}]": "a long line",
    ])
    func refuses(text: String, what: String) {
        #expect(throws: BundleError.self, "\(what)") { try parse(text) }
    }
}

@Suite struct TakingPolicyTests {
    private let folder = TemporaryFolder()
    private var administrators: String { folder.path + "/userdriver.yaml" }

    private func policy(everything: Bool = false) -> TakingPolicy {
        TakingPolicy(
            takesEverything: everything, administrators: administrators, stateDirectory: folder.path,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
    private func write(_ text: String) throws { try StateFile.write(Array(text.utf8), to: administrators) }

    @Test func nothingIsTakenUnasked() { #expect(!policy().takes("a", subject())) }

    @Test func aChoiceSurvivesTheDaemonAndOutweighsRules() throws {
        try write("take: [{class: 14}]")
        #expect(policy().takes("a", subject()))
        try policy().choose("a", takes: false)
        #expect(!policy().takes("a", subject()))
        #expect(policy().takes("b", subject()))
        try policy().choose("a", takes: true)
        #expect(policy().takes("a", subject()))
        #expect(!policy(everything: false).takes("c", subject(class: 3)))
    }

    @Test func anOddIdIsKeptAsItIs() throws {
        let id = "1234:5678@usbip://[::1]:3240/1-1\"\\x"
        try policy().choose(id, takes: true)
        #expect(policy().takes(id, subject()))
    }

    @Test func whatTheAdministratorLeavesByItsIdCanNotBeTaken() throws {
        try write("leave: [{id: a}]")
        let error = #expect(throws: CallError.self) { try policy().choose("a", takes: true) }
        #expect(error?.code == "NotPermitted")
        #expect(!policy(everything: true).takes("a", subject()))
    }

    @Test func theOptionTakesEverythingButWhatWasReleased() throws {
        let policy = policy(everything: true)
        #expect(policy.takes("a", subject()))
        try policy.choose("a", takes: false)
        #expect(!policy.takes("a", subject()))
    }

    @Test func anEditHoldsAtOnceAndABrokenFileTakesNothing() throws {
        let policy = policy()
        try write("take: [{class: 14}]")
        #expect(policy.takes("a", subject()))
        try write("take: [")
        #expect(!policy.takes("a", subject()))
    }

    @Test func aStandbyIsKeptUnlessTheAdministratorSaysOtherwise() throws {
        let policy = policy()
        #expect(policy.keepsStandby)
        try write("standby: off\n")
        #expect(!policy.keepsStandby)
        try write("standby: on\ntake: []\n")
        #expect(policy.keepsStandby)
    }

    @Test func aBrokenFileOfChoicesTakesNothing() throws {
        try StateFile.write(Array("take: [{id: a}".utf8), to: folder.path + "/taken.yaml")
        #expect(!policy().takes("a", subject()))
    }

    @Test func aChoiceThatCanNotBeWrittenDownHoldsAllTheSame() throws {
        let policy = policy()
        // A folder where the new file would be: nothing can be written, whoever asks.
        #expect(mkdir(folder.path + "/taken.yaml.new", 0o700) == 0)
        #expect(try policy.choose("a", takes: true)?.contains("only until the daemon ends") == true)
        #expect(policy.takes("a", subject()) && !self.policy().takes("a", subject()))
        #expect(rmdir(folder.path + "/taken.yaml.new") == 0)
        #expect(try policy.choose("a", takes: true) == nil && self.policy().takes("a", subject()))
    }

    @Test func choicesAreBounded() throws {
        let policy = policy()
        for number in 0..<TakingPolicy.maximumChoices { try policy.choose("\(number)", takes: true) }
        #expect(throws: CallError.self) { try policy.choose("one more", takes: true) }
        try policy.choose("7", takes: false)
        // What was written can be read again.
        #expect(self.policy().takes("255", subject()))
    }
}

@Suite(.timeLimit(.minutes(10))) struct TakeAndReleaseTests {
    @Test func aDeviceThatIsLeftToTheKernelIsTakenAndReleased() async throws {
        let bench = try await Bench()
        bench.source.failOpening(with: .leftToKernel("uvcvideo has it"))
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("kernel")
        #expect(try await bench.status().first?.state == .kernel)
        #expect(try await bench.status().first?.reason == "uvcvideo has it")
        // Nobody tries again: it is not a failure.
        #expect(bench.source.opens == 1)
        let error = await #expect(throws: CallError.self) { try await bench.client().call("io.userdriver.camera.Formats") }
        #expect(error?.code == "io.userdriver.DeviceUnavailable")

        bench.source.failOpening(with: nil)
        _ = try await bench.client().call("io.userdriver.Take")
        _ = try await listener.event("running")
        let pid = try #require(try await bench.status().first).pid
        _ = try await bench.client().call("io.userdriver.Release")
        // The driver has ended before the device is given back, and that before the call is answered.
        #expect(!exists(pid))
        #expect(bench.source.givenBack == ["1-1"])
        #expect(try await bench.status().first?.state == .kernel)
        await bench.stop()
    }

    @Test func whatIsSaidOfAReleaseThatCanNotBeWrittenDownIsTrue() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let pid = try #require(try await bench.status().first).pid
        let folder = bench.configuration.stateDirectory + "/taken.yaml.new"
        #expect(mkdir(folder, 0o700) == 0)
        let released = await #expect(throws: CallError.self) { try await bench.client().call("io.userdriver.Release") }
        #expect(released?.message.contains("is given back") == true && released?.message.contains("only until the daemon ends") == true)
        #expect(!exists(pid) && bench.source.givenBack == ["1-1"])
        #expect(try await bench.status().first?.state == .kernel)
        let listener = try await bench.listener()
        let taken = await #expect(throws: CallError.self) { try await bench.client().call("io.userdriver.Take") }
        #expect(taken?.message.contains("is taken from the kernel's driver") == true)
        _ = try await listener.event("running")
        await bench.stop()
    }

    @Test func whoWatchesAReleasedDeviceIsTold() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let viewer = try bench.client()
        try await viewer.send("io.userdriver.Watch", more: true)
        _ = try await viewer.event("opened")
        _ = try await bench.client().call("io.userdriver.Release")
        _ = try await viewer.event("failed")
        await bench.stop()
    }

    @Test func unpluggingWhileItIsReleasedAnswersTheCall() async throws {
        let bench = try await Bench("deaf") { $0.timing.heartbeatLimit = .seconds(60) }
        try await bench.drive()
        let client = try bench.client()
        try await client.send("io.userdriver.Release")
        bench.source.unplug("1-1")
        #expect(try await client.receive()?.reply.error == nil)
        await bench.stop()
    }
}

@Suite struct UdevRulesTests {
    private static let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    @Test func thoseThatAreInstalledAreTheDriversMatchTables() throws {
        var manifests: [DriverManifest] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: Self.top + "/Sources/Drivers") where name.hasSuffix("-driver") {
            let path = "\(Self.top)/Sources/Drivers/\(name)/driver.yaml"
            manifests.append(try ManifestParser.parse(try StateFile.read(path, maximumBytes: ManifestParser.maximumBytes), path: path))
        }
        #expect(!manifests.isEmpty)
        let installed = String(
            decoding: try StateFile.read(Self.top + "/Udev/" + UdevRules.fileName, maximumBytes: 1 << 20), as: UTF8.self)
        #expect(UdevRules.text(for: manifests) == installed, "`make udev` writes them anew")
    }

    @Test func eachKindOfRuleIsTold() throws {
        let text = """
            id: io.example.test
            version: 1
            kind: webcam
            executable: test-driver
            match: [{class: 7, subclass: 1, protocol: 4}, {device: "04b8"}, {device: "04b8:0005", class: 7, bcdDevice: "0100-01ff"}]
            """
        let rules = UdevRules.text(for: [try ManifestParser.parse(Array(text.utf8), path: "")])
        #expect(rules.contains("\nENV{ID_USB_INTERFACES}==\"*:070104:*\", GOTO=\"userdriver_device\"\n"))
        #expect(rules.contains("\nATTR{idVendor}==\"04b8\", GOTO=\"userdriver_device\"\n"))
        #expect(
            rules.contains(
                "\nATTR{idVendor}==\"04b8\", ATTR{idProduct}==\"0005\", ENV{ID_USB_INTERFACES}==\"*:07????:*\", GOTO=\"userdriver_device\"\n"
            ))
    }
}
