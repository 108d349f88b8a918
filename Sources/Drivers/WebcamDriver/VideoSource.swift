// The camera's stream: which of its streaming interfaces has what is asked for, probe and commit,
// alternate settings.

import DriverStreams
import USB
import UVC
import Wire

/// A video function has one stream, whichever of its streaming interfaces it comes from.
struct VideoSource: StreamSource {
    typealias Request = StreamRequest
    typealias Assembler = VideoAssembler

    /// The interface that streams, and what the device committed itself to.
    struct Setting {
        var negotiation: StreamNegotiation
        var agreed: NegotiatedStream
    }

    private let device: any USBDeviceHandle
    private let controlInterface: UInt8
    private let quirks: VideoQuirks
    private let interfaces: [StreamingInterface]
    /// One for each of them.
    private let negotiations: [StreamNegotiation]
    private let notice: @Sendable (String) -> Void

    init(device: any USBDeviceHandle, function: VideoFunction, quirks: VideoQuirks, notice: @escaping @Sendable (String) -> Void) {
        self.device = device
        self.quirks = quirks
        self.notice = notice
        controlInterface = function.controlInterface
        interfaces = function.streamingInterfaces
        negotiations = interfaces.map {
            StreamNegotiation(device: device, interface: $0, uvcVersion: function.uvcVersion, quirks: quirks)
        }
    }

    func agree(on request: StreamRequest) async throws -> StreamAgreement<VideoSource> {
        let (interface, choice): (Int, StreamChoice)
        do throws(StreamChoiceError) {
            (interface, choice) = try interfaces.choose(request.wish, quirks: quirks)
        } catch {
            throw CallError("InvalidParameter", "\(error)")
        }
        return agreement(try await negotiations[interface].negotiate(choice), negotiations[interface])
    }

    /// `bInterfaceNumber`, then the block of VS_COMMIT_CONTROL.
    func agreement(from record: [UInt8]) -> StreamAgreement<VideoSource>? {
        guard let negotiation = negotiations.first(where: { $0.interface.number == record.first }) else { return nil }
        return negotiation.committed(Array(record.dropFirst())).map { agreement($0, negotiation) }
    }

    private func agreement(_ agreed: NegotiatedStream, _ negotiation: StreamNegotiation) -> StreamAgreement<VideoSource> {
        let speed = device.information.speed
        let shape: StreamShape
        if let setting = agreed.alternateSetting {
            shape = Self.shape(of: setting, speed: speed)
        } else {
            shape = .bulk(
                maxPacketSize: negotiation.interface.alternateSettings.first?.bytesPerInterval ?? 512,
                payloadSize: agreed.payloadLimit ?? agreed.frameCapacity, joinsPayloads: agreed.payloadLimit != nil,
                bytesPerSecond: Self.bytesPerSecond(agreed))
        }
        return StreamAgreement(
            request: StreamRequest(agreed.choice), endpoint: agreed.endpoint, shape: shape, frameCapacity: agreed.frameCapacity,
            frameInterval: UInt64(agreed.choice.interval) * 100,
            assembler: VideoAssembler(agreed.assemblerSettings(speed: speed, quirks: quirks), type: shape.type),
            setting: Setting(negotiation: negotiation, agreed: agreed),
            record: [negotiation.interface.number] + agreed.parameters.encoded(length: 48), anomalies: agreed.anomalies)
    }

    private static func shape(of setting: StreamingAlternateSetting, speed: USBSpeed) -> StreamShape {
        .isochronous(bytesPerInterval: setting.bytesPerInterval, interval: setting.interval, speed: speed)
    }

    /// Compressed frames are far smaller than the largest that the device might send.
    private static func bytesPerSecond(_ agreed: NegotiatedStream) -> Int {
        let largest = agreed.frameCapacity / max(1, Int(agreed.choice.interval)) * 10_000_000
        return agreed.choice.format.isCompressed ? largest / 4 : largest
    }

    /// Bulk streams when it is asked for transfers. A device that refuses its bandwidth once, as
    /// some refuse a negotiation, is told again.
    func start(_ agreement: StreamAgreement<VideoSource>) async throws(USBError) {
        guard let setting = agreement.setting.agreed.alternateSetting else { return }
        let interface = agreement.setting.negotiation.interface.number
        do throws(USBError) {
            try await device.setAlternateSetting(interface: interface, to: setting.number)
        } catch {
            guard error.code == .stall else { throw error }
            try await device.setAlternateSetting(interface: interface, to: setting.number)
            notice("The device refused alternate setting \(setting.number) once.")
        }
    }

    func alternative(
        to agreement: StreamAgreement<VideoSource>, meeting request: StreamRequest, after refusal: StreamRefusal
    ) async throws -> StreamRequest {
        guard refusal.error.code == .stall || refusal.error.code == .noBandwidth else { throw refusal.error }
        let agreed = agreement.setting.agreed
        let speed = device.information.speed
        let narrower = try await agreement.setting.negotiation.narrower(
            than: agreed, meeting: request.wish, refusal: refusal.error,
            carries: { await refusal.carries(Self.shape(of: $0, speed: speed)) })
        notice("There is no bandwidth for \(agreed.choice): using \(narrower) instead.")
        return StreamRequest(narrower)
    }

    /// Alternate setting 0, or for bulk a cleared halt (which is how UVC's bulk cameras are told).
    func stop(_ agreement: StreamAgreement<VideoSource>) async throws(USBError) {
        if agreement.setting.agreed.alternateSetting != nil {
            try await device.setAlternateSetting(interface: agreement.setting.negotiation.interface.number, to: 0)
        } else {
            try await device.clearHalt(endpoint: agreement.endpoint)
        }
    }

    /// While it streams it is asked for the error of its last request, where it knows that.
    func confirmAnswering(whileStreaming: Bool) async throws(USBError) {
        guard whileStreaming else { return try await negotiations.first?.confirmAnswering() ?? () }
        guard !quirks.contains(.noErrorCode) else { return }
        let question = VideoRequest.getCur.setup(
            selector: VideoSelector.requestErrorCode, entity: 0, interface: controlInterface, length: 1)
        do throws(USBError) {
            _ = try await device.control(question, sending: [], timeout: .seconds(1))
        } catch {
            guard error.code == .stall else { throw error }
        }
    }
}
