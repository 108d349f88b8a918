// Probe and commit: host and device settle a stream's parameters, and the device's answers are checked (UVC 1.5 §4.3.1.1).
import Synchronization
public import USB

/// A stream that the device has committed itself to.
public struct NegotiatedStream: Hashable, Sendable {
    /// What it will send; the device may have chosen something else than was asked for.
    public var choice: StreamChoice
    /// As committed: the device's answer with its nonsense repaired.
    public var parameters: StreamingParameters
    /// Bytes that no frame exceeds: what a slot must hold.
    public var frameCapacity: Int
    /// The alternate setting to select before frames are read; `nil` for bulk, which streams in setting 0.
    public var alternateSetting: StreamingAlternateSetting?
    public var endpoint: EndpointAddress
    /// What was odd in the device's answers, in sentences.
    public var anomalies: [String]

    /// `dwMaxPayloadTransferSize` of a bulk stream where it can be believed: a header of twelve bytes and something behind it, at most a gigabyte.
    static let payloadLengths = 16...(1 << 30)

    /// Bytes at which a bulk payload ends at the latest; `nil` where only a short packet tells.
    public var payloadLimit: Int? {
        let length = Int(parameters.maxPayloadTransferSize)
        return alternateSetting == nil && Self.payloadLengths.contains(length) ? length : nil
    }

    /// How payloads become frames.
    public func assemblerSettings(speed: USBSpeed, quirks: VideoQuirks = []) -> PayloadAssembler.Settings {
        let content: PayloadAssembler.Settings.Content
        if case .mjpeg = choice.format.kind {
            content = .mjpeg
        } else if let length = choice.format.frameBytes(width: choice.frame.width, height: choice.frame.height) {
            content = .uncompressed(length: length)
        } else {
            content = .other
        }
        let interval = alternateSetting.map { packetInterval($0, speed: speed) } ?? 0
        return PayloadAssembler.Settings(
            content: content, maxPayloadSize: payloadLimit ?? 0,
            packetInterval: interval,
            ignoresFrameID: quirks.contains(.streamNoFrameID),
            endsAtJPEGStart: content == .mjpeg && quirks.contains(.mjpegNoEndOfFrame))
    }

    private func packetInterval(_ setting: StreamingAlternateSetting, speed: USBSpeed) -> UInt64 {
        speed.slotNanoseconds << UInt64(min(max(Int(setting.interval) - 1, 0), 15))
    }
}

/// One negotiation with one streaming interface. The interface is claimed before and not streaming.
public struct StreamNegotiation: Sendable {
    let device: any USBDeviceHandle
    public let interface: StreamingInterface
    private let quirks: VideoQuirks
    private let blockLength: BlockLength

    /// Bytes of the probe block: what the version says, until the device is found to take another length.
    private final class BlockLength: Sendable {
        let bytes: Mutex<Int>
        init(_ bytes: Int) { self.bytes = Mutex(bytes) }
    }

    /// - Parameter uvcVersion: `bcdUVC` of the function.
    public init(device: any USBDeviceHandle, interface: StreamingInterface, uvcVersion: UInt16, quirks: VideoQuirks = []) {
        self.device = device
        self.interface = interface
        self.quirks = quirks
        blockLength = BlockLength(StreamingParameters.length(uvcVersion: quirks.contains(.version10) ? 0x0100 : uvcVersion))
    }

    /// How often a negotiation is begun with a device that refuses: some stumble over a request once, and take it the next time.
    private static let attemptLimit = 3

    /// Probes and commits. Throws `malformedAnswer` if the device's answers leave nothing to go by, and what the transfers throw.
    public func negotiate(_ choice: StreamChoice) async throws(USBError) -> NegotiatedStream {
        var refusals = 0
        while true {
            do throws(USBError) {
                var stream = try await negotiateOnce(choice)
                if refusals > 0 { stream.anomalies.append("The device refused to negotiate \(refusals == 1 ? "once" : "twice") before.") }
                return stream
            } catch {
                refusals += 1
                guard error.code == .stall, refusals < Self.attemptLimit else { throw error }
            }
        }
    }

