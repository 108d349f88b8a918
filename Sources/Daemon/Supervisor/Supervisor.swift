// The supervisor as a whole: sources, devices, clients, and the order in which they start and stop.

import Bundles
import CLinux
import FileDescriptors
import Glibc
public import Logging
import Spawn
import Threads
import Trust
import USB
import Wire

/// Why a supervisor can't start.
public struct SupervisorError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
}

/// Finds devices, gives each its driver, keeps the drivers running and answers clients.
@SupervisorActor
public final class Supervisor {
    private struct Origin {
        var source: any DeviceSource
        var task: Task<Void, Never>
        var url: AttachmentURL?
        /// Why the device that is looked for isn't there.
        var problem: String?
    }

    let configuration: SupervisorConfiguration
    let logger: Logger
    private(set) var catalog = DriverCatalog()
    /// The reading of drivers that is under way: one at a time.
    private var reading: Task<Void, Never>?
    let crashes: CrashReports
    private let portProgram: PortProgram
    let standbys: StandbyPool
    private let successionStore: SuccessionStore?
    let objects: ObjectKeeper
    private let keptAttachments: KeptAttachments
    /// Names of hosts that are being looked up for clients.
    private var lookups = 0
    private static let maximumLookups = 8
    private let sandboxes: DriverSandboxes
    let policy: TakingPolicy
    let nodePolicy: NodePolicy
    /// What other programs serve of the devices.
    var endpoints = Endpoints()
    var shownViewers = ShownViewers()
    private(set) var devices: [Device] = []
    private var identity = DeviceIdentity()
    private var origins: [Origin] = []
    private var server: VarlinkServer?
    private var lock: OwnedDescriptor?
    private var isStopping = false
    private let testSources: [any DeviceSource]
    private let chance: () -> Double
    var listeners: [EventListener] = []

    /// What clients are told of this implementation.
    public nonisolated static let version = "0.1.0"

    /// Nothing is done yet.
    public convenience nonisolated init(configuration: SupervisorConfiguration, logger: Logger) async {
        await self.init(configuration: configuration, logger: logger, sources: [])
    }

    /// With sources of a test's own, beside the configuration's.
    init(
        configuration: SupervisorConfiguration, logger: Logger, sources: [any DeviceSource],
        chance: @escaping @SupervisorActor () -> Double = { Double.random(in: 0...1) }
    ) {
        self.configuration = configuration
        self.logger = logger
        self.chance = chance
        testSources = sources
        sandboxes = DriverSandboxes(configuration)
        portProgram = PortProgram(path: configuration.portExecutable, sandboxes: sandboxes)
        successionStore = configuration.store.map { SuccessionStore(store: $0, inherited: configuration.inherited, logger: logger) }
        objects = ObjectKeeper(
            configuration.limits.objects, stateDirectory: configuration.stateDirectory, successionStore: successionStore, logger: logger)
        crashes = CrashReports(
            folder: configuration.stateDirectory + "/crashes", maximumCount: configuration.limits.crashReports,
            names: NameService(configuration, sandboxes: sandboxes), logger: logger)
        keptAttachments = KeptAttachments(
            stateDirectory: configuration.stateDirectory, maximumCount: configuration.limits.attachments)
        policy = TakingPolicy(
            takesEverything: configuration.detachesKernelDrivers, administrators: configuration.policyPath,
            stateDirectory: configuration.stateDirectory, logger: logger)
        nodePolicy = NodePolicy(stateDirectory: configuration.stateDirectory, logger: logger) { [policy] in policy.showsCameras }
        standbys = StandbyPool(configuration, sandboxes: sandboxes, logger: logger) { [policy] in
            configuration.keepsStandby && policy.keepsStandby
        }
    }

