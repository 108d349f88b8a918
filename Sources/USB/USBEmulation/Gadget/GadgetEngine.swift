// A device on a USB device controller of this machine: its requests, and its endpoints' threads.

import CLinux
import FileDescriptors
import Glibc
import Threads
import USB

/// Lives on one thread, waits in `ppoll` only. The kernel answers device and configuration descriptors, and the controller addresses and
/// halts; what is left comes here.
final class GadgetEngine: StandardRequests {
    /// A request whose data has not come, or whose answer is for later.
    private struct Pending {
        var setup: ControlSetup
        var data: [UInt8]?
        var due: UInt64? = 0
        var wasLookedFor = false
    }

    let device: any EmulatedDevice
    let descriptors: EmulatedDescriptors
    let parsed: DescriptorSet
    let signal: PortSignal
    var configuration: ConfigurationDescriptor?
    var alternates: [UInt8: UInt8] = [:]
    var isRemoteWakeupEnabled = false

    private let files: GadgetFileSystem
    /// Given up at the end of `run`, which takes the device off the bus.
    private var file: OwnedDescriptor?
    private let control: Int32
    private let log: (@Sendable (String) -> Void)?
    private var speed = USBSpeed.unknown
    private var isAttached = false
    private var pending: Pending?
    private var endpoints: [EndpointAddress: GadgetEndpoint] = [:]
    /// How often the data of a request is looked for: GadgetFS does not tell when it has come, and throws it away when the next request comes first.
    private static let dataPoll: UInt64 = 250_000
    /// For so long it is looked for without a pause: the host has its answer already, and the next request is on its way.
    private static let dataSpin: UInt64 = 10_000_000

    /// Puts the device on the bus.
    init(
        _ device: any EmulatedDevice, descriptors: EmulatedDescriptors, files: GadgetFileSystem, signal: PortSignal,
        log: (@Sendable (String) -> Void)?
    ) throws(USBError) {
        self.device = device
        self.descriptors = descriptors
        self.files = files
        self.signal = signal
        self.log = log
        parsed = DescriptorSet(parsing: descriptors.device + descriptors.configurations.flatMap { $0 })
        let block = try GadgetDescriptors(descriptors).bytes
        let file = try files.openController()
        control = file.number
        self.file = consume file
        guard write(control, block, block.count) == block.count else {
            throw USBError(errno: errno, operation: "write(\(files.controller))", detail: "the kernel does not accept the descriptors")
        }
        let names = try files.names
        for endpoint in parsed.configurations.flatMap(\.interfaces).flatMap(\.endpoints) {
            guard GadgetEndpointName.choose(for: endpoint, among: names) == nil else { continue }
            throw USBError(
                .notSupported, operation: "USB device controller \(files.controller)",
                detail:
                    "it has no endpoint for \(endpoint.address) (\(endpoint.transferType)) among \(names.sorted().joined(separator: ", "))"
            )
        }
        // From its first look on the kernel leaves requests to us, and refuses none of them.
        pendingEvents = readEvents()
    }

    private var pendingEvents: [GadgetEvent] = []

    /// The thread's work, until the signal ends it. Takes the device off the bus.
    func run() {
        // It plays hardware: data that is not collected before the host goes on is lost. Without the right to it, as good as it goes.
        _ = clinux_take_priority()
        do throws(USBError) { try loop() } catch { log?("The gadget stopped: \(error)") }
        disconnected()
        file = nil
    }

    private func loop() throws(USBError) {
        let events = pendingEvents
        pendingEvents = []
        for event in events { take(event) }
        var polled = [pollfd(fd: control, events: 0, revents: 0), pollfd(fd: signal.wake, events: Int16(POLLIN), revents: 0)]
        while !signal.isEnding {
            servePending()
            let now = clinux_monotonic_ns()
            for endpoint in endpoints.values { endpoint.serve(device, now: now, log: log) }
            var due = pending?.due
            for endpoint in endpoints.values { if let time = endpoint.due() { due = min(due ?? time, time) } }
            let wait: Int64 = due.map { $0 > now ? Int64(clamping: $0 - now) : 0 } ?? -1
            // While a request waits for its answer the file is ready to be written, all the time.
            polled[0].events = pending == nil ? Int16(POLLIN) : 0
            _ = clinux_poll(&polled, 2, wait)
            if polled[1].revents != 0 { wakeEndpoints() }
            guard polled[0].revents != 0 else { continue }
            if Int32(polled[0].revents) & POLLHUP != 0 { resynchronise() } else { for event in readEvents() { take(event) } }
        }
    }

    private func wakeEndpoints() {
        let ready = signal.takeReady()
        for (address, endpoint) in endpoints where ready & PortSignal.bit(address) != 0 { endpoint.wake = .now }
    }

    // MARK: Events and requests

    private func readEvents() -> [GadgetEvent] {
        var bytes = [UInt8](repeating: 0, count: 5 * GadgetEvent.byteCount)
        let count = read(control, &bytes, bytes.count)
        // EAGAIN: nothing. EIDRM, EL2HLT: what was to be answered is not asked any more.
        guard count > 0 else { return [] }
        do throws(USBError) { return try GadgetEvent.decode(bytes.prefix(count)) } catch {
            log?("\(error)")
            return []
        }
    }