    private func negotiateOnce(_ choice: StreamChoice) async throws(USBError) -> NegotiatedStream {
        var anomalies: [String] = []
        // Idle first: some devices crash when they are asked while they stream. Those with one setting only may refuse this.
        if !interface.isBulk { try await becomeIdle() }

        var length = blockLength.bytes.withLock { $0 }
        var wanted = try await proposal(choice, length: length)
        var probed = try await probe(&wanted, length: &length, anomalies: &anomalies)
        if (probed.formatIndex, probed.frameIndex) != (wanted.formatIndex, wanted.frameIndex), let said = try await saidLength(),
            said != length, try await takes(wanted, length: said)
        {
            // It takes a block of any length, and understands those of its own.
            anomalies.append("The device understands probe blocks of \(said) bytes, not of \(length).")
            length = said
            probed = try await probedParameters(length: length)
        }
        if !quirks.contains(.noProbeMinMax), let best = try await ask(.getMax, length: length) {
            // Two bytes are the quality alone (Bison's chips).
            let quality: UInt16 = best.count == 2 ? best.littleEndian(at: 0) : StreamingParameters(bytes: best)?.compressionQuality ?? 0
            if quality > 0, quality <= 10_000, quality != probed.compressionQuality {
                wanted.compressionQuality = quality
                probed = try await probe(&wanted, length: &length, anomalies: &anomalies)
            }
        }
        let stream = repaired(probed, wanted: choice, anomalies: anomalies)
        do throws(USBError) {
            try await device.videoSet(
                selector: VideoSelector.commit, interface: interface.number, bytes: stream.parameters.encoded(length: length))
        } catch {
            throw error.naming("SET_CUR(VS_COMMIT)")
        }
        blockLength.bytes.withLock { $0 = length }
        return stream
    }

    /// The block that asks for a choice: the device's defaults, with the choice in them.
    private func proposal(_ choice: StreamChoice, length: Int) async throws(USBError) -> StreamingParameters {
        var wanted = StreamingParameters()
        if !quirks.contains(.noProbeDefaults), let defaults = try await ask(.getDef, length: length),
            let parameters = StreamingParameters(bytes: defaults)
        {
            wanted = parameters
        }
        wanted.hint = 1
        wanted.formatIndex = choice.format.index
        wanted.frameIndex = choice.frame.index
        wanted.frameInterval = choice.interval
        if !quirks.contains(.probeExtraFields) {
            wanted.maxVideoFrameSize = 0
            wanted.maxPayloadTransferSize = 0
        } else if wanted.maxVideoFrameSize == 0 {
            wanted.maxVideoFrameSize = UInt32(clamping: plausibleFrameSize(choice))
        }
        return wanted
    }

    /// What the device would send for a choice, without committing it. `nil` if it does not offer exactly that.
    func offered(_ choice: StreamChoice) async throws(USBError) -> NegotiatedStream? {
        var length = blockLength.bytes.withLock { $0 }
        var anomalies: [String] = []
        do throws(USBError) {
            var wanted = try await proposal(choice, length: length)
            let stream = repaired(try await probe(&wanted, length: &length, anomalies: &anomalies), wanted: choice)
            return stream.choice == choice ? stream : nil
        } catch {
            guard error.code == .stall || error.code == .malformedAnswer else { throw error }
            return nil
        }
    }

    /// A stream that the device has committed to earlier and continues: nothing is asked of it.
    /// - Parameter block: the parameters as committed, in any of their lengths. `nil` if they name nothing that the device has.
    public func committed(_ block: [UInt8]) -> NegotiatedStream? {
        guard let parameters = StreamingParameters(bytes: block), let format = interface.format(index: parameters.formatIndex),
            let frame = format.frame(index: parameters.frameIndex)
        else { return nil }
        return repaired(parameters, wanted: StreamChoice(format: format, frame: frame, interval: parameters.frameInterval))
    }

    /// SET_CUR and GET_CUR.
    private func probe(
        _ wanted: inout StreamingParameters, length: inout Int, anomalies: inout [String]
    ) async throws(USBError) -> StreamingParameters {
        if try await !takes(wanted, length: length) { try await insist(&wanted, length: &length, anomalies: &anomalies) }
        return try await probedParameters(length: length)
    }