    /// Starts: locks the runtime folder, listens, looks for devices. Throws `SupervisorError`; nothing is left behind then.
    public func start() throws {
        try takeLock()
        do {
            server = try makeServer()
        } catch {
            releaseLock()
            throw SupervisorError(description: "The socket can't be created: \(error)")
        }
        catalog = Self.readCatalog(configuration, logger, earlier: nil, sealed: successionStore?.inheritedExecutables ?? [:])
        readIdentities()
        for source in testSources { look(source, url: nil) }
        if configuration.usesUSB {
            look(
                USBFSSource(stateDirectory: configuration.stateDirectory, givesBack: successionStore == nil), url: nil)
        }
        // Before anything that takes time: the transfers in flight last a tenth of a second.
        resume()
        keptAttachments.read(logger)
        for url in configuration.attachments + keptAttachments.urls {
            do throws(CallError) { try attach(url) } catch { logger.error("\(error.message)") }
        }
        logger.info("listening", metadata: ["socket": "\(configuration.socketPath)"])
    }

    private func makeServer() throws -> VarlinkServer {
        let handle: @SupervisorActor (ClientCall) -> Void = { [weak self] call in self?.handle(call) }
        if let listener = configuration.listener {
            return VarlinkServer(
                listener: OwnedDescriptor(listener), limits: configuration.limits, idleLimit: configuration.timing.idleLimit,
                logger: logger, handle: handle)
        }
        return try VarlinkServer(
            path: configuration.socketPath, limits: configuration.limits, idleLimit: configuration.timing.idleLimit, logger: logger,
            handle: handle)
    }

    /// How it is, in one line.
    public var summary: String {
        let attached = devices.filter(\.isAttached)
        let functions = functions.filter(\.isAttached)
        let running = functions.count { $0.state == .running }
        let clients = functions.reduce(0) { $0 + $1.streams.values.reduce(0) { $0 + $1.viewers.count } }
        return "\(attached.count) devices, \(running) driven, \(clients) watchers"
    }

    /// Stops in the reverse order, and returns when no process is left (or the last one could not be ended in time).
    public func stop() async {
        guard !isStopping else { return }
        isStopping = true
        for listener in listeners {
            listener.stop()
            listener.call.cancel()
        }
        listeners = []
        successionStore?.freeze()
        server?.stop()
        server = nil
        await endDrivers()
        for origin in origins { origin.task.cancel() }
        for origin in origins { await origin.task.value }
        origins = []
        for device in devices { device.forget() }
        devices = []
        releaseLock()
        logger.info("stopped")
    }

    private func endDrivers() async {
        // A process that not even SIGKILL ends (it hangs in the kernel) is left to its fate.
        let limit = configuration.timing.teardown.reduce(configuration.timing.stopPatience) { $0 + $1.patience } + .seconds(2)
        let (left, others) = (functions.filter(\.isLeftToSuccessor), functions.filter { !$0.isLeftToSuccessor })
        let ending = Ending(others.count + 1)
        standbys.end { ending.one() }
        for function in others { function.remove("The supervisor has ended.") { ending.one() } }
        await ending.wait(atMost: limit)
        // What streams goes on until there is nothing else to wait for.
        let last = Ending(left.count)
        for function in left { function.leaveToSuccessor { last.one() } }
        await last.wait(atMost: limit)
    }

    /// Every function of every device, in the order in which the devices came.
    var functions: [DriverFunction] { devices.flatMap(\.functions) }

    /// What is said of the device holds for its functions, unless something else is said of one.
    private func takes(_ function: DriverFunction) -> Bool {
        policy.takes(function.id, device: function.device.id, function.subject)
    }

    // MARK: Drivers

