// What `Diagnose` tells of the layers below and above a device.

import FoundationEssentials
import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct DiagnosisTests {
    private func diagnose(_ bench: Bench, _ parameters: JSONValue = [:]) async throws -> Diagnosis {
        try await bench.client().call("io.userdriver.Diagnose", parameters).decoded(as: Diagnosis.self)
    }

    @Test func tellsOfTheDaemonItsDriversAndADeviceThatIsDriven() async throws {
        let bench = try await Bench()
        try await bench.drive()
        // Between two looks that are equal the device is as it is in either.
        var (before, after): (DeviceStatus?, DeviceStatus?)
        var diagnosis: Diagnosis
        repeat {
            before = try await bench.status().first
            diagnosis = try await diagnose(bench, ["device": "1234:5678"])
            after = try await bench.status().first
        } while before != after
        #expect(diagnosis.daemon.pid == getpid() && diagnosis.daemon.user == geteuid() && diagnosis.daemon.groups.contains(getegid()))
        #expect(!diagnosis.daemon.usesUSB && !diagnosis.daemon.detachesKernelDrivers)
        #expect(diagnosis.drivers.map(\.id) == ["test"] && diagnosis.drivers.first?.problem == nil)
        let device = try #require(diagnosis.devices.first)
        #expect(device.status == before)
        #expect(device.driver == diagnosis.drivers.first && device.interfaces == [0] && device.trouble == nil && device.nodeProblem == nil)
        await bench.stop()
    }

    @Test func tellsWhyADeviceCantBeHadUntilItComesAnew() async throws {
        let bench = try await Bench {
            $0.timing.longestRestartDelay = .seconds(30); $0.timing.firstRestartDelay = .seconds(30)
        }
        bench.source.failOpening(with: .refused("the kernel's driver uvcvideo has interface 0"))
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("backoff", "died", "failed")
        #expect(try await diagnose(bench).devices.first?.trouble?.contains("uvcvideo has interface 0") == true)
        bench.source.unplug("1-1")
        _ = try await listener.event("absent")
        bench.source.failOpening(with: nil)
        bench.source.plug(makeDevice())
        _ = try await listener.event("running")
        #expect(try await diagnose(bench).devices.first?.trouble == nil)
        await bench.stop()
    }

    @Test func whatADriverSaysOfItsFaultArrivesAsAValue() async throws {
        let bench = try await Bench("fails-to-start") { $0.timing.restartsToOpenCircuit = 2 }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("failed")
        let device = try #require(try await diagnose(bench).devices.first)
        #expect(device.fault?.code == "Picky" && device.fault?.layer == "class" && device.fault?.remedy == "try another one")
        #expect(device.fault?.message.contains("not to my taste") == true && device.trouble == device.fault?.message)
        await bench.stop()
    }

    @Test(arguments: [("exits", "DriverDied"), ("unresponsive", "DriverHung")])
    func aDeathIsAValueToo(behaviour: String, code: String) async throws {
        let bench = try await Bench(behaviour) {
            $0.timing.restartsToOpenCircuit = 2
            if behaviour == "unresponsive" { $0.timing.startLimit = .milliseconds(300) }
        }
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("failed")
        let fault = try #require(try await diagnose(bench).devices.first?.fault)
        #expect(fault.code == code && fault.layer == "process", "\(fault)")
        await bench.stop()
    }

    @Test func namesABundleThatIsNotUsed() async throws {
        var broken = ""
        let bench = try await Bench { configuration in
            broken = configuration.driverFolders[0] + "/broken.driver"
            mkdir(broken, 0o755)
            guard let file = fopen(broken + "/driver.yaml", "w") else { return }
            fputs("id: [", file)
            fclose(file)
        }
        let refused = try await diagnose(bench).drivers.filter { $0.problem != nil }
        #expect(refused.map(\.path) == [broken + "/driver.yaml"] || refused.map(\.path) == [broken])
        await bench.stop()
    }

    @Test func saysWhyADeviceOnAnotherMachineIsNotThereYet() async throws {
        // Any program will do: it is looked for before the server is asked.
        let bench = try await Bench { $0.portExecutable = "/bin/true" }
        let listener = try await bench.listener()
        _ = try await bench.client().call("io.userdriver.Attach", ["url": "usbip://127.0.0.1:1/1-1"])
        _ = try await listener.event("notice")
        let attachment = try #require(try await diagnose(bench).attachments.first)
        #expect(attachment.url == "usbip://127.0.0.1:1/1-1" && attachment.problem?.contains("is not there yet") == true)
        await bench.stop()
    }

    @Test(arguments: [(["device": "nosuch"], "NoSuchDevice"), (["device": 7], "InvalidParameter")] as [(JSONValue, String)])
    func refusesWhatNamesNoDevice(parameters: JSONValue, code: String) async throws {
        let bench = try await Bench()
        let error = try await #require(throws: CallError.self) { try await diagnose(bench, parameters) }
        #expect(error.code == "io.userdriver." + code)
        await bench.stop()
    }
}
