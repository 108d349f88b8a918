// A device on another machine that was attached by its address: looked for until it is detached, imported for every driver.

import FileDescriptors
import Glibc
import Logging
import Spawn
import USB
import USBIP
import USBIPHost
import Wire

/// One `usbip://` address.
///
/// USB/IP tells nobody that a device has gone: a driver's socket breaks, and the next import shows whether the server is still there. While no
/// driver has the device the server's list is asked from time to time.
actor USBIPAttachment: DeviceSource {
    struct Timing: Sendable {
        var firstLook = Duration.milliseconds(200)
        var longestLook = Duration.seconds(2)
        var idlePoll = Duration.seconds(2)
        var busyPatience = Duration.seconds(5)
        /// A device that was there for less is looked for less and less often, as long as it goes on so.
        var settled = Duration.seconds(10)
        var longestPause = Duration.seconds(30)

        /// How long to wait before a device that was there for a moment is looked for again. The first time it is at once.
        func rest(after last: Duration, wasSettled: Bool) -> Duration {
            wasSettled ? .zero : min(max(last * 2, firstLook), longestPause)
        }
    }

    let url: AttachmentURL
    private let timing: Timing
    private let program: PortProgram
    private let logger: Logger
    /// The first import, with which the descriptors were read: the first driver gets it.
    private var held: ImportedSocket?
    /// The functions that drivers have, by their first interfaces.
    private var users: Set<UInt8> = []
    private var isInUse: Bool { !users.isEmpty }
    private var isGone = false
    private var nap: Task<Bool, Never>?

    init(url: AttachmentURL, timing: Timing, program: PortProgram, logger: Logger) {
        self.url = url
        self.timing = timing
        self.program = program
        self.logger = logger
    }

    func run(_ report: @escaping @Sendable (DeviceSourceEvent) async -> Void) async {
        var rest = Duration.zero
        while !Task.isCancelled {
            guard let device = await look(report) else { break }
            isGone = false
            let arrival = ContinuousClock.now
            await report(.arrived(device))
            await waitUntilGone()
            held = nil
            await report(.left(path: device.path))
            // The first return is at once. One that comes and goes all the time must not keep everybody busy.
            let wasSettled = arrival.duration(to: .now) >= timing.settled
            if rest > .zero, !wasSettled { await pause(rest) }
            rest = timing.rest(after: rest, wasSettled: wasSettled)
        }
        held = nil
    }

    func open(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> OpenedDevice {
        users.insert(grant.function.firstInterface)
        do throws(DeviceOpenFailure) {
            if let opened = try await opened(device, grant) { return opened }
            // The port ended between two drivers. Whether the device is there still the server says, to another one.
            guard let opened = try await opened(device, grant) else { throw .gone(Self.hasEnded) }
            return opened
        } catch {
            users.remove(grant.function.firstInterface)
            if case .gone = error { leave() } else { nap?.cancel() }
            throw error
        }
    }

    /// The port and its connection are as they were; the driver gets a way to it.
    func reopen(_ device: USBDeviceInformation, _ grant: DeviceGrant, held: DeviceHold) async throws(DeviceOpenFailure) -> OpenedDevice {
        guard case .port(let port, _) = held.keeper else { throw .refused("it is not a device behind a port") }
        guard let opened = try await Self.connect(port, deviceID: portDeviceID, grant, device, hold: held) else {
            throw .gone(Self.hasEnded)
        }
        return opened
    }

    private static let hasEnded = "the connection to the server has ended"

    /// `nil` if the port has ended.
    @inline(never)
    private func opened(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> OpenedDevice? {
        let port = try await sharedPort(device, grant)
        return try await Self.connect(port, deviceID: portDeviceID, grant, device)
    }

    // MARK: The port

    /// The process that has the connection. The device's functions share it.
    private var port: PortProcess?
    /// What USB/IP calls the device, on the connection that the port has.
    private var portDeviceID: UInt32 = 0
    /// The making of a port that is under way: whoever else wants one waits for it.
    private var making: Task<Result<PortProcess, DeviceOpenFailure>, Never>?

    /// A socket on which the import has been answered.
    private final class ImportedSocket: Sendable {
        var descriptor: Int32 { socket.number }
        private let socket: OwnedDescriptor
        let deviceID: UInt32

        init(_ handover: consuming USBIPDevice.Handover) {
            deviceID = handover.deviceID
            socket = handover.socket
        }
    }

    private func sharedPort(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> PortProcess {
        if let making { return try await making.value.get() }
        if let port, await port.isAlive {
            // Another one may have begun meanwhile.
            if let making { return try await making.value.get() }
            if !grant.resets { return port }
            // The reset ends what is in flight for all functions, as it does on a bus.
            await port.end()
            if let making { return try await making.value.get() }
        }
        let task = Task { () -> Result<PortProcess, DeviceOpenFailure> in
            do throws(DeviceOpenFailure) { return .success(try await self.makePort(device, grant)) } catch { return .failure(error) }
        }
        making = task
        let result = await task.value
        making = nil
        return try result.get()
    }

    /// The compiler (6.3.1) crashes where it inlines what this calls: typed errors over
    /// suspensions.
    @inline(never)
    private func makePort(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> PortProcess {
        // The first import is as `look` left it: in the first configuration, unless the server had
        // chosen.
        let first = held
        held = nil
        let isFirst = DescriptorSet(parsing: device.descriptors).configurations.first?.value == grant.function.configuration
        let socket: ImportedSocket
        if let first, !grant.resets, isFirst { socket = first } else { socket = try await importAgain(device, grant) }
        portDeviceID = socket.deviceID
        let executable: SealedExecutable
        do {
            executable = try program.executable()
        } catch {
            throw .lacking("usbip-proxy can't be started", error)
        }
        let port = try await Self.start(executable, program.sandboxes, socket, logger)
        self.port = port
        return port
    }

    @SupervisorActor @inline(never)
    private static func start(
        _ executable: SealedExecutable, _ sandboxes: DriverSandboxes, _ socket: ImportedSocket, _ logger: Logger
    ) throws(DeviceOpenFailure) -> PortProcess {
        do {
            return try PortProcess(
                executable: executable, sandbox: try sandboxes.port(), socket: socket.descriptor, usbipDeviceID: socket.deviceID,
                logger: logger)
        } catch {
            throw .lacking("usbip-proxy can't be started", error)
        }
    }

    /// A way to the port that leads to the function alone; `nil` if the port has ended.
    @SupervisorActor
    private static func connect(
        _ port: PortProcess, deviceID: UInt32, _ grant: DeviceGrant, _ device: USBDeviceInformation, hold: DeviceHold? = nil
    ) throws(DeviceOpenFailure) -> OpenedDevice? {
        guard port.isAlive else { return nil }
        let number = Int(grant.function.firstInterface)
        let rights = FunctionRights(
            interfaces: grant.interfaces, of: DescriptorSet(parsing: device.restricted(to: grant.function).descriptors))
        do {
            let connection = try port.connectDriver(
                of: number, rights: PortRights(interfaces: rights.interfaces, endpoints: rights.endpoints.map(\.rawValue)))
            return OpenedDevice(
                connection, transport: .usbip, usbipDeviceID: deviceID,
                hold: hold ?? DeviceHold(.port(port, function: number)))
        } catch {
            throw .lacking("usbip-proxy can't be reached", error)
        }
    }

    /// A server that does not reset devices is no reason not to go on.
    private func reset(_ handle: USBIPDevice) async throws(USBError) {
        do throws(USBError) {
            try await handle.reset()
        } catch {
            guard error.code == .notSupported else { throw error }
        }
    }

    func released(_ device: USBDeviceInformation, function: USBFunction) async {
        users.remove(function.firstInterface)
        if users.isEmpty { nap?.cancel() }
    }

    // MARK: Looking

    /// Imports and reads the device, as soon as it is there. `nil` when cancelled.
    private func look(_ report: @Sendable (DeviceSourceEvent) async -> Void) async -> USBDeviceInformation? {
        var delay = timing.firstLook
        var said = ""
        while !Task.isCancelled {
            // Without it nothing that is found can be driven: better not to have it than to have it come and go.
            if let problem = program.problem {
                if problem != said {
                    said = problem
                    logger.error("\(problem)", metadata: ["attachment": "\(url)"])
                    await report(.remark("\(url) can't be driven: \(problem)"))
                }
                await pause(delay)
                delay = min(delay * 2, timing.longestPause)
                continue
            }
            do throws(USBError) {
                let imported = try await USBIPConnection.importDevice(host: url.host, port: url.port, busID: url.busID)
                let device = try await USBIPDevice.open(imported)
                held = ImportedSocket(try device.handOver())
                return device.information
            } catch {
                // Once for each reason, not once for each look.
                if "\(error)" != said {
                    said = "\(error)"
                    await report(.remark("\(url) is not there yet: \(error). The daemon keeps looking for it until it is detached."))
                }
            }
            await pause(delay)
            delay = min(delay * 2, timing.longestLook)
        }
        return nil
    }

    private func waitUntilGone() async {
        while !isGone, !Task.isCancelled {
            // With a driver on it there is nothing to ask for; `released` and `leave` end the nap.
            let wasInUse = isInUse
            let isRested = await pause(wasInUse ? .seconds(3600) : timing.idlePoll)
            guard isRested, !wasInUse, !isGone, !isInUse, !Task.isCancelled else { continue }
            guard held == nil else {
                // Nobody wanted the first import: the device is free for others. The server lists it once it has noticed.
                held = nil
                continue
            }
            do throws(USBError) {
                let list = try await USBIPHost.deviceList(host: url.host, port: url.port)
                if !isInUse, !list.contains(where: { $0.device.busID == url.busID }) { isGone = true }
            } catch {
                if !isInUse { isGone = true }
            }
        }
    }

    private func leave() {
        isGone = true
        users = []
        nap?.cancel()
    }

    /// Sleeps until the time is over, or somebody ends the nap. Whether it was not cut short.
    @discardableResult
    private func pause(_ duration: Duration) async -> Bool {
        let nap = Task {
            do {
                try await Task.sleep(for: duration)
                return true
            } catch {
                // Woken early, which is what a nap is for.
                return false
            }
        }
        self.nap = nap
        return await withTaskCancellationHandler {
            await nap.value
        } onCancel: {
            nap.cancel()
        }
    }

    // MARK: Importing again

    @inline(never)
    private func importAgain(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> ImportedSocket {
        let clock = ContinuousClock()
        let deadline = clock.now + timing.busyPatience
        var delay = Duration.milliseconds(5)
        while true {
            do throws(USBError) {
                let imported = try await USBIPConnection.importDevice(host: url.host, port: url.port, busID: url.busID)
                guard imported.record.vendorID == device.vendorID, imported.record.productID == device.productID else {
                    throw USBError(.noDevice, operation: "import \(url)", detail: "another device is there now")
                }
                return try await configured(imported, device, grant)
            } catch {
                // The server learns of a dead driver's broken connection in its own time.
                if error.code == .busy, clock.now < deadline {
                    do { try await Task.sleep(for: delay) } catch { throw .refused("cancelled") }
                    delay = min(delay * 2, .milliseconds(100))
                    continue
                }
                switch error.code {
                // Somebody else has imported it.
                case .busy: throw .refused(error, layer: "connection")
                case .accessDenied, .stall: throw .refused(error)
                case .shortage: throw .shortage("\(error)")
                default: throw .gone("\(error)")
                }
            }
        }
    }

    private func adopt(_ imported: USBIPImport, _ device: USBDeviceInformation) throws(USBError) -> USBIPDevice {
        guard let socket = imported.takeSocket() else {
            throw USBError(.invalidArgument, operation: "import \(url)", detail: "its socket was taken already")
        }
        return try USBIPDevice(adopting: socket, information: device, deviceID: imported.deviceID)
    }

    /// A device that was imported anew may have lost its configuration, or be in another one than
    /// the function's; all else is known.
    private func configured(
        _ imported: USBIPImport, _ device: USBDeviceInformation, _ grant: DeviceGrant
    ) async throws(USBError) -> ImportedSocket {
        let handle = try adopt(imported, device)
        do throws(USBError) {
            if grant.resets { try await reset(handle) }
            let active = try await handle.control(
                ControlSetup(requestType: 0x80, request: StandardRequest.getConfiguration, value: 0, index: 0, length: 1), sending: [],
                timeout: USBIPDevice.standardTimeout)
            let wanted = grant.function.configuration
            if active.first ?? 0 != wanted {
                _ = try await handle.control(
                    ControlSetup(requestType: 0, request: StandardRequest.setConfiguration, value: UInt16(wanted), index: 0, length: 0),
                    sending: [], timeout: USBIPDevice.standardTimeout)
            }
            return ImportedSocket(try handle.handOver())
        } catch {
            handle.close()
            throw error
        }
    }
}