    /// Reads the drivers and whom to trust again, and gives each device the driver that is for it now.
    func reloadDrivers() async {
        let before = reading
        let task = Task { [weak self] in
            await before?.value
            guard let self, !self.isStopping else { return }
            let (configuration, logger, earlier) = (self.configuration, self.logger, self.catalog)
            // Reading and hashing executables may wait for a disk.
            let catalog = await Task.detached { Self.readCatalog(configuration, logger, earlier: earlier) }.value
            // What is to run is in memory before what runs is stopped.
            let needed = self.devices.filter(\.isAttached).flatMap { catalog.functions(of: $0.information) }
            await Task.detached {
                for match in needed {
                    do { _ = try match.bundle.executable() } catch {
                        logger.warning("a driver can't be read", metadata: ["error": "\(error)"])
                    }
                }
            }.value
            guard !self.isStopping else { return }
            self.catalog = catalog
            for device in self.devices { device.adopt(catalog.functions(of: device.information)) }
        }
        reading = task
        await task.value
    }

    private nonisolated static func readCatalog(
        _ configuration: SupervisorConfiguration, _ logger: Logger, earlier: DriverCatalog?, sealed: [[UInt8]: SealedExecutable] = [:]
    ) -> DriverCatalog {
        let trust = DriverTrust(
            reading: TrustFiles(allowedSigners: configuration.allowedSigners, revokedKeys: configuration.revokedKeys),
            allowsUnsigned: configuration.allowsUnsigned)
        for problem in trust.problems { logger.warning("the lists of signers can't be read in full", metadata: ["reason": "\(problem)"]) }
        if trust.allowsUnsigned { logger.warning("unsigned drivers are allowed: this is for development only") }
        let catalog = DriverCatalog(folders: configuration.driverFolders, trust: trust, earlier: earlier, sealed: sealed)
        for problem in catalog.problems { logger.warning("a driver is not used", metadata: ["reason": "\(problem)"]) }
        for bundle in catalog.bundles {
            logger.info(
                "driver",
                metadata: [
                    "id": "\(bundle.manifest.id)", "version": "\(bundle.manifest.version)", "path": "\(bundle.path)",
                    "signer": "\(bundle.verdict.signer.map { "\($0.name) \($0.key.fingerprint)" } ?? "nobody")",
                ])
        }
        return catalog
    }

    // MARK: Sources

    private func look(_ source: any DeviceSource, url: AttachmentURL?) {
        let task = Task { [weak self] in
            await source.run { [weak self] event in await self?.take(event, from: source) }
        }
        origins.append(Origin(source: source, task: task, url: url))
    }

    /// Looks for a device on another machine until it is detached. What is attached already stays as it is.
    func attach(_ url: AttachmentURL) throws(CallError) {
        guard !origins.contains(where: { $0.url == url }) else { return }
        guard origins.count(where: { $0.url != nil }) < configuration.limits.attachments else {
            throw CallError("LimitReached", "\(configuration.limits.attachments) devices are attached already.")
        }
        var timing = USBIPAttachment.Timing()
        timing.firstLook = configuration.timing.firstLook
        timing.longestLook = configuration.timing.longestLook
        timing.idlePoll = configuration.timing.longestLook
        timing.busyPatience = configuration.timing.busyPatience
        look(USBIPAttachment(url: url, timing: timing, program: portProgram, logger: logger), url: url)
        tellListeners(device: "", event: "attach", message: "Looking for \(url).")
    }

    /// The same for a client, whose mistakes are told at once. Kept for the next daemon unless it is `transient`.
    func attach(_ url: AttachmentURL, isTransient: Bool) async throws(CallError) {
        if !origins.contains(where: { $0.url == url }) {
            guard lookups < Self.maximumLookups else { throw CallError("LimitReached", "Too many devices are being attached right now.") }
            lookups += 1
            let resolves = configuration.resolves
            let isKnown = await blocking("resolve") { resolves(url.host) }
            lookups -= 1
            guard isKnown else { throw CallError("InvalidParameter", "There is no host \"\(url.host)\": \(url) can't be attached.") }
            guard !isStopping else { throw CallError("DeviceUnavailable", "The daemon is shutting down.") }
        }
        try attach(url)
        guard !isTransient else { return }
        do throws(SystemFailure) {
            try keptAttachments.add(url)
        } catch {
            throw CallError("DeviceError", "\(url) is attached only until the daemon ends, because it can't be recorded: \(error)")
        }
    }

