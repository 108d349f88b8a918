// A stream that somebody wants: negotiated, started, restarted when the device stumbles, and ended.

import CLinux
import FrameRing
import Synchronization
import TransferRing
import USB
import UVC
import UserDriver
import Wire

/// One streaming interface. It is open while somebody watches, whatever the device does meanwhile.
package actor StreamSession {
    /// How often a stream is started again without a frame having come, before the process gives up and the supervisor decides.
    private static let attemptLimit = 3
    /// The same of a device that is silent, predecessors' attempts included: each was waited for longer than the one before.
    private static let remedyLimit = 2

    private enum State {
        case closed
        case open(VideoStream, NegotiatedStream, StreamRequest)
        /// The device stumbled, and the stream is being started again.
        case restarting(StreamRequest)
    }

    private let name: String
    private let interface: StreamingInterface
    private let negotiation: StreamNegotiation
    private let quirks: VideoQuirks
    private let controlInterface: UInt8
    private let context: DriverContext
    /// The counters of this stream, whichever incarnations of it there are in this process.
    private let progress: Progress.Activity
    private var patience = Patience()
    private var state = State.closed
    private var attempts = 0
    /// Whether somebody watches: looked at again after each wait.
    private var isWanted = false
    private var requestChanged: @Sendable (StreamRequest?, _ committed: [UInt8]) async -> Void = { _, _ in }
    private var patienceChanged: @Sendable (Patience) async -> Void = { _ in }
    /// For the heartbeat, which waits for nobody.
    private nonisolated let running = Mutex<VideoStream?>(nil)

    init(name: String, interface: StreamingInterface, function: VideoFunction, quirks: VideoQuirks, context: DriverContext) {
        self.name = name
        self.interface = interface
        self.quirks = quirks
        self.context = context
        controlInterface = function.controlInterface
        progress = context.progress.activity()
        negotiation = StreamNegotiation(device: context.device, interface: interface, uvcVersion: function.uvcVersion, quirks: quirks)
    }

    /// Who is told what is streamed now, `nil` for nothing, and the block that the device committed itself to.
    func onRequest(_ handler: @escaping @Sendable (StreamRequest?, _ committed: [UInt8]) async -> Void) { requestChanged = handler }

    /// Who is told how long the device is waited for, and with what to begin.
    func onPatience(_ patience: Patience, _ handler: @escaping @Sendable (Patience) async -> Void) {
        self.patience = patience
        patienceChanged = handler
    }

    /// Opens the stream, or finds that the open one suits.
    /// - Parameter resumes: why frames are missing before the first one; `nil` for a stream that begins.
    func open(_ request: StreamRequest, resumes: GapCause?) async throws {
        switch state {
        case .open(_, _, let current), .restarting(let current):
            guard request.allows(current) else {
                throw CallError("Busy", "The camera is streaming \(current.text) for somebody else; \(request.text) has to wait.")
            }
        case .closed:
            isWanted = true
            do {
                try await begin(request, resumes: resumes, counters: VideoStream.Counters())
            } catch let error as USBError {
                await giveUpIfUnresponsive(after: error)
                throw error
            }
        }
    }

    /// Ends this process where its device is gone, or answers nothing any more: whoever watches waits for the next one, which has it reset.
    private func giveUpIfUnresponsive(after error: USBError) async {
        switch error.code {
        case .noDevice, .connection: context.supervisor.fail("The device is gone: \(error)")
        case .timedOut: await giveUpIfUnresponsive()
        default: break
        }
    }

    private func giveUpIfUnresponsive() async {
        do throws(USBError) {
            try await negotiation.confirmAnswering()
        } catch {
            guard error.code == .timedOut else { context.supervisor.fail("The device is gone: \(error)") }
            context.supervisor.failUnresponsive("The device answers nothing any more: \(error)")
        }
    }

    private func begin(_ request: StreamRequest, resumes: GapCause?, counters: VideoStream.Counters) async throws {
        let wish = StreamWish(format: request.format, width: request.width, height: request.height, rate: request.fps)
        let choice: StreamChoice
        do {
            choice = try interface.choose(wish, quirks: quirks)
        } catch {
            throw CallError("InvalidParameter", "\(error)")
        }
        let agreed = try await negotiation.negotiate(choice)
        for anomaly in agreed.anomalies { context.supervisor.log("notice", anomaly) }
        let writer = try await frameRing(agreed)
        let shape = shape(agreed)
        if let setting = agreed.alternateSetting {
            do throws(USBError) {
                try await select(setting)
            } catch {
                guard error.code == .stall || error.code == .noBandwidth else { throw error }
                let narrower = try await negotiation.narrower(than: agreed, meeting: wish, refusal: error)
                context.supervisor.log("notice", "There is no bandwidth for \(agreed.choice): \(narrower) in its place.")
                return try await begin(StreamRequest(narrower), resumes: resumes, counters: counters)
            }
        }
        let transfers = try await context.supervisor.openTransfers(
            name: name,
            fresh: TransferRequest.Fresh(
                transferCount: shape.transferCount, packetCount: shape.type == .isochronous ? shape.packetCount : 0,
                packetLength: shape.packetLength, endpoint: agreed.endpoint.rawValue, interval: interval(agreed)))
        guard isWanted else {
            try await quiet(agreed)
            return
        }
        await run(agreed, transfers: transfers, writer: writer, origin: .fresh(resumes), counters: counters)
    }

    /// A device that refuses its bandwidth once, as some refuse a negotiation, is told again.
    private func select(_ setting: StreamingAlternateSetting) async throws(USBError) {
        do throws(USBError) {
            try await context.device.setAlternateSetting(interface: interface.number, to: setting.number)
        } catch {
            guard error.code == .stall else { throw error }
            try await context.device.setAlternateSetting(interface: interface.number, to: setting.number)
            context.supervisor.log("notice", "The device refused alternate setting \(setting.number) once.")
        }
    }

    /// Goes on with the stream that the predecessor had on, without a word to the device.
    /// - Parameter committed: what the device committed itself to.
    func takeOver(_ takeover: DriverStart.Takeover, committed: [UInt8]) async throws {
        guard let agreed = negotiation.committed(committed) else {
            throw CallError("DeviceError", "The stream \"\(name)\" can't be taken over: the record does not say what the device sends.")
        }
        let transfers = try await context.supervisor.openTransfers(name: name, fresh: nil)
        guard let memory = transfers.resume(layout: StreamMemory.layout, as: StreamMemory.self) else {
            throw CallError("DeviceError", "The stream \"\(name)\" can't be taken over: its transfers' memory makes no sense.")
        }
        isWanted = true
        await run(
            agreed, transfers: transfers, writer: try await frameRing(agreed),
            origin: .takeover(memory, dropping: takeover == .dropping), counters: VideoStream.Counters())
    }

    private func frameRing(_ agreed: NegotiatedStream) async throws -> FrameRingWriter {
        try await context.supervisor.openRing(
            name: name, capacity: agreed.frameCapacity, slotCount: Self.slotCount(agreed.frameCapacity),
            description: try JSONValue(encoding: description(agreed)))
    }

    private func description(_ agreed: NegotiatedStream) -> StreamRequest {
        StreamRequest(
            format: agreed.choice.format.name, width: agreed.choice.frame.width, height: agreed.choice.frame.height,
            fps: agreed.choice.rate.rounded(toPlaces: 3))
    }

    private func shape(_ agreed: NegotiatedStream) -> VideoStream.Shape {
        guard let setting = agreed.alternateSetting else {
            return .bulk(
                maxPacketSize: interface.alternateSettings.first?.bytesPerInterval ?? 512,
                payloadSize: agreed.payloadLimit ?? agreed.frameCapacity)
        }
        let settings = agreed.assemblerSettings(speed: context.device.information.speed, quirks: quirks)
        return .isochronous(bytesPerInterval: setting.bytesPerInterval, packetInterval: settings.packetInterval)
    }

    /// Frames or microframes from packet to packet.
    private func interval(_ agreed: NegotiatedStream) -> Int32 {
        agreed.alternateSetting.map { 1 << Int32(min(max(Int($0.interval) - 1, 0), 15)) } ?? 0
    }

    private func run(
        _ agreed: NegotiatedStream, transfers: TransferRing, writer: FrameRingWriter, origin: VideoStream.Origin,
        counters: VideoStream.Counters
    ) async {
        let speed = context.device.information.speed
        let stream = VideoStream(
            transfers: transfers, shape: shape(agreed),
            continuity: agreed.alternateSetting.map { SlotContinuity(speed: speed, interval: $0.interval) },
            settings: agreed.assemblerSettings(speed: speed, quirks: quirks), writer: writer,
            frameInterval: UInt64(agreed.choice.interval) * 100, patience: patience, origin: origin, counters: counters,
            progress: progress)
        let description = description(agreed)
        state = .open(stream, agreed, description)
        running.withLock { $0 = stream }
        if case .fresh = origin { await requestChanged(description, agreed.parameters.encoded(length: 48)) }
        stream.start(
            heard: { [weak self] news in
                Task { await self?.heard(stream, news) }
            },
            ended: { [weak self] end in
                Task { await self?.ended(stream, end) }
            })
    }

    /// What the stream's thread has to say.
    private func heard(_ stream: VideoStream, _ news: VideoStream.News) async {
        guard case .open(let current, let agreed, _) = state, current === stream else { return }
        switch news {
        case .firstPicture(let patience):
            self.patience = patience
            await patienceChanged(patience)
        case .marks(let marks): context.supervisor.log("notice", "Stream \"\(name)\": \(marks).")
        case .drought(let report):
            let settings = agreed.assemblerSettings(speed: context.device.information.speed, quirks: quirks)
            var expected: Int?
            if case .uncompressed(let length) = settings.content, length > 0 { expected = length }
            context.supervisor.log("warning", report.sentence(expected: expected))
            if !report.hasPixels { await giveUpIfDead(stream) }
        }
    }

    /// A device that sends nothing is waited for as long as it answers something. It is asked what harms no stream: the error of its last request.
    private func giveUpIfDead(_ stream: VideoStream) async {
        guard !quirks.contains(.noErrorCode) else { return }
        let question = VideoRequest.getCur.setup(
            selector: VideoSelector.requestErrorCode, entity: 0, interface: controlInterface, length: 1)
        do throws(USBError) {
            _ = try await context.device.control(question, sending: [], timeout: .seconds(1))
        } catch {
            guard case .open(let current, _, _) = state, current === stream else { return }
            switch error.code {
            case .noDevice, .connection: context.supervisor.fail("The device is gone: \(error)")
            case .timedOut: context.supervisor.failUnresponsive("The device sends nothing and answers nothing: \(error)")
            default: break
            }
        }
    }

    /// Half a second at 30 fps for those who lag, and all that a successor finds at once after a hang; within reason for large frames.
    package static func slotCount(_ capacity: Int) -> Int { min(32, max(4, (64 << 20) / max(capacity, 1))) }

    /// The stream's thread is at its end.
    private func ended(_ stream: VideoStream, _ end: VideoStream.End) async {
        guard case .open(let current, let agreed, let request) = state, current === stream else { return }
        let reason: String
        switch end {
        case .stopped: return
        case .failed(let error):
            guard error.code != .noDevice, error.code != .connection else { context.supervisor.fail("The device is gone: \(error)") }
            // Nothing that this process tries again fixes those.
            guard error.code != .noBandwidth, error.code != .memoryLimit else {
                context.supervisor.fail("The stream can't be had: \(error)")
            }
            reason = "\(error)"
        case .stalled: reason = "the device halted the endpoint"
        case .silent(let duration): reason = "the device has sent no picture for \(duration.components.seconds) s"
        }
        state = .restarting(request)
        let counters = stream.counters.withLock { $0 }
        attempts = counters.frames > 0 && !counters.recent.isEmpty ? 1 : attempts + 1
        if case .silent = end {
            patience.tried()
            await patienceChanged(patience)
        }
        guard attempts <= Self.attemptLimit, patience.remedies <= Self.remedyLimit else {
            context.supervisor.fail("The stream was started \(attempts) times without a frame; last, \(reason).")
        }
        context.supervisor.log("warning", "The stream is started again: \(reason).")
        stream.stop()
        do {
            try await quiet(agreed)
            // A device that does not answer either is better reset than negotiated with for many time-outs.
            if case .silent = end { await giveUpIfUnresponsive() }
            guard isWanted else { return }
            var fresh = counters
            fresh.recent = []
            try await begin(request, resumes: .deviceLost, counters: fresh)
        } catch {
            if let error = error as? USBError { await giveUpIfUnresponsive(after: error) }
            context.supervisor.fail("The stream could not be started again after \(reason): \(error)")
        }
    }

    func close() async {
        isWanted = false
        guard case .open(let stream, let agreed, _) = state else {
            state = .closed
            return
        }
        state = .closed
        running.withLock { $0 = nil }
        stream.stop()
        do {
            try await quiet(agreed)
        } catch {
            context.supervisor.log("warning", "The stream could not be stopped cleanly: \(error)")
            await giveUpIfUnresponsive(after: error)
        }
        attempts = 0
        patience = Patience(startup: patience.startup)
        await requestChanged(nil, [])
    }

    /// Tells the device to stop: alternate setting 0, or for bulk a cleared halt (which is how UVC's bulk cameras are told).
    private func quiet(_ agreed: NegotiatedStream) async throws(USBError) {
        if agreed.alternateSetting != nil {
            try await context.device.setAlternateSetting(interface: interface.number, to: 0)
        } else {
            try await context.device.clearHalt(endpoint: agreed.endpoint)
        }
    }

    nonisolated func statistics() -> DriverStatistics.Stream? {
        guard let stream = running.withLock({ $0 }) else { return nil }
        let counters = stream.counters.withLock { $0 }
        return DriverStatistics.Stream(
            frames: counters.frames, lost: counters.lost, fps: counters.rate(now: clinux_monotonic_ns()), bytes: counters.bytes)
    }
}

extension Double {
    /// 29.97 rather than 29.970002997.
    fileprivate func rounded(toPlaces places: Int) -> Double {
        let factor = (0..<places).reduce(1.0) { product, _ in product * 10 }
        return (self * factor).rounded() / factor
    }
}
