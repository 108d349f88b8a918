// The emulated camera: a USB video device in software.

import CLinux
import Glibc
import Pictures
public import USB
public import USBEmulation

/// A UVC 1.1 high-speed camera with a moving picture. Serve it with an emulation server.
///
/// Like a real camera it sends its first payload a while after streaming starts, spreads each frame over the frame's time, and goes
/// by the clock whether or not anyone reads. Streaming starts with an alternate setting (isochronous) or with COMMIT (bulk); it ends
/// with alternate setting 0, or, bulk, when the endpoint's halt is cleared after something was read.
public final class EmulatedWebcam: EmulatedDevice, @unchecked Sendable {
    // Sendable: the engine calls from one thread only; drawing has its own thread behind `FramePipeline`.
    public let descriptors: EmulatedDescriptors
    public let options: EmulatedWebcamOptions
    private let file: FileContents?
    private let scenes = SceneStore()
    private let log: (@Sendable (String) -> Void)?
    /// What is added to CLOCK_MONOTONIC for the time of day; measured when a stream starts, unless a test decides it.
    var wallClockOffset: UInt64?

    private var controls: ControlBank
    private let hands = WebcamHands()
    /// Of each streaming interface.
    private var negotiations: [StreamNegotiation]
    /// The streaming interface that streams, or did last: its index.
    private var streaming = 0
    private var requestError = RequestError.none
    private var streamError: UInt8 = 0
    private var faultRun: FaultRun
    private var isSilent = false
    private var signal: (any EmulationSignal)?
    private var isochronous: IsochronousStream?
    private var bulk: BulkStream?
    private var streamingSetting: UInt8 = 0
    private var streamCount: UInt32 = 0
    private var slowUntil: UInt64?
    /// How long a slow camera takes for a request.
    private static let slowness: UInt64 = 300_000_000
    private var noise = Noise()

    /// Throws when the source file can't be shown. `log` is told what the camera does and suffers; from any thread.
    public init(options: EmulatedWebcamOptions = .init(), log: (@Sendable (String) -> Void)? = nil) throws {
        precondition(
            !options.formats.isEmpty && Set(options.formats).count == options.formats.count, "formats, each once")
        precondition(options.startupMilliseconds >= 0 && options.startupMilliseconds <= 60_000, "a start-up of up to a minute")
        self.options = options
        self.log = log
        descriptors = WebcamDescriptors(options: options).all
        file = try options.source.map { path throws(PictureError) in try FileSources.open(path) }
        negotiations = options.interfaces.map { StreamNegotiation(options, formats: $0) }
        faultRun = FaultRun(options.faults)
        controls = ControlBank(hasShutter: options.hasShutter)
    }

    deinit { stopStreaming() }

    // MARK: Life on the bus

    public func attached(now: UInt64, signal: any EmulationSignal) {
        self.signal = signal
        hands.attach(signal)
        controls = ControlBank(hasShutter: options.hasShutter)
        // A shutter is where it was left, and that is no news.
        if options.hasShutter { controls.placeShutter(isShut: hands.take().isShut) }
        negotiations = options.interfaces.map { StreamNegotiation(options, formats: $0) }
        requestError = .none
        streamError = 0
        isSilent = false
        slowUntil = nil
    }

    public func detached() {
        stopStreaming()
        streamingSetting = 0
        signal = nil
        hands.attach(nil)
    }

    public func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {
        // Setting 0 of another one than streams changes nothing.
        guard let index = index(of: interface), index == streaming || alternateSetting > 0 else { return }
        stopStreaming()
        streaming = index
        streamingSetting = alternateSetting
        if options.variant == .isochronous, alternateSetting > 0 { startStreaming(now: now) }
    }

    public func haltCleared(endpoint: EndpointAddress, now: UInt64) {
        guard endpoint == streamingEndpoint, let bulk else { return }
        if bulk.isStalled {
            bulk.isStalled = false
        } else if bulk.hasSent {
            stopStreaming()
        }
    }

    /// Which streaming interface that is; `nil` for none.
    private func index(of interface: UInt8) -> Int? {
        let index = Int(interface) - Int(WebcamInterface.streaming)
        return negotiations.indices.contains(index) ? index : nil
    }

    private var streamingEndpoint: EndpointAddress { WebcamInterface.streamingEndpoint(streaming) }