    func detach(_ url: AttachmentURL) throws(CallError) {
        // First, so that what can't be forgotten is not let go only to come back.
        do throws(SystemFailure) {
            try keptAttachments.remove(url)
        } catch {
            throw CallError("DeviceError", "\(url) is detached, but that can't be recorded: \(error)")
        }
        guard let index = origins.firstIndex(where: { $0.url == url }) else { throw CallError("NoSuchDevice", "\(url) is not attached.") }
        let origin = origins.remove(at: index)
        origin.task.cancel()
        for device in devices where device.source === origin.source {
            device.remove("It was detached.") { [weak self, weak device] in
                self?.devices.removeAll { $0 === device }
                device?.forget()
            }
        }
        tellListeners(device: "", event: "detach", message: "No longer looking for \(url).")
    }

    var attachmentDiagnoses: [Diagnosis.Attachment] {
        origins.compactMap { origin in
            origin.url.map { url in
                let device = devices.first { $0.source === origin.source && $0.isAttached }
                return Diagnosis.Attachment(url: url.description, problem: origin.problem, device: device?.functions.first?.id)
            }
        }
    }

    private func take(_ event: DeviceSourceEvent, from source: any DeviceSource) {
        guard !isStopping, let origin = origins.firstIndex(where: { $0.source === source }) else { return }
        switch event {
        case .remark(let text):
            origins[origin].problem = text
            logger.info("\(text)")
            tellListeners(device: "", event: "notice", message: text)
        case .left(let path):
            devices.first { $0.path == path && $0.isAttached }?.left()
        case .arrived(let information):
            origins[origin].problem = nil
            arrived(information, from: source)
        }
    }

    private func arrived(_ information: USBDeviceInformation, from source: any DeviceSource) {
        if let known = devices.first(where: { $0.path == information.path && $0.isAttached }) {
            if known.isResumed(as: information, catalog.functions(of: information)) { return }
            known.left("Another device is plugged in there.")
        }
        let present = devices.filter(\.isAttached)
        if let twinID = identity.arrived(information, among: present.map(\.information)) {
            writeIdentities()
            for device in devices where device.id == twinID {
                device.rename(identity.id(of: device.information))
                logger.notice(
                    "a serial number is not unique: devices that have it are named by where they are plugged in",
                    metadata: ["id": "\(twinID)"])
            }
        }
        let id = identity.id(of: information)
        let matches = catalog.functions(of: information)
        // The same device again: those who watch it are still there. It may have moved to another port.
        if let known = devices.first(where: { $0.id == id && !$0.isAttached }) { return known.arrived(information, from: source, matches) }
        while devices.count >= configuration.limits.devices {
            guard let oldest = devices.firstIndex(where: { !$0.isAttached && $0.functions.allSatisfy(\.streams.isEmpty) }) else {
                logger.error("too many devices", metadata: ["bus": "\(information.path)"])
                return
            }
            devices.remove(at: oldest).forget()
        }
        let device = make(id, information, source)
        devices.append(device)
        device.arrived(information, from: source, matches)
    }

    private func make(_ id: String, _ information: USBDeviceInformation, _ source: any DeviceSource) -> Device {
        let crashes = crashes
        return Device(
            id: id, information: information, source: source,
            dependencies: DriverFunction.Dependencies(
                configuration: configuration, sandboxes: sandboxes, logger: logger, standbys: standbys, successionStore: successionStore,
                objects: objects,
                announce: { [weak self] function, event, message, saying in
                    function.logger.log(
                        level: event == DriverFunction.saying ? .debug : .info, "\(message)", metadata: ["event": "\(event)"])
                    self?.tellListeners(device: function.id, event: event, message: message, saying: saying)
                },
                reportCrash: { crashes.take($0) }, takes: { [weak self] function in self?.takes(function) ?? false },
                absence: { [weak self] subject in self?.catalog.absence(of: subject) ?? "" }, chance: chance))
    }

