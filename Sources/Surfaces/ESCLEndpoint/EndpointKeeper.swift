// Which scanners have an endpoint: what the daemon says, turned into listeners that stay.

import HTTPServer
import ScannerClient
public import UserDriverClient
import Wire

/// Keeps an endpoint for each scanner that was seen, for as long as the process lives: a scanner
/// that is unplugged is at the same address when it comes back.
public actor EndpointKeeper {
    private struct Kept {
        let endpoint: ScannerEndpoint
        let url: String
        let announcement: Announcement
        /// Tells the daemon, as long as the scanner is there.
        var offer: Task<Void, Never>?
    }

    private let client: UserDriverClient
    private let setting: EndpointSetting
    private let basePort: UInt16
    private let announce: @Sendable (String) -> Void
    private let announcer: Announcer?
    private var kept: [String: Kept] = [:]
    /// Asked for again at this time.
    private var notBefore: [String: ContinuousClock.Instant] = [:]
    private var isLooking = false
    private var isToLookAgain = false
    private static let mostEndpoints = 32

    /// - Parameters:
    ///   - stateFile: where ports and jobs are kept.
    ///   - basePort: the first of the ports that scanners get.
    ///   - announcer: has the scanners that are there announced by DNS-SD; `nil`: nobody does.
    ///   - announce: is told each new endpoint's line: its URL, the device's id, its name.
    public init(
        client: UserDriverClient, stateFile: String, basePort: UInt16, announcer: Announcer? = nil,
        log: @escaping @Sendable (String) -> Void, announce: @escaping @Sendable (String) -> Void
    ) {
        self.client = client
        self.basePort = basePort
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
        if !notBefore.isEmpty { await look() }
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
        guard kept.count < Self.mostEndpoints else { return }
        let scanner = Scanner(client: client, deviceID: id)
        do {
            let capabilities = try await scanner.capabilities()
            let identity = EndpointIdentity.text(of: id)
            let endpoint = ScannerEndpoint(scanner, capabilities, identity: identity, setting: setting)
            // Nobody is told meanwhile that there is no such job.
            try await endpoint.resume(setting.book.jobs)
            let port = try listen(endpoint)
            setting.book.keep(port, of: id)
            let url = "http://127.0.0.1:\(port)/eSCL/"
            let name = setting.book.name(of: id, from: Announcement.names(Announcement.base(capabilities)))
            kept[id] = Kept(
                endpoint: endpoint, url: url, announcement: Announcement(capabilities, identity: identity, port: port, name: name))
            notBefore[id] = nil
            announce("\(url) \(id) \(capabilities.name)")
        } catch {
            if notBefore[id] == nil { setting.log("\(id) has no endpoint yet: \(error)") }
            notBefore[id] = .now + .seconds(5)
        }
    }

    /// The port that it had; else the one that its id leads to, or the next one that is free.
    private func listen(_ endpoint: ScannerEndpoint) throws -> UInt16 {
        var limits = HTTPServer.Limits()
        (limits.connections, limits.connectionsOfOneAddress, limits.silence) = (64, 64, 20)
        let server = HTTPServer(site: endpoint, limits: limits)
        let taken = setting.book.taken(besides: endpoint.deviceID)
        let usual = EndpointIdentity.ports(of: endpoint.deviceID, base: basePort).filter { !taken.contains($0) }
        var failure: (any Error)?
        for port in (setting.book.port(of: endpoint.deviceID).map { [$0] } ?? []) + usual {
            do { return try server.listen(address: "127.0.0.1", port: port) } catch { failure = failure ?? error }
        }
        do { return try server.listen(address: "127.0.0.1", port: 0) } catch { throw failure ?? error }
    }

    /// The daemon and Avahi tell of it for as long as this lasts.
    private func offer(_ id: String) {
        guard let entry = kept[id], entry.offer == nil else { return }
        announcer?.announce(entry.announcement)
        kept[id]?.offer = Task { [client, setting] in
            var said: ClientError.Code?
            while !Task.isCancelled {
                let call = client.replies(
                    to: "\(ManagementInterface.name).Offer", device: id, ["kind": "escl", "url": .string(entry.url)])
                do { for try await _ in call { said = nil } } catch let error as ClientError {
                    if said != error.code, !error.isTransient { setting.log("The daemon does not tell of \(entry.url): \(error)") }
                    said = error.code
                } catch {}  // Cancelled: the scanner is away.
                await client.waitBeforeRetry()
            }
        }
    }

    private func withdraw(_ id: String) {
        if let entry = kept[id], entry.offer != nil { announcer?.withdraw(entry.announcement.port) }
        kept[id]?.offer?.cancel()
        kept[id]?.offer = nil
    }
}