    private func startStreaming(now: UInt64) {
        stopStreaming()
        // A host that selects a setting without COMMIT gets what it last probed, as real cameras do.
        let parameters = negotiations[streaming].committed ?? negotiations[streaming].probed
        streamCount &+= 1
        let stream = streamCount
        let (options, file, scenes) = (options, file, scenes)
        let pipeline = FramePipeline(
            capacity: FrameMaker.capacity(parameters.mode), drawsAhead: options.drawsAhead, log: log,
            ready: { [signal, streamingEndpoint] in signal?.ready(endpoint: streamingEndpoint) },
            prepare: { () throws(PictureError) in try FrameMaker(parameters, options: options, file: file, scenes: scenes, stream: stream) }
        )
        let first = now + UInt64(options.startupMilliseconds) * 1_000_000
        let offset = wallClockOffset ?? Self.wallClock() &- clinux_monotonic_ns()
        switch options.variant {
        case .isochronous:
            isochronous = IsochronousStream(
                parameters, packetSize: AlternateSettings.bytes(of: streamingSetting), first: first, wallClockOffset: offset,
                pipeline: pipeline, owner: self)
        case .bulk:
            bulk = BulkStream(parameters, first: first, wallClockOffset: offset, pipeline: pipeline, owner: self)
        }
        let rate = (Double(10_000_000) / Double(parameters.interval)).rounded()
        log?(
            "Streaming \(parameters.mode.format.rawValue) \(parameters.mode.width)x\(parameters.mode.height), \(Int(rate)) frames a second."
        )
    }

    private func stopStreaming() {
        if let stream = isochronous ?? bulk {
            stream.stop()
            log?("The stream has ended: \(stream.tally).")
        }
        if bulk != nil { signal?.flush(endpoint: streamingEndpoint) }
        isochronous = nil
        bulk = nil
    }

    // MARK: By hand

    /// Presses the button and lets it go, if it has one. From any thread.
    public func pressButton() { if options.hasButton { hands.pressButton() } }

    /// Closes the shutter, or opens it again, if it has one. From any thread.
    public func moveShutter() { if options.hasShutter { hands.moveShutter() } }

    private func noticeHands() {
        guard options.hasButton || options.hasShutter else { return }
        let done = hands.take()
        if options.hasShutter { controls.moveShutter(isShut: done.isShut) }
        for isPressed in done.button { controls.reportButton(isPressed, interface: WebcamInterface.streaming) }
    }

