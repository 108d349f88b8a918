// A stream that somebody wants: agreed on, started, restarted when the device stumbles, taken over
// from a predecessor, and ended.

import CLinux
import FrameRing
import Synchronization
import TransferRing
import USB
public import UserDriver
public import Wire

/// One stream of a device. It is open while somebody watches, whatever the device does. A driver
/// passes `openStream`, `closeStream` and `statistics` on to it, calls `takeOver` before it claims
/// anything and `resume` afterwards.
public actor StreamSession<Source: StreamSource> {
    public typealias Request = Source.Request
    private typealias Agreement = StreamAgreement<Source>

    /// How often a stream is started again without a frame having come, before the process gives up
    /// and the supervisor decides.
    private static var attemptLimit: Int { 3 }
    /// The same of a device that is silent, predecessors' attempts included: each was waited for
    /// longer than the one before.
    private static var remedyLimit: UInt32 { 2 }

    private enum State {
        case closed
        case open(StreamRun, Agreement)
        /// The device stumbled, and the stream is being started again.
        case restarting(Request)
    }

    public nonisolated let name: String
    private let source: Source
    private let context: DriverContext
    /// The counters of this stream, whichever incarnations of it there are in this process.
    private let progress: Progress.Activity
    private var record = StreamRecord<Request>()
    private var recordChanged: @Sendable (StreamRecord<Request>) async -> Void = { _ in }
    private var state = State.closed
    private var attempts = 0
    /// Who waits to hear whether the transfers of a stream go round: its error where they were
    /// refused.
    private var beginning: (stream: StreamRun, told: CheckedContinuation<USBError?, Never>)?
    /// Whether somebody watches: looked at again after each wait.
    private var isWanted = false
    /// For the heartbeat, which waits for nobody.
    private nonisolated let running = Mutex<StreamRun?>(nil)

    public init(name: String, source: Source, context: DriverContext) {
        self.name = name
        self.source = source
        self.context = context
        progress = context.progress.activity(name, unit: "frames")
    }

    /// Sets what a predecessor left, and what keeps it for a successor from now on.
    public func keep(_ record: StreamRecord<Request>, changed: @escaping @Sendable (StreamRecord<Request>) async -> Void) {
        self.record = record
        recordChanged = changed
    }

    private func change(_ edit: (inout StreamRecord<Request>) -> Void) async {
        let before = record
        edit(&record)
        if record != before { await recordChanged(record) }
    }

    // MARK: A predecessor's stream

    /// Continues the stream that the predecessor had running, without a request to the device. Call
    /// it first of all.
    public func takeOver() async throws {
        guard let takeover = context.takeover, context.streams[name] != nil, let known = record.agreementBytes else { return }
        guard let agreed = source.agreement(from: known) else {
            throw CallError("DeviceError", "The stream \"\(name)\" can't be taken over: the record does not say what the device sends.")
        }
        let transfers = try await context.supervisor.openTransfers(name: name, fresh: nil, headerLength: Source.Assembler.headerLength)
        let memory = transfers.resume(layout: Source.Assembler.memoryLayout, as: StreamMemory<Source.Assembler.State>.self)
        guard let memory else {
            throw CallError("DeviceError", "The stream \"\(name)\" can't be taken over: the memory of its transfers is inconsistent.")
        }
        isWanted = true
        run(agreed, transfers: transfers, writer: try await frameRing(agreed), origin: .takeover(memory, dropping: takeover == .dropping))
    }

    /// Restarts the stream if somebody watches it and it was not taken over. The interfaces must be
    /// claimed.
    public func resume() async throws {
        guard let request = context.streams[name], case .closed = state else { return }
        // What was agreed on decides before what was asked: whoever watches gets the same pictures
        // as before.
        let asked = try Request(request)
        try await open(record.request ?? asked, resumes: context.interruption == .deviceAbsent ? .deviceAbsent : .driverRestarted)
    }

    // MARK: Opening

    /// Opens the stream, or checks that the open one satisfies the request.
    public func open(_ request: JSONValue) async throws { try await open(try Request(request), resumes: nil) }

    /// - Parameter resumes: why frames are missing before the first one; `nil` for a stream that
    ///   begins.
    private func open(_ request: Request, resumes: GapCause?) async throws {
        switch state {
        case .open(_, let agreed): try suits(request, current: agreed.request)
        case .restarting(let current): try suits(request, current: current)
        case .closed:
            isWanted = true
            do {
                try await begin(request, resumes: resumes, counters: StreamCounters())
            } catch let error as USBError {
                await giveUpIfUnresponsive(after: error)
                throw error
            }
        }
    }

    private func suits(_ request: Request, current: Request) throws(CallError) {
        guard !request.allows(current) else { return }
        throw CallError("Busy", "The device is streaming \(current.text) for someone else; \(request.text) is available once that ends.")
    }

    private func begin(_ request: Request, resumes: GapCause?, counters: StreamCounters) async throws {
        var request = request
        while let (agreed, refusal) = try await tryToBegin(request, resumes: resumes, counters: counters) {
            request = try await source.alternative(to: agreed, meeting: request, after: refusal)
        }
    }

    /// What it could not be, and why; `nil` once it is on, or nobody wants it any more.
    private func tryToBegin(
        _ request: Request, resumes: GapCause?, counters: StreamCounters
    ) async throws -> (Agreement, StreamRefusal)? {
        let agreed = try await source.agree(on: request)
        for anomaly in agreed.anomalies { context.supervisor.log("notice", anomaly) }
        let writer = try await frameRing(agreed)
        do throws(USBError) {
            try await source.start(agreed)
        } catch {
            return (agreed, StreamRefusal(error))
        }
        let transfers = try await openTransfers(agreed.shape, of: agreed.endpoint)
        guard isWanted else {
            try await source.stop(agreed)
            return nil
        }
        let stream = run(agreed, transfers: transfers, writer: writer, origin: .fresh(resumes), counters: counters)
        guard let error = await refusal(of: stream) else {
            // Where it has ended meanwhile somebody else has written down what there is.
            guard case .open(let current, _) = state, current === stream else { return nil }
            await change { $0.set(agreed.request, agreement: agreed.record) }
            return nil
        }
        try await source.stop(agreed)
        return (agreed, StreamRefusal(error) { [weak self] shape in await self?.carries(shape, from: agreed.endpoint) ?? false })
    }

    private func openTransfers(_ shape: StreamShape, of endpoint: EndpointAddress) async throws -> TransferRing {
        try await context.supervisor.openTransfers(
            name: name, fresh: shape.request(endpoint: endpoint), headerLength: Source.Assembler.headerLength)
    }

    /// Waits until its transfers go round, or were refused, or it has ended otherwise.
    private func refusal(of stream: StreamRun) async -> USBError? {
        await withCheckedContinuation { beginning = (stream, $0) }
    }

    private func hasBegun(_ stream: StreamRun, refusal: USBError? = nil) {
        guard let (awaited, told) = beginning, awaited === stream else { return }
        beginning = nil
        told.resume(returning: refusal)
    }

    /// See `StreamRefusal`. Whatever else goes wrong shows when such a stream begins.
    private func carries(_ shape: StreamShape, from endpoint: EndpointAddress) async -> Bool {
        do { return Self.areTaken(try await openTransfers(shape, of: endpoint)) } catch {
            context.supervisor.log("notice", "Can't try whether the bus has room for \(shape.packetLength) bytes: \(error)")
            return false
        }
    }

    private static func areTaken(_ transfers: TransferRing) -> Bool {
        defer { transfers.drain() }
        do throws(USBError) {
            transfers.window = 2
            try transfers.begin(layout: 0, state: UInt64(0))
            return try transfers.take(timeout: .milliseconds(100))?.refusal == nil
        } catch {
            return error.code != .noBandwidth
        }
    }

    private func frameRing(_ agreed: Agreement) async throws -> FrameRingWriter {
        try await context.supervisor.openRing(
            name: name, capacity: agreed.frameCapacity, slotCount: streamSlotCount(agreed.frameCapacity),
            description: try JSONValue(encoding: agreed.request))
    }

    @discardableResult
    private func run(
        _ agreed: Agreement, transfers: TransferRing, writer: FrameRingWriter, origin: StreamOrigin<Source.Assembler.State>,
        counters: StreamCounters = StreamCounters()
    ) -> StreamRun {
        let stream = StreamRun(
            transfers: transfers, shape: agreed.shape, writer: writer, frameInterval: agreed.frameInterval, patience: record.patience,
            counters: counters, progress: progress
        ) { [weak self] stream, news in
            Task { await self?.heard(stream, news) }
        }
        state = .open(stream, agreed)
        running.withLock { $0 = stream }
        stream.start(agreed.assembler, from: origin) { [weak self] outcome in
            Task { await self?.ended(stream, outcome) }
        }
        return stream
    }

    // MARK: While it is on

    /// What the stream's thread has to say.
    private func heard(_ stream: StreamRun, _ news: StreamNews) async {
        guard case .open(let current, let agreed) = state, current === stream else { return }
        switch news {
        case .begun: hasBegun(stream)
        case .firstPicture(let patience): await change { $0.patience = patience }
        case .remark(let remark): context.supervisor.log("notice", "Stream \"\(name)\": \(remark).")
        case .drought(let report):
            context.supervisor.log("warning", report.sentence(expected: agreed.assembler.expectedLength))
            if !report.hasPixels { await giveUpIfDead(stream) }
        }
    }

    /// A device that sends nothing is waited for as long as it answers something.
    private func giveUpIfDead(_ stream: StreamRun) async {
        do throws(USBError) {
            try await source.confirmAnswering(whileStreaming: true)
        } catch {
            guard case .open(let current, _) = state, current === stream else { return }
            switch error.code {
            case .noDevice, .connection: context.supervisor.fail(error, as: "The device is gone: \(error)")
            case .timedOut: context.supervisor.failUnresponsive("The device sends nothing and does not answer: \(error)")
            default: break
            }
        }
    }

    /// The stream's thread is at its end.
    private func ended(_ stream: StreamRun, _ outcome: StreamRun.Outcome) async {
        guard case .open(let current, let agreed) = state, current === stream else { return hasBegun(stream) }
        if let beginning, beginning.stream === stream, case .failure(let error) = outcome, error.code == .noBandwidth {
            // Whoever begins it asks for less.
            state = .closed
            running.withLock { $0 = nil }
            stream.stop()
            return hasBegun(stream, refusal: error)
        }
        hasBegun(stream)
        let reason: String
        var isSilent = false
        switch outcome {
        case .success(.stopped): return
        case .failure(let error):
            guard error.code != .noDevice, error.code != .connection else {
                context.supervisor.fail(error, as: "The device is gone: \(error)")
            }
            // Nothing that this process tries again fixes those.
            guard error.code != .noBandwidth, error.code != .memoryLimit else {
                context.supervisor.fail(error, as: "The stream can't be started: \(error)")
            }
            reason = "\(error)"
        case .success(.stalled): reason = "the device halted the endpoint"
        case .success(.silent(let duration)):
            reason = "the device has sent no picture for \(duration.components.seconds) s"
            isSilent = true
        }
        state = .restarting(agreed.request)
        var counters = stream.counters.withLock { $0 }
        attempts = counters.frames > 0 && !counters.recent.isEmpty ? 1 : attempts + 1
        if isSilent { await change { $0.patience.tried() } }
        guard attempts <= Self.attemptLimit, record.patience.remedies <= Self.remedyLimit else {
            context.supervisor.fail(
                CallError("NoFrames", "The stream was started \(attempts) times without a frame; most recently, \(reason).", layer: "class")
            )
        }
        context.supervisor.log("warning", "Restarting the stream: \(reason).")
        stream.stop()
        do {
            try await source.stop(agreed)
            // A device that does not answer either is better reset than negotiated with for many
            // time-outs.
            if isSilent { await giveUpIfUnresponsive() }
            guard isWanted else { return }
            counters.recent = []
            try await begin(agreed.request, resumes: .deviceLost, counters: counters)
        } catch {
            if let error = error as? USBError { await giveUpIfUnresponsive(after: error) }
            context.supervisor.fail(error, as: "The stream could not be restarted after \(reason): \(error)")
        }
    }

    /// Ends this process where its device is gone, or answers nothing any more: whoever watches
    /// waits for the next one, which has it reset.
    private func giveUpIfUnresponsive(after error: USBError) async {
        switch error.code {
        case .noDevice, .connection: context.supervisor.fail(error, as: "The device is gone: \(error)")
        case .timedOut: await giveUpIfUnresponsive()
        default: break
        }
    }

    private func giveUpIfUnresponsive() async {
        do throws(USBError) {
            try await source.confirmAnswering(whileStreaming: false)
        } catch {
            guard error.code == .timedOut else { context.supervisor.fail(error, as: "The device is gone: \(error)") }
            context.supervisor.failUnresponsive("The device no longer answers: \(error)")
        }
    }

    // MARK: The end

    public func close() async {
        isWanted = false
        guard case .open(let stream, let agreed) = state else {
            state = .closed
            return
        }
        state = .closed
        running.withLock { $0 = nil }
        stream.stop()
        do throws(USBError) {
            try await source.stop(agreed)
        } catch {
            context.supervisor.log("warning", "The stream could not be stopped cleanly: \(error)")
            await giveUpIfUnresponsive(after: error)
        }
        attempts = 0
        await change {
            $0.patience = Patience(startup: $0.patience.startup)
            $0.set(nil, agreement: [])
        }
    }

    /// For the heartbeat; `nil` while the stream is off.
    public nonisolated func statistics() -> DriverStatistics.Stream? {
        guard let stream = running.withLock({ $0 }) else { return nil }
        let counters = stream.counters.withLock { $0 }
        return DriverStatistics.Stream(
            frames: counters.frames, lost: counters.lost, fps: counters.rate(now: clinux_monotonic_ns()), bytes: counters.bytes)
    }
}

/// Half a second at 30 fps for those who lag, and all that a successor finds at once after a hang;
/// within reason for large frames.
package func streamSlotCount(_ capacity: Int) -> Int { min(32, max(4, (64 << 20) / max(capacity, 1))) }
