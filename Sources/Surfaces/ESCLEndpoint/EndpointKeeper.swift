// Which devices have an endpoint: what the daemon says, turned into listeners that stay.

import HTTPServer
import IPPUSB
import ScannerClient
public import UserDriverClient
import Wire

/// Keeps an endpoint for each device that was seen, for as long as the process lives: one that is
/// unplugged is at the same address when it comes back.
public actor EndpointKeeper {
    /// One of what a device is.
    private struct Service {
        /// `escl`, `ipp` or `socket`, for the daemon.
        let kind: String
        let url: String
        let announcement: Announcement?
        /// Tells the daemon, as long as the device is there.
        var offer: Task<Void, Never>?
    }

    private struct Kept {
        let endpoint: ScannerEndpoint
        let port: UInt16
        /// What the device calls itself, and its name among its likes.
        let title: String
        let name: String
        var services: [Service] = []
        /// Whether it prints is known, or being asked.
        var isPrinterKnown = false
        /// How often it was asked in vain.
        var questions = 0
    }

    private let client: UserDriverClient
    private let setting: EndpointSetting
    private let basePort: UInt16
    private let socketFolder: String?
    private let announce: @Sendable (String) -> Void
    private let announcer: Announcer?
    private var kept: [String: Kept] = [:]
    /// Asked for again at this time.
    private var notBefore: [String: ContinuousClock.Instant] = [:]
    private var isLooking = false
    private var isToLookAgain = false
    private static let mostEndpoints = 32
    private static let mostQuestions = 20

    /// - Parameters:
    ///   - stateFile: where ports and jobs are kept.
    ///   - basePort: the first of the ports that scanners get.
    ///   - socketFolder: where each device gets a UNIX socket too, `PORT.sock`; `nil`: none does.
    ///   - announcer: has the scanners that are there announced by DNS-SD; `nil`: nobody does.
    ///   - announce: is told each new endpoint's line: its URL, the device's id, its name.
    public init(
        client: UserDriverClient, stateFile: String, basePort: UInt16, socketFolder: String? = nil, announcer: Announcer? = nil,
        log: @escaping @Sendable (String) -> Void, announce: @escaping @Sendable (String) -> Void
    ) {
        self.client = client
        self.basePort = basePort
        self.socketFolder = socketFolder
        self.announce = announce
        self.announcer = announcer
        let folder = client.runtimeDirectory
        setting = EndpointSetting(
            callers: Callers(folder: folder.path, socket: folder.socketPath), book: EndpointBook(stateFile, log: log), log: log)
    }

    /// Until the task is cancelled.
    public func run() async {
        // What changes by time alone.
        let clock = Task { [weak self] in
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(5))
                await self?.pass()
            }
        }
        defer { clock.cancel() }
        await client.follow(ignoring: ["endpoint"], log: setting.log) { [weak self] in await self?.look() }
    }

    private func pass() async {
        for entry in kept.values { await entry.endpoint.tidy() }
        if !notBefore.isEmpty || kept.values.contains(where: { !$0.isPrinterKnown }) { await look() }
    }

    /// One look at a time: what happens meanwhile is seen by the next.
    private func look() async {
        guard !isLooking else {
            isToLookAgain = true
            return
        }
        isLooking = true
        repeat {
            isToLookAgain = false
            await lookOnce()
        } while isToLookAgain
        isLooking = false
    }

    private func lookOnce() async {
        let devices: [DeviceStatus]
        do throws(ClientError) { devices = try await client.devices() } catch { return }
        for device in devices where device.kind == "scanner" {
            switch device.state {
            case .running:
                if kept[device.id] == nil { await make(device) }
                findPrinter(device.id)
                offer(device.id)
            // It comes back by itself.
            case .starting, .backoff: break
            case .absent, .failed, .unsupported, .kernel: withdraw(device.id)
            }
        }
    }

    // MARK: Endpoints

    private func make(_ device: DeviceStatus) async {
        let id = device.id
        if let time = notBefore[id], time > .now { return }
        guard kept.count < Self.mostEndpoints else {
            setting.log(
                "\(id) has no endpoint: this service has had \(Self.mostEndpoints) devices since it started, its limit. Restart it.")
            notBefore[id] = .now + .seconds(600)
            return
        }
        do {
            try await serve(id, device.name)
            notBefore[id] = nil
        } catch {
            if notBefore[id] == nil { setting.log("\(id) has no endpoint yet: \(error)") }
            notBefore[id] = .now + .seconds(5)
        }
    }

    private func serve(_ id: String, _ deviceName: String) async throws {
        let scanner = Scanner(client: client, deviceID: id)
        let capabilities = try await DeviceHalves.scanner(scanner)
        // One that scans is served before it has said whether it prints: in the middle of a scan that may
        // take a while.
        let attributes = capabilities == nil ? try await DeviceHalves.printer(printer(id)) : nil
        guard capabilities != nil || attributes != nil else {
            throw ClientError(.deviceError, "The device describes neither how it scans nor how it prints.")
        }
        let endpoint = ScannerEndpoint(scanner, capabilities, identity: EndpointIdentity.text(of: id), setting: setting)
        // Nobody is told meanwhile that there is no such job.
        try await endpoint.resume(setting.book.jobs)
        let server = Self.server(endpoint)
        let port = try listen(server, deviceID: id)
        setting.book.keep(port, of: id)
        let title = capabilities.map { Announcement.base($0) } ?? attributes.map { Announcement.base($0) } ?? deviceName
        let name = setting.book.name(of: id, from: Announcement.names(title))
        kept[id] = Kept(endpoint: endpoint, port: port, title: capabilities?.name ?? title, name: name)
        if let capabilities {
            let announcement = Announcement(capabilities, identity: EndpointIdentity.text(of: id), port: port, name: name)
            add(Service(kind: "escl", url: "http://127.0.0.1:\(port)/eSCL/", announcement: announcement), to: id)
        }
        if let attributes { addPrinter(attributes, to: id) }
        addSocket(server, port, to: id)
    }

    private func printer(_ id: String) -> Printer { Printer(client: client, deviceID: id) }

    private func add(_ service: Service, to id: String) {
        guard let entry = kept[id] else { return }
        kept[id]?.services.append(service)
        announce("\(service.url) \(id) \(entry.title)")
    }

    private func addPrinter(_ attributes: IPPResponse, to id: String) {
        guard let entry = kept[id] else { return }
        kept[id]?.isPrinterKnown = true
        entry.endpoint.prints(printer(id))
        let announcement = Announcement(
            attributes, identity: EndpointIdentity.text(of: id), port: entry.port, name: entry.name)
        add(
            Service(kind: "ipp", url: "ipp://127.0.0.1:\(entry.port)\(ScannerEndpoint.printing)print", announcement: announcement),
            to: id)
    }

    /// Asked again, with the next look, where it does not say.
    private func findPrinter(_ id: String) {
        guard let entry = kept[id], !entry.isPrinterKnown else { return }
        kept[id]?.isPrinterKnown = true
        Task {
            do {
                guard let attributes = try await DeviceHalves.printer(printer(id)) else { return }
                addPrinter(attributes, to: id)
                await look()
            } catch {
                // One that never says is not asked for ever.
                kept[id]?.questions += 1
                kept[id]?.isPrinterKnown = entry.questions + 1 >= Self.mostQuestions
            }
        }
    }

    private static func server(_ endpoint: ScannerEndpoint) -> HTTPServer {
        var limits = HTTPServer.Limits()
        (limits.connections, limits.connectionsOfOneAddress, limits.silence) = (64, 64, 20)
        return HTTPServer(site: endpoint, limits: limits)
    }

    /// Beside its port, under its number.
    private func addSocket(_ server: HTTPServer, _ port: UInt16, to id: String) {
        guard let socketFolder else { return }
        let path = "\(socketFolder)/\(port).sock"
        do {
            try server.listen(path: path)
            add(Service(kind: "socket", url: "unix:\(path)", announcement: nil), to: id)
        } catch { setting.log("\(id) has no socket: \(error)") }
    }

    /// The port that it had; else the one that its id leads to, or the next one that is free.
    private func listen(_ server: HTTPServer, deviceID: String) throws -> UInt16 {
        let taken = setting.book.taken(besides: deviceID)
        let usual = EndpointIdentity.ports(of: deviceID, base: basePort).filter { !taken.contains($0) }
        var failure: (any Error)?
        for port in (setting.book.port(of: deviceID).map { [$0] } ?? []) + usual {
            do { return try server.listen(address: "127.0.0.1", port: port) } catch { failure = failure ?? error }
        }
        do { return try server.listen(address: "127.0.0.1", port: 0) } catch { throw failure ?? error }
    }

    /// The daemon and Avahi tell of it for as long as this lasts.
    private func offer(_ id: String) {
        for (index, service) in (kept[id]?.services ?? []).enumerated() where service.offer == nil {
            if let announcement = service.announcement { announcer?.announce(announcement) }
            kept[id]?.services[index].offer = Task { [client, setting] in await Self.offer(service, of: id, client, setting) }
        }
    }

    private static func offer(_ service: Service, of id: String, _ client: UserDriverClient, _ setting: EndpointSetting) async {
        var said: ClientError.Code?
        while !Task.isCancelled {
            let call = client.replies(
                to: "\(ManagementInterface.name).Offer", device: id, ["kind": .string(service.kind), "url": .string(service.url)])
            do { for try await _ in call { said = nil } } catch let error as ClientError {
                if said != error.code, !error.isTransient { setting.log("The daemon can't be told about \(service.url): \(error)") }
                said = error.code
            } catch {}  // Cancelled: the device is away.
            await client.waitBeforeRetry()
        }
    }

    private func withdraw(_ id: String) {
        for (index, service) in (kept[id]?.services ?? []).enumerated() where service.offer != nil {
            if let announcement = service.announcement { announcer?.withdraw(announcement.key) }
            service.offer?.cancel()
            kept[id]?.services[index].offer = nil
        }
    }
}
