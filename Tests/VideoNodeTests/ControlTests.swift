import FakeDaemon
import Synchronization
import Testing
import USB
import UVC
import UserDriverClient

@testable import VideoNode

@Suite(.timeLimit(.minutes(2))) struct ControlTests {
    private static let exposure: UInt8 = 0x04
    private static let brightness: UInt8 = 0x02
    private static let panTilt: UInt8 = 0x0d

    @Test func theHostFindsTheCamerasOwnRanges() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        let controls = VideoControls(device: bench.host, function: bench.function)
        let brightness = try await controls.control("brightness")
        #expect([brightness.minimum, brightness.maximum, brightness.step, brightness.defaultValue] == [-64, 64, 2, 0])
        #expect(try await controls.value(brightness, limit: .seconds(5)) == 10)
        let mode = try await controls.control("exposure_auto")
        #expect(mode.items.map(\.value) == [1, 8])
        let tilt = try await controls.control("tilt_absolute")
        #expect(try await controls.value(tilt, limit: .seconds(5)) == -3600)
    }

    @Test func settingReachesTheDriver() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        try await bench.set(Self.brightness, entity: NodeEntity.processing, [0xf0, 0xff])
        #expect(bench.behaviour.withLock { $0.set } == ["brightness=-16"])
        #expect(try await bench.get(.getCur, Self.brightness, entity: NodeEntity.processing, length: 2) == [0xf0, 0xff])
        // Of two fields only the one that changes.
        try await bench.set(Self.panTilt, entity: NodeEntity.camera, [0x10, 0x0e, 0, 0, 0xf0, 0xf1, 0xff, 0xff])
        #expect(bench.behaviour.withLock { $0.set } == ["brightness=-16", "pan_absolute=3600"])
    }

    /// As programs expect it that set every control they find.
    @Test func settingWhatAnAutomaticModeDrivesIsAcceptedAndDoesNothing() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        try await bench.set(Self.exposure, entity: NodeEntity.camera, [1, 1, 0, 0])
        #expect(bench.behaviour.withLock { $0.set }.isEmpty)
        #expect(try await bench.get(.getCur, Self.exposure, entity: NodeEntity.camera, length: 4) == [0x2c, 1, 0, 0])
        // What no such mode could drive is refused.
        bench.behaviour.withLock { _ = $0.held.insert("brightness") }
        await #expect(throws: USBError.self) { try await bench.set(Self.brightness, entity: NodeEntity.processing, [2, 0]) }
        #expect(try await bench.requestError() == RequestError.wrongState)
    }

    @Test func withoutADaemonControlsHaveTheirLastValue() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        bench.daemon.stop()
        #expect(try await bench.get(.getCur, Self.brightness, entity: NodeEntity.processing, length: 2) == [10, 0])
        await #expect(throws: USBError.self) { try await bench.set(Self.brightness, entity: NodeEntity.processing, [4, 0]) }
        #expect(try await bench.requestError() == RequestError.notReady)
    }

    @Test func whatIsNotThereIsRefused() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        func error(_ selector: UInt8, _ entity: UInt8) async throws -> UInt8? {
            await #expect(throws: USBError.self) { try await bench.get(.getCur, selector, entity: entity, length: 2) }
            return try await bench.requestError()
        }
        // Contrast, which the camera lacks; gain, which does not answer; a unit that does not exist.
        #expect(try await error(0x03, NodeEntity.processing) == RequestError.invalidControl)
        #expect(try await error(0x04, NodeEntity.processing) == RequestError.invalidControl)
        #expect(try await error(0x02, 77) == RequestError.invalidUnit)
        await #expect(throws: USBError.self) { try await bench.set(Self.brightness, entity: NodeEntity.processing, [1, 2, 3]) }
        #expect(try await bench.requestError() == RequestError.invalidRequest)
    }
}