    // MARK: Requests

    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        if isSilent { return .silence }
        noticeHands()
        if faultRun.has(.slowControl) {
            // The engine asks again at the time that it is given; a time long past belonged to a request that the host gave up.
            guard let time = slowUntil, now >= time, now < time + Self.slowness else {
                slowUntil = now + Self.slowness
                return .later(at: now + Self.slowness)
            }
            slowUntil = nil
        }
        guard var request = VideoRequest(setup) else { return .stall }
        if let phase = Self.phase(of: request), let answer = fault(at: phase, setup) { return answer }
        if request.interface == WebcamInterface.control,
            let control = WebcamControl.find(entity: request.entity, selector: request.selector)
        {
            if faultRun.has(.silentControl, of: control) { return .silence }
            if faultRun.has(.swappedRange, of: control) { request.exchangeLimits() }
        }
        do throws(RequestError) {
            let bytes =
                switch request.interface {
                case WebcamInterface.control where request.entity == WebcamEntity.interface: try interfaceRequest(request)
                case WebcamInterface.control: try controls.answer(request, data: data)
                default: try streamingRequest(request, data: data, now: now)
                }
            if request.entity != WebcamEntity.interface || request.interface != WebcamInterface.control { requestError = .none }
            reportChanges()
            return .data(bytes)
        } catch {
            requestError = error
            return .stall
        }
    }

    /// Requests to the control interface itself: the error code of the request before (§4.2.1.2).
    private func interfaceRequest(_ request: VideoRequest) throws(RequestError) -> [UInt8] {
        guard request.selector == 0x02 else { throw .invalidControl }
        switch request.kind {
        case .getCurrent: return [requestError.rawValue]
        case .getInformation: return [ControlInformation.get]
        case .getLength: return [1, 0]
        default: throw .invalidRequest
        }
    }

    private func streamingRequest(_ request: VideoRequest, data: [UInt8], now: UInt64) throws(RequestError) -> [UInt8] {
        guard let index = index(of: request.interface) else { throw .invalidUnit }
        switch request.selector {
        case 0x01:
            return try negotiations[index].probe(request, data: data)
        case 0x02:
            let bytes = try negotiations[index].commit(request, data: data, isStreaming: index == streaming && streamingSetting > 0)
            if request.kind == .setCurrent, options.variant == .bulk {
                stopStreaming()
                streaming = index
                startStreaming(now: now)
            }
            return bytes
        case 0x06:
            // The stream error code: 0 none, 1 protected content, 2 input buffer underrun (§4.3.1.7). Reading it clears it.
            switch request.kind {
            case .getCurrent:
                defer { streamError = 0 }
                return [streamError]
            case .getInformation: return [ControlInformation.get]
            case .getLength: return [1, 0]
            default: throw .invalidRequest
            }
        default: throw .invalidControl
        }
    }

    // MARK: Faults of requests

    private static func phase(of request: VideoRequest) -> FaultPlan.Phase? {
        guard request.interface != WebcamInterface.control else { return .open }
        switch (request.selector, request.kind) {
        case (0x01, .setCurrent), (0x01, .getCurrent): return .probe
        case (0x02, .setCurrent), (0x02, .getCurrent): return .commit
        default: return nil
        }
    }

    public func standard(_ setup: ControlSetup, now: UInt64) -> ControlAnswer? {
        switch (setup.request, setup.requestType & 0x1f) {
        case (StandardRequest.getDescriptor, 0): return fault(at: .enumerate, setup)
        case (StandardRequest.setConfiguration, 0): return fault(at: .configure, setup)
        case (StandardRequest.setInterface, 1) where index(of: UInt8(truncatingIfNeeded: setup.index)) != nil:
            if faultRun.has(.narrowBus), AlternateSettings.bytes(of: UInt8(truncatingIfNeeded: setup.value)) > 1024 { return .stall }
            if setup.value > 0 { return fault(at: .start, setup) }
            return streamingSetting > 0 && index(of: UInt8(truncatingIfNeeded: setup.index)) == streaming ? fault(at: .stop, setup) : nil
        case (StandardRequest.clearFeature, 2) where setup.index == UInt16(streamingEndpoint.rawValue):
            return bulk?.hasSent == true ? fault(at: .stop, setup) : nil
        default: return nil
        }
    }

    /// What is answered in place of a request's answer; `nil` if nothing goes wrong.
    private func fault(at phase: FaultPlan.Phase, _ setup: ControlSetup) -> ControlAnswer? {
        guard let kind = faultRun.strikes(phase, isRead: setup.requestType & 0x80 != 0) else { return nil }
        log?("Fault: \(kind.rawValue) at \(phase.rawValue).")
        switch kind {
        case .garbage: return .data((0..<setup.length).map { _ in UInt8(truncatingIfNeeded: noise.next() >> 24) })
        case .silence:
            isSilent = true
            return .silence
        case .disconnect, .replug:
            pullCable(again: kind == .replug)
            return .silence
        default:
            requestError = .notReady
            return .stall
        }
    }

    /// `again`: it is plugged in a second later.
    private func pullCable(again: Bool) {
        guard let signal else { return }
        isSilent = true
        signal.unplug()
        if again { Replug.plug(signal, after: 1_000_000_000) }
    }

    private func reportChanges() {
        if !controls.reports.isEmpty { signal?.ready(endpoint: WebcamInterface.statusEndpoint) }
    }

    // MARK: Data

    public func isochronousIn(endpoint: EndpointAddress, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard !isSilent, endpoint == streamingEndpoint, let isochronous else { return 0 }
        return isochronous.packet(time: time, into: buffer)
    }

    public func hasRoom(endpoint: EndpointAddress) -> Bool {
        endpoint != streamingEndpoint || !faultRun.has(.fullBus) || AlternateSettings.bytes(of: streamingSetting) <= 1024
    }

    public func isReady(endpoint: EndpointAddress, until time: UInt64) -> Bool {
        guard !isSilent, endpoint == streamingEndpoint, let isochronous else { return true }
        return isochronous.isReady(until: time)
    }

    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        if isSilent { return .later(at: nil) }
        switch endpoint {
        case WebcamInterface.statusEndpoint:
            noticeHands()
            guard let report = controls.takeReport() else { return .later(at: nil) }
            let count = min(report.count, buffer.count)
            buffer.copyBytes(from: report.prefix(count))
            return .data(count: count, ends: true)
        case streamingEndpoint: return bulk?.data(now: now, into: buffer) ?? .later(at: nil)
        default: return .stall
        }
    }
}

extension EmulatedWebcam {
    /// CLOCK_REALTIME in nanoseconds since 1970.
    private static func wallClock() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

extension EmulatedWebcam: VideoStreamOwner {
    func hasFault(_ kind: FaultPlan.Kind) -> Bool { faultRun.has(kind) }

    func settings(at time: UInt64) -> PictureSettings {
        noticeHands()
        controls.followScene(seconds: Double(time) / 1e9)
        reportChanges()
        return controls.pictureSettings
    }

    func faults(from first: UInt64, through last: UInt64) -> Set<FaultPlan.Kind>? {
        let faults = faultRun.take(from: first, through: last)
        for fault in faults { log?("Fault: \(fault.rawValue) at frame \(last).") }
        if faults.contains(.errorBit) { streamError = 2 }
        if faults.contains(.silence) {
            isSilent = true
            return nil
        }
        if signal != nil, faults.contains(.disconnect) || faults.contains(.replug) {
            pullCable(again: faults.contains(.replug))
            return nil
        }
        return faults
    }
}
