// Which cameras have nodes: what the daemon says, turned into nodes that come and go, for as long as PipeWire runs.

import CLinux
import Glibc
import Threads
public import UserDriverClient
import Wire

/// Keeps a camera's nodes, for as long as the camera is there, and a while longer.
public actor NodeKeeper {
    /// One camera.
    private struct Kept {
        var facts: CameraFacts?
        var controls: ControlBoard
        var nodes: [CameraNode] = []
        /// When it was last seen to be there: CLOCK_MONOTONIC ns.
        var lastSeen: UInt64
        /// Which incarnation of it the facts are of.
        var factsOf: UInt64?
        var failures = 0
        /// Asked for again at this time.
        var notBefore: UInt64 = 0
        var isBeingAsked = false
        /// It was asked what it is, and its controls did not answer: how often, and when they are asked again.
        var lacksControls = false
        var vainQuestions = 0
        var askAgain: UInt64 = 0
        /// Who was last said to see its pictures, and the call that says so.
        var viewers: [DeviceStatus.Watcher] = []
        var telling: Task<Void, Never>?
        /// Programs that a person has cut off.
        var revoked: Set<Int32> = []

        var isStreaming: Bool { nodes.contains(where: \.isStreaming) }
    }

    private let client: UserDriverClient
    private let remote: String?
    private let log: @Sendable (String) -> Void
    private var connection: PipeWireConnection?
    private var kept: [String: Kept] = [:]
    /// A camera that is unplugged has its nodes for so long, and as long as a program streams from them.
    private let grace: UInt64
    private static let longestPause = Duration.seconds(2)

    /// - Parameter remote: the name of PipeWire's socket, or its path; `nil` for the usual one.
    public init(
        client: UserDriverClient, remote: String?, grace: Duration = .seconds(30), log: @escaping @Sendable (String) -> Void
    ) {
        self.client = client
        self.remote = remote
        self.grace = grace.nanoseconds
        self.log = log
    }

    /// Until the task is cancelled, or PipeWire can't be had in this program at all.
    public func run() async throws(PipeWireFailure) {
        let news = Task { [weak self] in await self?.hear() }
        let clock = Task { [weak self] in
            // What changes by time alone.
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(5))
                await self?.look()
            }
        }
        defer {
            news.cancel()
            clock.cancel()
        }
        var isMissing = false
        var pause = Duration.milliseconds(100)
        while !Task.isCancelled {
            do throws(PipeWireFailure) {
                let remote = remote
                let changed: @Sendable () -> Void = { [weak self] in Task { await self?.lookAtViewers() } }
                let connection = try await blocking("pipewire") { () throws(PipeWireFailure) in
                    try PipeWireConnection(remote: remote, changed: changed)
                }
                if isMissing { log("PipeWire is running.") }
                (isMissing, pause) = (false, .milliseconds(100))
                await serve(connection)
                log("PipeWire is gone.")
            } catch {
                if error.number == ENOSYS { throw error }
                if !isMissing { log(error.description) }
                isMissing = true
            }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// Until PipeWire hangs up.
    private func serve(_ connection: PipeWireConnection) async {
        self.connection = connection
        await look()
        await connection.waitUntilLost()
        self.connection = nil
        for id in kept.keys { endNodes(of: id) }
        lookAtViewers()
        await blocking("pipewire") { connection.close() }
    }

    private func hear() async {
        await client.follow(ignoring: ["viewers"], log: log) { [weak self] in await self?.look() }
    }

    private func look() async {
        let devices: [DeviceStatus]
        do throws(ClientError) { devices = try await client.devices() } catch { return tidy() }
        for device in devices {
            switch device.state {
            case .kernel, .unsupported:
                // It is somebody else's now.
                remove(device.id)
            case .absent: break
            case .starting, .backoff, .failed:
                // It is there; what it can do was learned, or will be.
                kept[device.id]?.lastSeen = clinux_monotonic_ns()
            case .running:
                if kept[device.id] == nil {
                    let (log, id) = (log, device.id)
                    kept[id] = Kept(controls: ControlBoard(client.camera(id)) { log("\(id): \($0)") }, lastSeen: 0)
                }
                kept[device.id]?.lastSeen = clinux_monotonic_ns()
                await learn(device)
            }
            settle(device.id)
        }
        tidy()
    }

    /// Nodes of cameras that are gone for good, or too long.
    private func tidy() {
        let now = clinux_monotonic_ns()
        for (id, entry) in kept where now - entry.lastSeen > grace && !entry.isStreaming && !entry.isBeingAsked {
            if !entry.nodes.isEmpty { log("\(id) is gone, and so are its nodes.") }
            remove(id)
        }
    }

    private func remove(_ id: String) {
        endNodes(of: id)
        kept[id]?.telling?.cancel()
        kept[id] = nil
    }

    private func endNodes(of id: String) {
        guard let nodes = kept[id]?.nodes else { return }
        kept[id]?.nodes = []
        for node in nodes { node.end() }
    }

    // MARK: - Who watches

    /// Tells the daemon who sees the cameras' pictures, and cuts off who may not.
    private func lookAtViewers() {
        for (id, entry) in kept {
            // A number that is free again is another program's next time.
            let revoked = entry.revoked.filter { kill($0, 0) == 0 || errno != ESRCH }
            kept[id]?.revoked = revoked
            var seen: [DeviceStatus.Watcher] = []
            for node in entry.nodes {
                for (theirs, viewer) in node.viewers {
                    if revoked.contains(viewer.pid) {
                        node.expel(theirs)
                    } else if !seen.contains(viewer) {
                        seen.append(viewer)
                    }
                }
            }
            guard seen != entry.viewers else { continue }
            kept[id]?.viewers = seen
            entry.telling?.cancel()
            kept[id]?.telling = seen.isEmpty ? nil : Task { [weak self] in await self?.tell(id, seen) }
        }
    }

    /// Until the task is cancelled: the daemon believes it for as long as the call lasts.
    private func tell(_ id: String, _ viewers: [DeviceStatus.Watcher]) async {
        let list: [JSONValue] = viewers.map { ["pid": .int(Int64($0.pid)), "uid": .int(Int64($0.uid)), "program": .string($0.program)] }
        while !Task.isCancelled {
            let call = client.replies(to: "\(ManagementInterface.name).Show", device: id, ["viewers": .array(list)])
            do {
                for try await reply in call {
                    if let process = reply.parameters["revoked"]?.intValue { revoke(id, Int32(clamping: process)) }
                }
            } catch {}  // The daemon is away, or of a version that does not ask.
            await client.waitBeforeRetry()
        }
    }

    private func revoke(_ id: String, _ process: Int32) {
        log("\(id): process \(process) is cut off.")
        kept[id]?.revoked.insert(process)
        lookAtViewers()
    }

    // MARK: - What cameras are

    /// Asks the camera what it is, once for each time that it comes.
    private func learn(_ device: DeviceStatus) async {
        let id = device.id
        guard let entry = kept[id], !entry.isBeingAsked, max(entry.notBefore, entry.askAgain) <= clinux_monotonic_ns() else { return }
        if entry.facts != nil, entry.factsOf == device.drivenSince { return }
        kept[id]?.isBeingAsked = true
        let facts = await facts(of: device, isFirst: entry.failures == 0)
        kept[id]?.isBeingAsked = false
        guard let facts else {
            let failures = entry.failures + 1
            kept[id]?.failures = failures
            kept[id]?.notBefore = clinux_monotonic_ns() + 5_000_000_000 << UInt64(min(failures, 6))
            return
        }
        kept[id]?.failures = 0
        let lacksControls = kept[id]?.lacksControls == true
        kept[id]?.vainQuestions = lacksControls ? entry.vainQuestions + 1 : 0
        kept[id]?.askAgain = lacksControls ? clinux_monotonic_ns() + 5_000_000_000 << UInt64(min(entry.vainQuestions, 6)) : 0
        // Programs that stream keep what they have; the nodes are others once they have ended.
        guard let now = kept[id], now.facts == facts || !now.isStreaming else { return }
        if !lacksControls { kept[id]?.factsOf = device.drivenSince }
        if now.facts != facts {
            endNodes(of: id)
            kept[id]?.facts = facts
        }
    }

    private func facts(of device: DeviceStatus, isFirst: Bool) async -> CameraFacts? {
        let camera = client.camera(device.id)
        do throws(ClientError) {
            let plan = NodePlan(try await camera.formats())
            guard !plan.isEmpty else {
                if isFirst { log("\(device.id) has no format that a node can show.") }
                return nil
            }
            let controls = await controls(of: camera)
            kept[device.id]?.lacksControls = controls == nil
            if let controls { kept[device.id]?.controls.learn(controls) }
            return CameraFacts(
                id: device.id, name: device.name.isEmpty ? device.id : device.name, vendor: device.vendorId, product: device.productId,
                plan: plan)
        } catch {
            if error.code != .notSupported, isFirst { log("\(device.id): \(error.message)") }
            return nil
        }
    }

    /// A camera whose controls do not answer has pictures all the same, and is asked again.
    private func controls(of camera: Camera) async -> [CameraControl]? {
        do throws(ClientError) { return try await camera.controls() } catch { return error.code == .notSupported ? [] : nil }
    }

    /// The nodes that there should be.
    private func settle(_ id: String) {
        guard let connection, let entry = kept[id], let facts = entry.facts else { return }
        if entry.nodes.contains(where: { $0.failure != nil }) { endNodes(of: id) }
        guard kept[id]?.nodes.isEmpty == true, entry.notBefore <= clinux_monotonic_ns() else { return }
        let log = log
        var nodes: [CameraNode] = []
        do throws(PipeWireFailure) {
            for kind in NodeKind.allCases where !facts.plan[kind].isEmpty {
                nodes.append(
                    try CameraNode(kind, of: facts, camera: client.camera(id), controls: entry.controls, on: connection) {
                        log("\(id): \($0)")
                    })
            }
            kept[id]?.nodes = nodes
        } catch {
            log("\(id): \(error)")
            for node in nodes { node.end() }
            kept[id]?.notBefore = clinux_monotonic_ns() + 5_000_000_000
        }
    }
}