    /// A device that refuses the probe block gets its own sizes back, in a block of its own length; then blocks of the other lengths that there
    /// are: some say UVC 1.0 and mean 1.1.
    private func insist(_ wanted: inout StreamingParameters, length: inout Int, anomalies: inout [String]) async throws(USBError) {
        if let held = try await ask(.getCur, length: length), let current = StreamingParameters(bytes: held) {
            var own = wanted
            own.maxVideoFrameSize = current.maxVideoFrameSize
            own.maxPayloadTransferSize = current.maxPayloadTransferSize
            let ownLength = held.count < length ? (held.count < 34 ? 26 : 34) : length
            if try await takes(own, length: ownLength) {
                anomalies.append("The device refused the probe block until it got its own sizes back.")
                (wanted, length) = (own, ownLength)
                return
            }
        }
        let usual = [34, 26, 48]
        let said = try await saidLength()
        for other in [said].compactMap({ $0 }) + usual.filter({ $0 != said }) where other != length {
            if try await takes(wanted, length: other) {
                anomalies.append("The device takes probe blocks of \(other) bytes, not of \(length).")
                length = other
                return
            }
        }
        throw USBError(.stall, operation: "SET_CUR(VS_PROBE)", detail: "in every length")
    }

    /// GET_LEN, which is optional (UVC 1.5 table 4-75): asked only where something is wrong. `nil` for no answer and for nonsense.
    private func saidLength() async throws(USBError) -> Int? {
        guard let answer = try await ask(.getLen, length: 2), answer.count == 2 else { return nil }
        let length = Int(answer[0]) | Int(answer[1]) << 8
        return (26...64).contains(length) ? length : nil
    }

    private func probedParameters(length: Int) async throws(USBError) -> StreamingParameters {
        let answer: [UInt8]
        do throws(USBError) {
            answer = try await device.videoGet(.getCur, selector: VideoSelector.probe, interface: interface.number, length: length)
        } catch {
            throw error.naming("GET_CUR(VS_PROBE)")
        }
        guard let parameters = StreamingParameters(bytes: answer) else {
            throw USBError(.malformedAnswer, operation: "GET_CUR(VS_PROBE)", detail: "\(answer.count) bytes instead of \(length)")
        }
        return parameters
    }

    /// SET_CUR. False if the device refuses.
    private func takes(_ parameters: StreamingParameters, length: Int) async throws(USBError) -> Bool {
        do throws(USBError) {
            try await device.videoSet(
                selector: VideoSelector.probe, interface: interface.number, bytes: parameters.encoded(length: length))
            return true
        } catch {
            guard error.code == .stall else { throw error.naming("SET_CUR(VS_PROBE)") }
            return false
        }
    }

    /// An optional question: `nil` if the device does not answer it.
    private func ask(_ request: VideoRequest, length: Int) async throws(USBError) -> [UInt8]? {
        do throws(USBError) {
            return try await device.videoGet(request, selector: VideoSelector.probe, interface: interface.number, length: length)
        } catch {
            if error.endsEverything { throw error.naming("\(request.name)(VS_PROBE)") }
            // Some know nothing of one request and let it time out; who lets two is asked no more.
            if error.code == .timedOut { try await confirmAnswering() }
            return nil
        }
    }

    private func becomeIdle() async throws(USBError) {
        do throws(USBError) {
            try await device.setAlternateSetting(interface: interface.number, to: 0)
        } catch {
            if error.endsEverything { throw error }
            if error.code == .timedOut { try await confirmAnswering() }
        }
    }

    /// Whether the device answers at all: one second for GET_CUR(VS_PROBE). A refusal is an answer. Throws what the transfer does, `timedOut` for
    /// a device that is unresponsive.
    public func confirmAnswering() async throws(USBError) {
        let question = VideoRequest.getCur.setup(selector: VideoSelector.probe, entity: 0, interface: interface.number, length: 26)
        do throws(USBError) {
            _ = try await device.control(question, sending: [], timeout: .seconds(1))
        } catch {
            guard error.code == .stall else { throw error.naming("GET_CUR(VS_PROBE)") }
        }
    }

    // MARK: What the device answered

    /// Bytes of a frame that the descriptors make plausible.
    private func plausibleFrameSize(_ choice: StreamChoice) -> Int {
        if let bytes = choice.format.frameBytes(width: choice.frame.width, height: choice.frame.height) { return bytes }
        let pixels = choice.frame.width * choice.frame.height
        let described = Int(choice.frame.maxFrameBytes)
        return described > 0 && described <= Self.largestPlausible(pixels) ? described : max(pixels * 2, 65_536)
    }

    /// No compressed frame needs more than four bytes a pixel.
    private static func largestPlausible(_ pixels: Int) -> Int { max(pixels * 4, 1 << 20) }