    // MARK: What an earlier supervisor left

    private func resume() {
        guard let successionStore else { return configuration.inherited.forEach { SuccessionStore.discard($0.descriptor) } }
        for inherited in successionStore.takeInherited() {
            let stored = inherited.stored
            let information = stored.information
            let source = origins.first { $0.source.recognises(inherited.file, as: information) }?.source
            let match = catalog.functions(of: information).first { match in
                match.bundle.manifest.id == stored.driver
                    && match.function.firstInterface == stored.function ?? match.function.firstInterface
                    && match.bundle.manifest.grant(for: match.subject, function: match.function).streaming == stored.interfaces
            }
            guard let source, let match, mayResume(match, information, source) else {
                logger.notice(
                    "a device's streams start over: it is a different device, or belongs to another user now",
                    metadata: ["bus": "\(information.path)"])
                successionStore.discard(inherited)
                continue
            }
            let id = identity.id(of: information)
            let device = devices.first { $0.id == id } ?? make(id, information, source)
            if !devices.contains(where: { $0 === device }) { devices.append(device) }
            device.resume(inherited, match, successionStore)
        }
        successionStore.removeUnused()
        objects.adopt(successionStore.takeInheritedObjects())
    }

    /// It may be taken from the kernel's drivers still, or never was.
    private func mayResume(_ match: FunctionMatch, _ information: USBDeviceInformation, _ source: any DeviceSource) -> Bool {
        let id = identity.id(of: information)
        return policy.takes("\(id)/\(match.function.firstInterface)", device: id, match.subject)
            || !source.hasTaken(information, function: match.function)
    }

    // MARK: What is kept

    private var identityPath: String { configuration.stateDirectory + "/ambiguous-serials.json" }

    private func readIdentities() {
        guard access(identityPath, F_OK) == 0 else { return }
        do {
            let bytes = try StateFile.read(identityPath, maximumBytes: 256 << 10)
            identity = DeviceIdentity(ambiguous: try JSON.decode(Set<String>.self, from: bytes))
        } catch {
            logger.warning("the serial numbers that are not unique can't be read", metadata: ["error": "\(error)"])
        }
    }

    private func writeIdentities() {
        do {
            try StateFile.write(try JSON.encode(identity.ambiguous.sorted()), to: identityPath)
        } catch {
            logger.warning("the serial numbers that are not unique can't be saved", metadata: ["error": "\(error)"])
        }
    }

    private func takeLock() throws(SupervisorError) {
        let path = configuration.runtimeDirectory + "/" + SupervisorConfiguration.lockName
        guard let file = OwnedDescriptor(opened: open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)) else {
            throw SupervisorError(description: "\(path) can't be opened: \(String(cString: strerror(errno)))")
        }
        guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            throw SupervisorError(
                description: number == EWOULDBLOCK
                    ? "Another userdriverd already serves \(configuration.runtimeDirectory)."
                    : "\(path) can't be locked: \(String(cString: strerror(number)))")
        }
        lock = consume file
    }

    private func releaseLock() { lock = nil }
}

/// Counts down to the end of the last driver.
@SupervisorActor
private final class Ending {
    private var left: Int
    private var waiter: CheckedContinuation<Void, Never>?
    private let limit = ReactorTimer()

    init(_ count: Int) { left = count }

    func one() {
        left -= 1
        if left <= 0 { finish() }
    }

    func wait(atMost time: Duration) async {
        guard left > 0 else { return }
        await withCheckedContinuation { continuation in
            waiter = continuation
            limit.set(after: time) { [weak self] in self?.finish() }
        }
    }

    private func finish() {
        limit.lift()
        waiter?.resume()
        waiter = nil
    }
}
