// One of a camera's nodes: what PipeWire says of it, and the reader that runs while it is in use.

import CPipeWire
import Synchronization
import UserDriverClient
import Wire

/// Which of a camera's nodes.
enum NodeKind: CaseIterable, Sendable {
    /// *The* camera.
    case raw
    /// Its JPEGs as they are, for programs that know what they want.
    case jpeg
    /// The same of its H.264.
    case h264
}

final class CameraNode: @unchecked Sendable {
    // Sendable: `node` is used with PipeWire's lock held, and is gone when `end` has returned.
    private struct State {
        var choice: (offer: NodeOffer, rate: NodeRate)?
        var isStreaming = false
        var reader: PictureReader?
        /// The reader before, which may still be letting go of the camera.
        var last: PictureReader?
        var failure: String?
    }

    private let connection: PipeWireConnection
    private let camera: Camera
    private let offers: [NodeOffer]
    private let controls: ControlBoard
    private let log: @Sendable (String) -> Void
    private let state = Mutex(State())
    /// Guarded by PipeWire's lock.
    private var node: OpaquePointer?

    /// Throws where PipeWire does not take it.
    init(
        _ kind: NodeKind, of facts: CameraFacts, camera: Camera, controls: ControlBoard, on connection: PipeWireConnection,
        log: @escaping @Sendable (String) -> Void
    ) throws(PipeWireFailure) {
        self.connection = connection
        self.camera = camera
        self.controls = controls
        self.log = log
        offers = facts.plan[kind]
        let status = connection.withLock { make(facts.properties(of: kind), facts.description(of: kind), on: $0) } ?? -1
        guard status == 0 else {
            throw PipeWireFailure(description: "PipeWire does not accept its node (error \(-status)).", number: -status)
        }
        controls.join(self)
    }

    deinit { end() }

    private func make(_ properties: [(String, String)], _ name: String, on connection: OpaquePointer) -> Int32 {
        let memory = CMemory()
        let pairs = properties.map { cpipewire_property(key: memory.string($0.0), value: memory.string($0.1)) }
        let rates = offers.map { offer in
            memory.array(offer.rates.map { cpipewire_rate(numerator: $0.numerator, denominator: $0.denominator) })
        }
        let list = zip(offers, rates).map { offer, rates in
            cpipewire_offer(
                pixels: offer.pixels, width: UInt32(offer.width), height: UInt32(offer.height), rates: rates,
                rate_count: UInt32(offer.rates.count))
        }
        var events = Self.events
        return cpipewire_node_make(
            connection, name, pairs, UInt32(pairs.count), list, UInt32(list.count), &events, Unmanaged.passUnretained(self).toOpaque(),
            &node)
    }

    /// Nothing is called back any more afterwards.
    func end() {
        controls.leave(self)
        _ = connection.withLock { _ in
            if let node { cpipewire_node_end(node) }
            node = nil
        }
        let reader = state.withLock { state in
            state.isStreaming = false
            defer { state.reader = nil }
            return state.reader
        }
        reader?.stop()
    }

    var isStreaming: Bool { state.withLock { $0.isStreaming } }
    /// Why it is of no use any more.
    var failure: String? { state.withLock { $0.failure } }

    /// Programs that see its pictures, and by which node of theirs.
    var viewers: [(node: UInt32, viewer: DeviceStatus.Watcher)] {
        connection.withLock { connection in
            guard let node else { return [] }
            var list = [cpipewire_viewer](repeating: cpipewire_viewer(), count: Self.mostViewers)
            let count = Int(cpipewire_viewers(connection, node, &list, UInt32(list.count)))
            return list[..<count].filter { $0.process > 0 }.map { viewer in
                let program = String(String(cString: viewer.program).prefix(16))
                return (viewer.node, DeviceStatus.Watcher(pid: viewer.process, uid: viewer.user, program: program))
            }
        } ?? []
    }

    private static let mostViewers = 64

    /// Ends a program's node.
    func expel(_ node: UInt32) { _ = connection.withLock { cpipewire_expel($0, node) } }

    func show(_ controls: [CameraControl]) {
        let memory = CMemory()
        let list = controls.map { NodeControl($0).described(in: memory) }
        _ = connection.withLock { _ in node.map { cpipewire_node_controls($0, list, UInt32(list.count)) } }
    }

    // MARK: - What PipeWire says

    private static func of(_ context: UnsafeMutableRawPointer?) -> CameraNode {
        // The node is ended before the object goes.
        Unmanaged<CameraNode>.fromOpaque(context!).takeUnretainedValue()
    }

    private static var events: cpipewire_node_events {
        cpipewire_node_events(
            state: { context, state, error in
                CameraNode.of(context).hear(state, error.map { String(cString: $0) })
            },
            choose: { context, choice, layout in
                CameraNode.of(context).choose(choice?.pointee, &layout!.pointee)
            },
            set: { context, name, value in
                guard let name else { return }
                CameraNode.of(context).controls.set(String(cString: name), to: value)
            },
            fill: { context, memory, capacity, picture in
                guard let memory, let picture else { return false }
                let node = CameraNode.of(context)
                guard let reader = node.state.withLock({ $0.reader }) else { return false }
                return reader.fill(UnsafeMutableRawBufferPointer(start: memory, count: capacity), &picture.pointee)
            },
            done: { context in
                CameraNode.of(context).state.withLock { $0.reader }?.done()
            })
    }

    private func hear(_ news: cpipewire_state, _ error: String?) {
        if news == CPIPEWIRE_FAILED {
            log("PipeWire reports about its node: \(error ?? "it has failed").")
            state.withLock { $0.failure = error ?? "" }
        }
        state.withLock { $0.isStreaming = news == CPIPEWIRE_STREAMING }
        settle()
    }

    private func choose(_ choice: cpipewire_choice?, _ layout: inout cpipewire_layout) -> Bool {
        guard let choice else {
            state.withLock { $0.choice = nil }
            settle()
            return true
        }
        guard
            let offer = offers.first(where: {
                $0.pixels == choice.pixels && $0.width == Int(choice.width) && $0.height == Int(choice.height)
            }), let rate = offer.rate(numerator: choice.rate.numerator, denominator: choice.rate.denominator)
        else { return false }
        state.withLock { $0.choice = (offer, rate) }
        layout = cpipewire_layout(byte_count: UInt32(offer.byteCount), stride: UInt32(offer.stride), buffers: UInt32(offer.buffers))
        settle()
        return true
    }

    /// The camera streams while somebody uses the node, in the form that was agreed on.
    private func settle() {
        let (old, new) = state.withLock { state -> (PictureReader?, PictureReader?) in
            let before = state.reader
            guard state.isStreaming, let choice = state.choice else {
                state.reader = nil
                return (before, nil)
            }
            if let before, before.offer == choice.offer, before.rate == choice.rate { return (nil, nil) }
            let reader = PictureReader(choice.offer, at: choice.rate, of: camera, ask: { [weak self] in self?.trigger() }, log: log)
            defer { state.last = reader }
            state.reader = reader
            return (before ?? state.last, reader)
        }
        old?.stop()
        new?.start(after: old)
    }

    private func trigger() { _ = connection.withLock { _ in node.map { cpipewire_node_trigger($0) } } }
}
