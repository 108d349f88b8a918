// The camera in software that the kernel's uvcvideo makes a /dev/videoN of.

import CLinux
import Synchronization
import Threads
public import USB
public import USBEmulation
import UVC
public import UserDriverClient

/// A UVC camera whose descriptors this project writes, and whose pictures are a real camera's: bulk, one payload a frame.
///
/// The camera streams from COMMIT on, until the host has taken its transfers back. It may go meanwhile, with its driver or the daemon: the
/// host waits, and pictures go on when it is back.
public final class VideoNode: EmulatedDevice, @unchecked Sendable {
    // Sendable: all that changes is touched on the engine's thread only, but what is behind a mutex.

    public let facts: NodeFacts
    public let descriptors: EmulatedDescriptors
    private let camera: Camera
    private let log: @Sendable (String) -> Void
    private let signal = Mutex<(any EmulationSignal)?>(nil)
    private let streams = Atomic<Bool>(false)

    private var negotiation: NodeNegotiation
    private let desk: ControlDesk
    private var requestError: UInt8 = 0
    private var question: Question?
    private var stream: NodeStream?
    private var payload = NodePayload()
    private let status = Mutex(NodeStatus())

    /// A request that is not answered at once.
    private struct Question {
        var setup: ControlSetup
        var data: [UInt8]
        var deadline: UInt64
    }

    /// Below the five seconds that uvcvideo grants.
    private static let patience: UInt64 = 4_000_000_000

    /// - Parameter log: told in full sentences, from any thread.
    public init(_ facts: NodeFacts, of camera: Camera, log: @escaping @Sendable (String) -> Void = { _ in }) {
        self.facts = facts
        self.camera = camera
        self.log = log
        descriptors = NodeDescriptors(facts: facts).all
        negotiation = NodeNegotiation(facts.formats)
        let bell = Bell()
        desk = ControlDesk(camera, facts.controls) { bell.ring() }
        bell.node.withLock { $0.node = self }
    }

    /// Whether some program has it open and streams.
    public var isStreaming: Bool { streams.load(ordering: .acquiring) }

    /// Whether some program has it open and is told what the camera says by itself.
    var isHeard: Bool { status.withLock { $0.isAsked } }

    // MARK: The bus

    public func attached(now: UInt64, signal: any EmulationSignal) {
        self.signal.withLock { $0 = signal }
        negotiation = NodeNegotiation(facts.formats)
        requestError = 0
        question = nil
        status.withLock { $0.forget() }
    }

    public func detached() {
        stopStreaming()
        status.withLock { $0.forget() }
        signal.withLock { $0 = nil }
    }

    public func haltCleared(endpoint: EndpointAddress, now: UInt64) { if endpoint == NodeInterface.endpoint { stopStreaming() } }
    public func idled(endpoint: EndpointAddress, now: UInt64) {
        switch endpoint {
        case NodeInterface.endpoint: stopStreaming()
        case NodeInterface.status: status.withLock { $0.forget() }
        default: break
        }
    }
    public func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {
        if interface == NodeInterface.streaming { stopStreaming() }
    }

    fileprivate func hasAnswer() { signal.withLock { $0 }?.ready(endpoint: EndpointAddress(rawValue: 0)) }