    /// The host has begun its next request before this one was answered, or its data collected. The kernel is at the new one, and does not show it before
    /// something is done with it: it is refused, and what is shown of it then as well.
    private func resynchronise() {
        pending = nil
        var none: UInt8 = 0
        _ = read(control, &none, 1)
        for event in readEvents() {
            if case .setup(let setup) = event { refuse(setup) } else { take(event) }
        }
    }

    private func take(_ event: GadgetEvent) {
        switch event {
        case .nothing, .suspended: break
        case .connected(let speed):
            disconnected()
            self.speed = speed
            isAttached = true
            log?("A host is using the device, at \(speed).")
            device.attached(now: clinux_monotonic_ns(), signal: signal)
        case .disconnected: disconnected()
        case .setup(let setup):
            pending = Pending(setup: setup, data: setup.direction == .out && setup.length > 0 ? nil : [])
            servePending()
        }
    }

    private func disconnected() {
        pending = nil
        closeEndpoints(of: nil)
        configuration = nil
        alternates = [:]
        guard isAttached else { return }
        isAttached = false
        device.detached()
    }

    private func servePending() {
        guard var request = pending, let due = request.due, due <= clinux_monotonic_ns() else { return }
        let setup = request.setup
        if request.data == nil {
            var bytes = [UInt8](repeating: 0, count: Int(setup.length))
            let end = clinux_monotonic_ns() + (request.wasLookedFor ? 0 : Self.dataSpin)
            var count: Int
            repeat { count = read(control, &bytes, bytes.count) } while count < 0 && errno == EAGAIN && clinux_monotonic_ns() < end
            if count < 0, errno == EAGAIN {
                pending?.wasLookedFor = true
                pending?.due = clinux_monotonic_ns() + Self.dataPoll
                return
            }
            guard count >= 0 else {
                log?("The data of \(setup) is lost: errno \(errno).")
                resynchronise()
                return
            }
            request.data = Array(bytes.prefix(count))
            pending = request
        }
        switch answer(setup, data: request.data ?? []) {
        case .silence: pending?.due = nil
        case .later(let time): pending?.due = max(time, clinux_monotonic_ns() + 125_000)
        case .stall:
            pending = nil
            refuse(setup)
        case .data(let bytes):
            pending = nil
            accept(setup, bytes)
        }
        for address in signal.takeFlushed(among: Array(endpoints.keys)) { endpoints[address]?.flush() }
    }

    private func accept(_ setup: ControlSetup, _ bytes: [UInt8]) {
        var none: UInt8 = 0
        let count = min(bytes.count, Int(setup.length))
        let isTaken: Bool
        if setup.direction == .in {
            isTaken = write(control, bytes, count) == count
        } else {
            // Reading nothing accepts a request without data; one with data was accepted by the kernel.
            isTaken = setup.length > 0 || read(control, &none, 0) == 0
        }
        guard !isTaken else { return }
        log?("The answer to \(setup) was not taken: errno \(errno).")
        resynchronise()
    }

    /// By input or output in the wrong direction. A request with data to the device can't be refused: the kernel has accepted its data already.
    private func refuse(_ setup: ControlSetup) {
        var none: UInt8 = 0
        if setup.direction == .in {
            _ = read(control, &none, 1)
        } else if setup.length == 0 {
            _ = write(control, &none, 0)
        } else {
            log?("\(setup) should be refused, but GadgetFS can't: the host believes that it was accepted.")
        }
    }

    // MARK: Endpoints

    func open(_ endpoint: EndpointDescriptor, interface: UInt8) {
        do throws(USBError) {
            guard let name = GadgetEndpointName.choose(for: endpoint, among: try files.names) else {
                throw USBError(
                    .notSupported, operation: "SET_INTERFACE",
                    detail: "the controller \(files.controller) has nothing for \(endpoint.address)")
            }
            let file = try files.openEndpoint(name, endpoint, isHighSpeed: descriptors.speed == .high)
            do throws(WorkerThread.StartFailure) {
                let address = endpoint.address
                let writer = try GadgetWriter(file, name: "usb \(name)") { [signal] in signal.ready(endpoint: address) }
                endpoints[address] = GadgetEndpoint(endpoint, interface: interface, speed: speed, writer: writer)
            } catch {
                throw USBError(.fault, operation: "pthread_create", detail: "\(error)")
            }
        } catch {
            log?("\(error)")
        }
    }

    func closeEndpoints(of interface: UInt8?) {
        for (address, endpoint) in endpoints where interface == nil || endpoint.interface == interface {
            endpoint.writer.end()
            endpoints[address] = nil
        }
    }

    func isHalted(_ endpoint: EndpointAddress) -> Bool? { endpoints[endpoint].map { _ in false } }

    func setHalted(_ endpoint: EndpointAddress, _ isHalted: Bool) {
        guard isHalted, let endpoint = endpoints[endpoint] else { return }
        endpoint.flush()
        endpoint.writer.halt()
    }
}