    /// Takes what is sensible in an answer and replaces what is not.
    func repaired(_ answer: StreamingParameters, wanted: StreamChoice, anomalies: [String] = []) -> NegotiatedStream {
        var parameters = answer
        var choice = wanted
        var anomalies = anomalies
        if let format = interface.format(index: answer.formatIndex), let frame = format.frame(index: answer.frameIndex) {
            if format.index != wanted.format.index || frame.index != wanted.frame.index {
                choice = StreamChoice(format: format, frame: frame, interval: wanted.interval)
                anomalies.append("The device chose \(format.name) \(frame.width)×\(frame.height) instead of \(wanted).")
            }
        } else {
            parameters.formatIndex = wanted.format.index
            parameters.frameIndex = wanted.frame.index
            anomalies.append("The device answered format \(answer.formatIndex), frame \(answer.frameIndex), which it does not have.")
        }
        if answer.frameInterval == 0 || answer.frameInterval > 100_000_000 {
            parameters.frameInterval = choice.frame.intervals.nearest(to: wanted.interval)
            anomalies.append("The device answered a frame interval of \(answer.frameInterval) × 100 ns.")
        }
        choice.interval = parameters.frameInterval

        // The slot: exactly known for uncompressed frames; for others never smaller than what the descriptors make plausible.
        let plausible = plausibleFrameSize(choice)
        let pixels = choice.frame.width * choice.frame.height
        var capacity = Int(answer.maxVideoFrameSize)
        if let exact = choice.format.frameBytes(width: choice.frame.width, height: choice.frame.height) {
            if capacity != exact {
                anomalies.append("The device answered \(capacity) bytes for a frame, but it has \(exact).")
                parameters.maxVideoFrameSize = UInt32(clamping: exact)
            }
            capacity = exact
        } else if capacity == 0 || capacity > Self.largestPlausible(pixels) {
            anomalies.append("The device answered \(capacity) bytes for the largest frame; \(plausible) are assumed.")
            capacity = plausible
            parameters.maxVideoFrameSize = UInt32(clamping: plausible)
        } else {
            capacity = max(capacity, min(plausible, pixels / 2))
        }
        repairPayloadSize(&parameters, choice: choice, anomalies: &anomalies)
        return NegotiatedStream(
            choice: choice, parameters: parameters, frameCapacity: max(capacity, 1),
            alternateSetting: interface.isBulk ? nil : interface.alternateSetting(forPayloadSize: Int(parameters.maxPayloadTransferSize)),
            endpoint: interface.endpoint, anomalies: anomalies)
    }

    private func repairPayloadSize(_ parameters: inout StreamingParameters, choice: StreamChoice, anomalies: inout [String]) {
        let answered = parameters.maxPayloadTransferSize
        let largest = interface.alternateSettings.map(\.bytesPerInterval).max() ?? 0
        if interface.isBulk {
            // It gets its own answer back.
            if !NegotiatedStream.payloadLengths.contains(Int(answered)) {
                anomalies.append("The device answered payloads of \(answered) bytes; they are assumed to end with a short packet.")
            }
        } else {
            // Sixteen bits, sign-extended (Chicony's 04f2:b50b).
            if answered & 0xffff_0000 == 0xffff_0000 { parameters.maxPayloadTransferSize = answered & 0xffff }
            if quirks.contains(.fixBandwidth) || parameters.maxPayloadTransferSize == 0,
                let computed = StreamingInterface.computedPayloadSize(choice, speed: device.information.speed)
            {
                parameters.maxPayloadTransferSize = computed
            }
            if parameters.maxPayloadTransferSize == 0 || Int(parameters.maxPayloadTransferSize) > largest {
                parameters.maxPayloadTransferSize = UInt32(clamping: largest)
            }
        }
        if parameters.maxPayloadTransferSize != answered {
            anomalies.append("The device answered payloads of \(answered) bytes; \(parameters.maxPayloadTransferSize) are assumed.")
        }
    }
}

extension USBError {
    /// Whether nothing else can succeed after this.
    var endsEverything: Bool { code == .noDevice || code == .connection || code == .cancelled || code == .accessDenied }

    /// The same error, told of the request as the standard names it.
    func naming(_ request: String) -> USBError {
        var error = self
        error.operation = request
        if operation != request { error.detail = detail.map { "\(operation): \($0)" } ?? operation }
        return error
    }
}