    // MARK: Requests

    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        // Class requests to an interface, or to an entity of the control interface.
        guard setup.requestType & 0x7f == 0x21, let request = VideoRequest(rawValue: setup.request),
            (request == .setCur) == (setup.direction == .out), setup.value & 0xff == 0
        else { return refuse(RequestError.invalidRequest) }
        let selector = UInt8(setup.value >> 8)
        let entity = UInt8(setup.index >> 8)
        let answer: ControlAnswer =
            switch UInt8(setup.index & 0xff) {
            case NodeInterface.control where entity == NodeEntity.interface: interfaceControl(request, selector)
            case NodeInterface.control: entityControl(request, entity, selector, setup, data, now)
            case NodeInterface.streaming where entity == 0: streamingControl(request, selector, setup, data, now)
            default: refuse(RequestError.invalidUnit)
            }
        if case .data = answer, !(entity == 0 && selector == VideoSelector.requestErrorCode) { requestError = 0 }
        return answer
    }

    private func refuse(_ code: UInt8) -> ControlAnswer {
        requestError = code
        return .stall
    }

    private func interfaceControl(_ request: VideoRequest, _ selector: UInt8) -> ControlAnswer {
        guard selector == VideoSelector.requestErrorCode else { return refuse(RequestError.invalidControl) }
        switch request {
        case .getCur: return .data([requestError])
        case .getInfo: return .data([0x01])
        case .getLen: return .data([1, 0])
        default: return refuse(RequestError.invalidRequest)
        }
    }

    private func entityControl(
        _ request: VideoRequest, _ entity: UInt8, _ selector: UInt8, _ setup: ControlSetup, _ data: [UInt8], _ now: UInt64
    ) -> ControlAnswer {
        let unit: VideoControlDefinition.Unit
        switch entity {
        case NodeEntity.camera: unit = .cameraTerminal
        case NodeEntity.processing: unit = .processingUnit
        case NodeEntity.output: return refuse(RequestError.invalidControl)
        default: return refuse(RequestError.invalidUnit)
        }
        guard let control = facts.controls.find(unit, selector) else { return refuse(RequestError.invalidControl) }
        switch request {
        case .getMin: return .data(control.bytes(\.control.minimum))
        case .getMax: return .data(control.bytes(\.control.maximum))
        case .getDef: return .data(control.bytes(\.control.default))
        case .getRes: return .data(control.resolution)
        case .getLen: return .data([UInt8(control.length), 0])
        case .getInfo:
            // D0 GET, D1 SET, D3 changes by itself: an automatic mode drives it, or another program sets it. Hosts keep no value of such a one.
            return .data([(control.isReadable ? 1 | 8 : 0) | (control.isWritable ? 2 : 0)])
        case .getCur:
            guard control.isReadable else { return refuse(RequestError.invalidRequest) }
            return ask(setup, data, now) { desk.ask(control) }
        case .setCur:
            guard control.isWritable, data.count == control.length else { return refuse(RequestError.invalidRequest) }
            return ask(setup, data, now) { desk.set(control, data) }
        }
    }

    /// The engine asks again and again, with the same request, until there is an answer.
    private func ask(_ setup: ControlSetup, _ data: [UInt8], _ now: UInt64, _ begin: () -> Void) -> ControlAnswer {
        guard let asked = question, asked.setup == setup, asked.data == data else {
            question = Question(setup: setup, data: data, deadline: now + Self.patience)
            begin()
            return .later(at: now + Self.patience)
        }
        guard let outcome = desk.takeOutcome() else {
            if now < asked.deadline { return .later(at: asked.deadline) }
            question = nil
            return refuse(RequestError.notReady)
        }
        question = nil
        switch outcome {
        case .value(let bytes): return .data(bytes)
        case .accepted: return .accepted
        case .refused(let code): return refuse(code)
        }
    }

    // MARK: What the camera says by itself

    /// From any thread.
    public func heard(_ event: CameraEvent) {
        switch event {
        case .button(let button):
            guard facts.hasButton else { return }
            say(StatusEvent(.button(interface: NodeInterface.streaming, isPressed: button.pressed)))
        case .controlChanged(let change):
            // Of values alone: what is automatic now uvcvideo knows by itself, and ranges are what they were when the node was made.
            guard change.attribute == 0, let name = change.name, let now = change.now, let control = facts.controls.find(name),
                control.isReadable, let value = desk.heard(name, now, of: control)
            else { return }
            say(StatusEvent(.control(entity: control.entity, selector: control.selector, attribute: 0, value: value)))
        }
    }

    private func say(_ event: StatusEvent) {
        if status.withLock({ $0.add(event) }) { signal.withLock { $0 }?.ready(endpoint: NodeInterface.status) }
    }

    private func statusData(into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        guard let packet = status.withLock({ $0.next() }) else { return .later(at: nil) }
        let count = min(packet.count, buffer.count)
        buffer.copyBytes(from: packet.prefix(count))
        return .data(count: count, ends: true)
    }

    // MARK: Streaming

    private func streamingControl(
        _ request: VideoRequest, _ selector: UInt8, _ setup: ControlSetup, _ data: [UInt8], _ now: UInt64
    ) -> ControlAnswer {
        guard selector == VideoSelector.probe || selector == VideoSelector.commit else { return refuse(RequestError.invalidControl) }
        guard request == .setCur else { return negotiation.answer(request).map { .data($0) } ?? refuse(RequestError.invalidRequest) }
        if selector == VideoSelector.commit { return commit(setup, data, now) }
        return negotiation.probe(data) ? .accepted : refuse(RequestError.invalidRequest)
    }

    /// The answer waits until the camera's stream is open, so that one that can't be had is refused here, where a program is told of it. A
    /// camera that is away is no reason to refuse: it is waited for.
    private func commit(_ setup: ControlSetup, _ data: [UInt8], _ now: UInt64) -> ControlAnswer {
        guard let choice = negotiation.commit(data) else { return refuse(RequestError.outOfRange) }
        let deadline: UInt64
        if let asked = question, asked.setup == setup, asked.data == data, stream != nil {
            deadline = asked.deadline
        } else {
            stopStreaming()
            deadline = now + Self.patience
            question = Question(setup: setup, data: data, deadline: deadline)
            guard begin(choice) else { return refuse(RequestError.notReady) }
        }
        switch stream?.state {
        case .opening where now < deadline: return .later(at: deadline)
        case .refused, nil:
            question = nil
            stopStreaming()
            return refuse(RequestError.notReady)
        case .open, .opening:
            question = nil
            negotiation.committed(data)
            return .accepted
        }
    }

    private func begin(_ choice: NodeFormats.Choice) -> Bool {
        let new = NodeStream(
            choice, of: camera,
            isNews: { [weak self] in
                guard let signal = self?.signal.withLock({ $0 }) else { return }
                signal.ready(endpoint: NodeInterface.endpoint)
                signal.ready(endpoint: EndpointAddress(rawValue: 0))
            }, log: log)
        do throws(WorkerThread.StartFailure) {
            try new.start()
        } catch {
            log("No thread can be started for the camera's stream: \(error)")
            return false
        }
        payload.prepare(byteCount: choice.byteCount)
        stream = new
        streams.store(true, ordering: .releasing)
        return true
    }

    private func stopStreaming() {
        guard let running = stream else { return }
        running.stop()
        stream = nil
        payload.clear()
        streams.store(false, ordering: .releasing)
    }

    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        if endpoint == NodeInterface.status, facts.hasStatus { return statusData(into: buffer) }
        guard endpoint == NodeInterface.endpoint else { return .stall }
        guard let stream else { return .later(at: nil) }
        if let piece = payload.next(upTo: buffer.count) { return .lent(piece.bytes, ends: piece.ends) }
        while let frame = stream.takeFrame() {
            guard payload.take(frame, now: now), let piece = payload.next(upTo: buffer.count) else { continue }
            return .lent(piece.bytes, ends: piece.ends)
        }
        return .later(at: nil)
    }
}

/// Tells the node that its desk has an answer.
private final class Bell: Sendable {
    struct Rung { weak var node: VideoNode? }
    let node = Mutex(Rung())
    func ring() { node.withLock { $0.node }?.hasAnswer() }
}
