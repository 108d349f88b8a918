// Which cameras have nodes, and how many: what the daemon says, turned into nodes that come and go.

import CLinux
import Threads
public import USB
import USBEmulation
public import UserDriverClient
import Wire

/// Keeps a node for each camera that should have one, for as long as the camera is there, and a while longer.
public actor NodeKeeper {
    /// One camera's nodes.
    private struct Kept {
        var nodes: [Node] = []
        var facts: NodeFacts?
        /// When it was last seen to be there: CLOCK_MONOTONIC ns.
        var lastSeen: UInt64
        /// Which incarnation of it the facts are of.
        var factsOf: UInt64?
        var failures = 0
        /// Asked for again at this time.
        var notBefore: UInt64 = 0
        var isBeingMade = false
        /// Some controls did not answer, or were not come to: how often, and when they are asked again.
        var vainQuestions = 0
        var askAgain: UInt64 = 0
    }

    private struct Node {
        var device: VideoNode
        var connection: EmulatedConnection
    }

    private let client: UserDriverClient
    private let sockets: any NodeSockets
    private let speed: USBSpeed?
    private let log: @Sendable (String) -> Void
    private var kept: [String: Kept] = [:]
    /// A camera that is unplugged has its node for so long, and as long as a program streams from it.
    private let grace: UInt64
    static let mostNodesOfACamera = 4

    public init(
        client: UserDriverClient, sockets: any NodeSockets, speed: USBSpeed? = nil, grace: Duration = .seconds(30),
        log: @escaping @Sendable (String) -> Void
    ) {
        self.client = client
        self.sockets = sockets
        self.speed = speed
        self.grace = UInt64(max(0, grace.components.seconds)) * 1_000_000_000
        self.log = log
    }

    /// Until the task is cancelled.
    public func run() async {
        // What changes by time alone.
        let clock = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(5))
                await self?.look()
            }
        }
        let ear = Task { [weak self] in await self?.listen() }
        defer {
            clock.cancel()
            ear.cancel()
        }
        await client.follow(log: log) { [weak self] in await self?.look() }
        for id in kept.keys { remove(id) }
    }

    /// What cameras say by themselves: over a connection of its own, since a button that is pressed waits for no camera that is being asked.
    private func listen() async {
        while !Task.isCancelled {
            do {
                for try await event in try await client.events() {
                    guard let said = event.camera, let nodes = kept[event.device]?.nodes else { continue }
                    for node in nodes { node.device.heard(said) }
                }
            } catch {}  // That there is no daemon the other connection says.
            await client.waitBeforeRetry()
        }
    }

    private func look() async {
        let devices: [DeviceStatus]
        do throws(ClientError) { devices = try await client.devices() } catch { return tidy([:]) }
        var wanted: [String: Int] = [:]
        for device in devices {
            switch device.state {
            case .kernel, .unsupported:
                // It is somebody else's now.
                if kept[device.id] != nil { remove(device.id) }
                continue
            case .absent:
                if kept[device.id] == nil { continue }
            case .starting, .backoff, .failed:
                // It is there; what it can do was learned, or will be.
                if kept[device.id] == nil { continue }
                kept[device.id]?.lastSeen = clinux_monotonic_ns()
            case .running:
                kept[device.id, default: Kept(lastSeen: 0)].lastSeen = clinux_monotonic_ns()
            }
            let count = min(max(0, device.nodes ?? 1), Self.mostNodesOfACamera)
            wanted[device.id] = count
            if device.state == .running, count > 0 { await learn(device) }
            await settle(device.id, count: count)
        }
        tidy(wanted)
    }

    /// Nodes of cameras that are gone for good, or too long.
    private func tidy(_ wanted: [String: Int]) {
        let now = clinux_monotonic_ns()
        for (id, entry) in kept where now - entry.lastSeen > grace {
            guard !entry.nodes.contains(where: \.device.isStreaming), !entry.isBeingMade else { continue }
            if !entry.nodes.isEmpty { log("\(id) is gone, and so is its node.") }
            remove(id)
        }
    }

    private func remove(_ id: String) {
        guard let entry = kept.removeValue(forKey: id) else { return }
        for node in entry.nodes { node.connection.end() }
    }

    /// Asks the camera what it is, once for each time that it comes.
    private func learn(_ device: DeviceStatus) async {
        let id = device.id
        guard var entry = kept[id], !entry.isBeingMade, max(entry.notBefore, entry.askAgain) <= clinux_monotonic_ns() else { return }
        if entry.facts != nil, entry.factsOf == device.drivenSince { return }
        kept[id]?.isBeingMade = true
        let camera = client.camera(id)
        var facts: NodeFacts?
        var lacksControls = false
        do throws(ClientError) {
            let formats = NodeFormats(try await camera.formats())
            if formats.formats.isEmpty {
                log("\(id) has no format that a node can show.")
            } else {
                let offered = try await camera.controls()
                lacksControls = offered.contains { ["silent", "unread"].contains($0.problem) }
                let controls = NodeControls(offered)
                facts = NodeFacts(
                    name: device.name, serial: NodeSerial.text(camera: id, index: 1), formats: formats, controls: controls,
                    hasButton: try await camera.hasButton(), speed: speed)
            }
        } catch {
            if ![.notSupported].contains(error.code), entry.failures == 0 { log("\(id): \(error.message)") }
        }
        entry = kept[id] ?? entry
        entry.isBeingMade = false
        if let facts {
            entry.failures = 0
            entry.vainQuestions = lacksControls ? entry.vainQuestions + 1 : 0
            entry.askAgain = lacksControls ? clinux_monotonic_ns() + 5_000_000_000 << UInt64(min(entry.vainQuestions, 6)) : 0
            if let old = entry.facts,
                old.formats != facts.formats || !old.controls.cover(facts.controls) || old.name != facts.name
                    || old.hasButton != facts.hasButton
            {
                entry.factsOf = device.drivenSince
                // Programs that stream keep what they have; the node is another one once they have ended.
                if entry.nodes.contains(where: \.device.isStreaming) {
                    entry.factsOf = nil
                } else {
                    for node in entry.nodes { node.connection.end() }
                    entry.nodes = []
                    entry.facts = facts
                }
            } else {
                entry.factsOf = device.drivenSince
                if entry.facts == nil { entry.facts = facts }
            }
            if lacksControls { entry.factsOf = nil }
        } else {
            entry.failures += 1
            entry.notBefore = clinux_monotonic_ns() + 5_000_000_000 << UInt64(min(entry.failures, 6))
        }
        if kept[id] != nil { kept[id] = entry }
    }

    /// As many nodes as there should be.
    private func settle(_ id: String, count: Int) async {
        guard var entry = kept[id], !entry.isBeingMade else { return }
        entry.nodes.removeAll(where: \.connection.hasEnded)
        while entry.nodes.count > count {
            let last = entry.nodes.removeLast()
            last.connection.end()
        }
        kept[id] = entry
        guard let facts = entry.facts, entry.nodes.count < count, entry.notBefore <= clinux_monotonic_ns() else { return }
        kept[id]?.isBeingMade = true
        var made: [Node] = []
        for index in entry.nodes.count..<count {
            var own = facts
            own.serial = NodeSerial.text(camera: id, index: index + 1)
            if index > 0 { own.name += " (\(index + 1))" }
            guard let node = await make(own, id) else {
                kept[id]?.notBefore = clinux_monotonic_ns() + 5_000_000_000
                break
            }
            made.append(node)
        }
        guard kept[id] != nil else {
            for node in made { node.connection.end() }
            return
        }
        kept[id]?.isBeingMade = false
        kept[id]?.nodes += made
    }

    private func make(_ facts: NodeFacts, _ id: String) async -> Node? {
        let (sockets, speed, log) = (sockets, facts.speed, log)
        let device = VideoNode(facts, of: client.camera(id)) { log("\(id): \($0)") }
        let socket: Int32
        do throws(AttachRefusal) {
            socket = try await blocking("attach") { () throws(AttachRefusal) in try sockets.attach(speed) }
        } catch {
            log("\(id) gets no /dev/videoN: \(error).")
            return nil
        }
        do {
            return Node(device: device, connection: try EmulatedConnection(device: device, socket: socket, name: id))
        } catch {
            log("\(id) gets no /dev/videoN: \(error)")
            return nil
        }
    }
}
