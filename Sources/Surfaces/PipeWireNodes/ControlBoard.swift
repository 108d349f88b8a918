// A camera's controls, as both of its nodes show them: set through the daemon, one after the other.

import Synchronization
import UserDriverClient

final class ControlBoard: Sendable {
    private struct State {
        var controls: [CameraControl] = []
        var nodes: [Weak] = []
        /// What was asked for and is not done: of each control the newest value.
        var wanted: [(name: String, value: Int)] = []
        var isWorking = false
    }

    private struct Weak: @unchecked Sendable {
        // Sendable: the reference is only read, and so is the node behind it.
        weak var node: CameraNode?
    }

    private let camera: Camera
    private let state = Mutex(State())
    private let log: @Sendable (String) -> Void
    /// A program that turns a hundred knobs turns that many.
    private static let mostWanted = 64

    init(_ camera: Camera, log: @escaping @Sendable (String) -> Void) {
        self.camera = camera
        self.log = log
    }

    func join(_ node: CameraNode) {
        let controls = state.withLock { state in
            state.nodes.append(Weak(node: node))
            return state.controls
        }
        node.show(controls)
    }

    func leave(_ node: CameraNode) {
        state.withLock { $0.nodes.removeAll { $0.node == nil || $0.node === node } }
    }

    /// What the camera says.
    func learn(_ controls: [CameraControl]) {
        state.withLock { $0.controls = controls.filter(NodeControl.isShown) }
        publish()
    }

    private func publish() {
        let (controls, nodes) = state.withLock { ($0.controls, $0.nodes.compactMap(\.node)) }
        for node in nodes { node.show(controls) }
    }

    /// From any thread; waits for nothing. What can't be set stays as it was, and is shown so.
    func set(_ name: String, to value: Int64) {
        let begins = state.withLock { state -> Bool in
            guard state.controls.contains(where: { $0.name == name }) else { return false }
            state.wanted.removeAll { $0.name == name }
            guard state.wanted.count < Self.mostWanted else { return false }
            state.wanted.append((name, Int(value)))
            defer { state.isWorking = true }
            return !state.isWorking
        }
        if begins { Task { await self.work() } }
    }

    private func nextWanted() -> (name: String, value: Int)? {
        state.withLock { state in
            guard !state.wanted.isEmpty else {
                state.isWorking = false
                return nil
            }
            return state.wanted.removeFirst()
        }
    }

    private func work() async {
        while let (name, value) = nextWanted() {
            do throws(ClientError) {
                try await camera.setControl(name, to: value)
            } catch {
                log("\(name) was not set to \(value): \(error.message)")
            }
            await look()
        }
    }

    /// Asks the camera: what was set may have changed another.
    private func look() async {
        do throws(ClientError) { learn(try await camera.controls()) } catch { publish() }
    }
}
