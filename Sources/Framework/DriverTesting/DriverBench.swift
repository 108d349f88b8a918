// A driver under a real supervisor, over a device in software, through everything that can happen
// to it.

import Glibc
import Synchronization
public import USBEmulation
public import Wire

/// Runs a driver as it will run later: `userdriverd`, the sandbox, a process of its own, and a
/// device that a test makes up. The test calls the driver, kills and stops it, pulls the device's
/// plug, and looks at what is left.
///
/// ```swift
/// try await DriverBench.run(package: #filePath, device: MyDevice()) { bench in
///     async let answer = bench.call("org.example.thing.Read")
///     try await bench.kill()
///     #expect(try await answer["value"] != nil)
/// }
/// ```
///
/// `userdriverd` is the one in the folder `USERDRIVER_BIN`, else that of the checkout
/// `USERDRIVER_CHECKOUT`, else the one on `PATH`. Benches share nothing: tests may run side by
/// side.
public final class DriverBench: Sendable {
    private struct State {
        /// Processes that a test has ended, or is about to: none of them is waited for.
        var ended: Set<Int32> = []
    }

    /// How long to wait for anything.
    public let patience: Duration
    let folder: BenchFolder
    let daemon: BenchDaemon
    private let device: BenchDevice
    private let server: EmulationServer
    private let state = Mutex(State())

    /// Starts everything and returns when the driver has the device.
    ///
    /// - Parameters:
    ///   - package: a folder with `driver.yaml` and `interfaces`, or any path in it: `#filePath`. The executable is looked for
    ///     there, and beside that of the test.
    ///   - device: what the driver is to drive. Its `attached` is called each time the driver is given the device again.
    ///   - settings: further arguments of `userdriverd`.
    public init(
        package: String, device: any EmulatedDevice, patience: Duration = .seconds(30), settings: [String] = []
    ) async throws {
        self.patience = patience
        folder = try BenchFolder()
        let bundle = try BenchBundle(package: package).assemble(in: folder.path)
        self.device = BenchDevice(device)
        server = EmulationServer(devices: [("1-1", self.device)], port: 0)
        let port = try server.start()
        daemon = BenchDaemon(
            executable: try BenchDaemon.find(),
            arguments: ["--drivers", bundle, "--allow-unsigned", "--no-usb", "--attach", "usbip://127.0.0.1:\(port)/1-1"] + settings,
            folder: folder.path)
        do {
            try await daemon.start(patience: patience)
            try await running()
        } catch {
            let failure = await explained(error)
            await stop()
            throw failure
        }
    }

    /// Runs `body` with a bench and ends it, whatever happens. Errors from `body` carry what is
    /// known about the driver by then.
    public static func run<R>(
        package: String, device: any EmulatedDevice, patience: Duration = .seconds(30), settings: [String] = [],
        isolation: isolated (any Actor)? = #isolation, _ body: (DriverBench) async throws -> sending R
    ) async throws -> sending R {
        let bench = try await DriverBench(package: package, device: device, patience: patience, settings: settings)
        do {
            let result = try await body(bench)
            await bench.stop()
            return result
        } catch {
            let failure = await bench.explained(error)
            await bench.stop()
            throw failure
        }
    }

    /// Ends the daemon, and with it the driver, and the device.
    public func stop() async {
        await daemon.stop()
        server.stop()
        folder.remove()
    }

    // MARK: What can happen

    /// Kills the driver's process (SIGKILL), whatever it is doing. Returns at once: calls that it
    /// was working on go to its successor.
    public func kill() async throws { try await signal(SIGKILL) }

    /// Stops the driver's process (SIGSTOP): it lives and does nothing. The supervisor should
    /// notice.
    public func hang() async throws { try await signal(SIGSTOP) }

    /// Any other signal to the driver's process. The process is expected to die from it.
    public func signal(_ number: Int32) async throws {
        let process = try await running().pid
        state.withLock { _ = $0.ended.insert(process) }
        guard Glibc.kill(process, number) == 0 || errno == ESRCH else {
            throw DriverBenchFailure("Signal \(number) can't be sent to the driver: \(String(cString: strerror(errno))).")
        }
    }

    /// From now on the device answers none of its own control requests and sends nothing, until
    /// `resume`.
    public func stall() { device.stall(true) }

    /// The device answers again.
    public func resume() { device.stall(false) }

    /// Pulls the plug, and returns when the supervisor has noticed.
    public func unplug() async throws {
        device.unplug()
        try await device(until: "the device is gone") { $0 == nil || $0?.state == .absent }
    }

    /// Plugs the device in again, and returns when it is driven.
    public func plug() async throws {
        device.plug()
        try await running()
    }

    // MARK: How it is

    /// Waits until a driver that no test has killed has the device. Throws as soon as the
    /// supervisor has given up.
    @discardableResult
    public func running() async throws -> DeviceStatus {
        let status = try await device(until: "the driver runs") { status in
            guard let status else { return false }
            if [.failed, .unsupported].contains(status.state) {
                throw DriverBenchFailure("The supervisor no longer drives the device: \(status.reason ?? status.state.rawValue)")
            }
            return status.state == .running && !self.state.withLock { $0.ended.contains(status.pid) }
        }
        guard let status else { throw DriverBenchFailure("There is no device.") }
        return status
    }
}
