// What a bench says when it can't begin, and what its device does under a fault. Whole benches are
// run by `make kit`.

import FoundationEssentials
import Glibc
import Synchronization
import Testing
import USB
import USBEmulation

@testable import DriverTesting

@Suite struct BenchTests {
    private static func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        chmod(path, 0o755)
    }

    @Test func aBundleIsPutTogetherFromAnyPathInThePackage() throws {
        let folder = try BenchFolder()
        try Self.write("id: org.example.thing # its name\nexecutable: \"thing-driver\"\n", to: folder.path + "/driver.yaml")
        try Self.write("#!/bin/sh\n", to: folder.path + "/thing-driver")
        try FileManager.default.createDirectory(atPath: folder.path + "/interfaces", withIntermediateDirectories: false)
        try Self.write("interface org.example.thing\n", to: folder.path + "/interfaces/org.example.thing.varlink")
        let bundle = try BenchBundle(package: folder.path + "/Tests/ThingTests/ThingTests.swift").assemble(in: folder.path + "/x")
        #expect(bundle == folder.path + "/x/thing.driver")
        #expect(
            Set(try FileManager.default.contentsOfDirectory(atPath: bundle)) == ["driver.yaml", "interfaces", "thing-driver"])
    }

    @Test(arguments: [
        ("id: a.b\n", "an executable"), ("executable: x\n", "an id"), ("id: a\nexecutable: ../x\n", "an executable"),
        ("id: a\nexecutable: nowhere\n", "Has it been built?"),
    ])
    func saysWhatIsMissing(manifest: String, words: String) throws {
        let folder = try BenchFolder()
        try Self.write(manifest, to: folder.path + "/driver.yaml")
        let error = #expect(throws: DriverBenchFailure.self) { _ = try BenchBundle(package: folder.path) }
        #expect(error?.message.contains(words) == true)
    }

    @Test func saysThatThereIsNoPackage() {
        #expect(throws: DriverBenchFailure.self) { _ = try BenchBundle(package: "/nowhere/at/all") }
        #expect(throws: DriverBenchFailure.self) { _ = try BenchBundle(package: "relative.swift") }
    }

    @Test func looksForTheDaemonWhereItIsTold() throws {
        let folder = try BenchFolder()
        let error = #expect(throws: DriverBenchFailure.self) {
            _ = try BenchDaemon.find { ["USERDRIVER_BIN": folder.path, "PATH": "/usr/bin"][$0] }
        }
        #expect(error?.message.contains(folder.path) == true && error?.message.contains("USERDRIVER_BIN") == true)
        try Self.write("#!/bin/sh\n", to: folder.path + "/userdriverd")
        let found = try BenchDaemon.find { ["USERDRIVER_BIN": folder.path][$0] }
        #expect(found == folder.path + "/userdriverd")
    }

    @Test func aFailureSaysEverythingThatIsKnown() {
        let failure = DriverBenchFailure("It broke.", details: ["The device is failed"])
        #expect("\(failure)" == "It broke.\n  The device is failed")
    }

    /// Notes which endpoints are said to be ready.
    private final class Signal: EmulationSignal {
        let ready = Mutex<Set<EndpointAddress>>([])
        func ready(endpoint: EndpointAddress) { ready.withLock { _ = $0.insert(endpoint) } }
        func flush(endpoint: EndpointAddress) {}
        func unplug() {}
        func plug() {}
    }

    @Test func aStalledDeviceIsSilentUntilItIsResumed() {
        let device = BenchDevice(LoopbackDevice())
        let signal = Signal()
        device.attached(now: 1, signal: signal)
        let history = ControlSetup(requestType: 0xc0, request: LoopbackDevice.Request.history, value: 0, index: 0, length: 8)
        func answers() -> Bool {
            let control = if case .data = device.control(history, data: [], now: 1) { true } else { false }
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
            defer { bytes.deallocate() }
            let data =
                if case .data = device.dataIn(endpoint: LoopbackDevice.interruptIn, now: 1 << 40, into: bytes) { true } else { false }
            return control && data
        }
        #expect(answers())
        device.stall(true)
        if case .silence = device.control(history, data: [], now: 1) {} else { Issue.record("a stalled device answers") }
        #expect(!answers())
        signal.ready.withLock { $0 = [] }
        device.stall(false)
        #expect(signal.ready.withLock { $0.contains(LoopbackDevice.interruptIn) })
    }
}
