// The functions of a device: each is driven, named, restarted and released by itself; what belongs
// to the device is decided for all.

import Bundles
import Glibc
import Logging
import Testing
import USB
import Wire

@testable import Supervisor

/// A laptop's camera: two video functions by association, then a microphone.
private func makeLaptop(path: String = "1-1", serial: String? = "S1", secondClass: UInt8 = 0x0e) -> USBDeviceInformation {
    var device = makeDevice(path: path, serial: serial)
    func function(_ first: UInt8, _ code: UInt8) -> [UInt8] {
        // Interface association (USB 3.2 table 9-16) of two interfaces, control and streaming (USB
        // 2.0 table 9-12).
        [8, 0x0b, first, 2, code, 3, 0, 0] + [9, 4, first, 0, 0, code, 1, 0, 0] + [9, 4, first + 1, 0, 0, code, 2, 0, 0]
    }
    let body = function(0, 0x0e) + function(2, secondClass) + function(4, 1)
    device.descriptors = Array(device.descriptors.prefix(18)) + [9, 2, UInt8(9 + body.count), 0, 6, 1, 0, 0x80, 50] + body
    device.interfaceNames = [0: "Colour", 2: "Infrared"]
    return device
}

@Suite(.timeLimit(.minutes(10))) struct FunctionTests {
    /// Waits until the devices satisfy `condition`, looked at again at each event.
    private func wait(_ bench: Bench, _ condition: ([DeviceStatus]) -> Bool) async throws -> [DeviceStatus] {
        let listener = try await bench.listener()
        while true {
            let status = try await bench.status()
            if condition(status) { return status }
            _ = try await listener.receive()
        }
    }

    private func driveLaptop(_ bench: Bench) async throws -> [DeviceStatus] {
        bench.source.plug(makeLaptop())
        return try await wait(bench) { $0.count == 2 && $0.allSatisfy { $0.state == .running } }
    }

    @Test func `each function has an id, a name and a driver of its own`() async throws {
        let bench = try await Bench()
        let functions = try await driveLaptop(bench)
        #expect(functions.map(\.id) == ["1234:5678:S1/0", "1234:5678:S1/2"])
        #expect(functions.map(\.function?.device) == ["1234:5678:S1", "1234:5678:S1"])
        #expect(functions.map(\.function?.interface) == [0, 2])
        #expect(functions.map(\.name) == ["Test device : Colour", "Test device : Infrared"])
        #expect(Set(functions.map(\.pid)).count == 2)
        #expect(bench.source.opens == 2)
        // The device as a whole is not one of them.
        let error = await #expect(throws: CallError.self) {
            try await bench.client().call("io.userdriver.Restart", ["device": "1234:5678:S1"])
        }
        #expect(error?.code == "io.userdriver.AmbiguousDevice")
        // They keep their ids wherever the device is plugged in.
        bench.source.unplug("1-1")
        _ = try await wait(bench) { $0.allSatisfy { $0.state == .absent } }
        bench.source.plug(makeLaptop(path: "2-1.4"))
        let again = try await wait(bench) { $0.allSatisfy { $0.state == .running } }
        #expect(again.map(\.id) == functions.map(\.id))
        #expect(again.map(\.bus) == ["2-1.4", "2-1.4"])
        await bench.stop()
    }

    @Test func `a device with one driven function is called as ever`() async throws {
        let bench = try await Bench()
        bench.source.plug(makeLaptop(secondClass: 3))
        let status = try await wait(bench) { $0.count == 1 && $0[0].state == .running }
        #expect(status[0].id == "1234:5678:S1")
        #expect(status[0].name == "Test device ")
        await bench.stop()
    }

    @Test func `one driver's deaths are nothing to the other`() async throws {
        let bench = try await Bench()
        let functions = try await driveLaptop(bench)
        let watcher = try bench.client()
        try await watcher.send("io.userdriver.Watch", ["device": "S1/2"], more: true)
        _ = try await watcher.event("opened")
        var killed = functions[0].pid
        for round in 1...3 {
            kill(killed, SIGKILL)
            let status = try await wait(bench) { $0[0].restarts == round && $0[0].state == .running }
            #expect(status[1].pid == functions[1].pid && status[1].restarts == 0)
            #expect(status[1].streams.count == 1)
            killed = status[0].pid
        }
        watcher.socket.shutdown()
        await bench.stop()
    }

    @Test func `one function is released and taken, and the other is driven on`() async throws {
        let bench = try await Bench()
        let functions = try await driveLaptop(bench)
        _ = try await bench.client().call("io.userdriver.Release", ["device": .string(functions[1].id)])
        let status = try await bench.status()
        #expect(status.map(\.state) == [.running, .kernel])
        #expect(status[0].pid == functions[0].pid)
        #expect(bench.source.givenBack == ["1-1"])
        _ = try await bench.client().call("io.userdriver.Take", ["device": .string(functions[1].id)])
        let again = try await wait(bench) { $0.allSatisfy { $0.state == .running } }
        #expect(again[0].pid == functions[0].pid)
        await bench.stop()
    }

    /// Of one function's driver nothing can be made; the other's streams.
    @Test func `a reset waits for milder means while the other streams, and then both go on`() async throws {
        let folder = TemporaryFolder()
        mkdir(folder.path + "/drivers", 0o700)
        try Bench.makeBundle(in: folder.path + "/drivers", id: "bad", behaviour: "fails-to-start", deviceClass: 3)
        let bench = try await Bench(in: folder)
        // The camera alone first, so that it streams before the other begins.
        bench.source.plug(makeLaptop(secondClass: 0xff))
        _ = try await wait(bench) { $0.count == 1 && $0[0].state == .running }
        bench.source.unplug("1-1")
        let watcher = try bench.client()
        try await watcher.send("io.userdriver.Watch", ["device": "S1"], more: true)
        let listener = try await bench.listener()
        bench.source.plug(makeLaptop(secondClass: 3))
        // The reset interrupts it, which those who watch are told, and then it goes on.
        _ = try await watcher.event("opened")
        let notice = try await watcher.event("notice")
        #expect(notice["message"]?.stringValue?.contains("the device is reset: nothing less could recover 1234:5678:S1/2") == true)
        _ = try await watcher.event("restarted")
        #expect(bench.source.resets >= 1)
        while let event = try await listener.receive(), event.reply.parameters["event"] != "failed" {}
        // The last of the resets has interrupted it once more.
        let status = try await wait(bench) { $0.map(\.state) == [.running, .failed] }
        #expect(status[0].streams.count == 1)
        watcher.socket.shutdown()
        await bench.stop()
    }

    @Test func `more functions than a device may have are left out`() async throws {
        let bench = try await Bench { $0.limits.functionsPerDevice = 1 }
        bench.source.plug(makeLaptop())
        let status = try await wait(bench) { $0.count == 1 && $0[0].state == .running }
        #expect(status[0].id == "1234:5678:S1")
        await bench.stop()
    }

    @Test func `what is said of a device holds for its functions, unless one is named`() throws {
        let folder = TemporaryFolder()
        let file = folder.path + "/userdriver.yaml"
        let policy = TakingPolicy(
            takesEverything: false, administrators: file, stateDirectory: folder.path,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let subject = MatchSubject(vendor: 1, product: 2, release: 0, interfaces: [])
        #expect(!policy.takes("d/0", device: "d", subject))
        try policy.choose("d", takes: true)
        #expect(policy.takes("d/0", device: "d", subject) && policy.takes("d/2", device: "d", subject))
        try policy.choose("d/2", device: "d", takes: false)
        #expect(policy.takes("d/0", device: "d", subject) && !policy.takes("d/2", device: "d", subject))
        // The administrator leaves the device alone, but for one function.
        try StateFile.write(Array("leave: [{id: d}]\ntake: [{id: d/0}]".utf8), to: file)
        #expect(policy.takes("d/0", device: "d", subject) && !policy.takes("d/4", device: "d", subject))
        #expect(throws: CallError.self) { try policy.choose("d/4", device: "d", takes: true) }
    }

    @Test func `the ladder resets a device that others stream from only when nothing milder helps`() {
        var ladder = RecoveryLadder()
        let steps = (0..<7).map { _ in ladder.died(progress: false, hasHandled: true, canTakeOver: true, othersStream: true) }
        #expect(steps == [.takeOver, .takeOverDropping, .openAnew, .openAnew, .openAnew, .reset, .reset])
        // Progress gives the next row its own forbearance.
        _ = ladder.died(progress: true, hasHandled: true, canTakeOver: true, othersStream: true)
        #expect(ladder.died(progress: false, hasHandled: true, canTakeOver: true, isUnresponsive: true, othersStream: true) == .openAnew)
        var alone = RecoveryLadder()
        #expect(alone.died(progress: false, hasHandled: true, canTakeOver: true, isUnresponsive: true) == .revive)
    }
}
