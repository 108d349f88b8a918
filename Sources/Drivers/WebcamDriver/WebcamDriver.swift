// The webcam driver: which function of the device, which stream, what is kept for the next
// incarnation.

import CameraInterface
import DriverStreams
import USB
import UVC
package import UserDriver
package import Wire

/// Drives the first video function of a device. It has one stream, `video`, from whichever of its
/// streaming interfaces offers what is asked for.
package actor WebcamDriver: Driver {
    package static let name = "webcam-driver"
    package static let supportsHandover = true

    package nonisolated let facts: DriverFacts
    private nonisolated let context: DriverContext
    private nonisolated let stream: StreamSession<VideoSource>
    private let function: VideoFunction
    private let quirks: VideoQuirks
    private var record: RecoveryRecord
    private let controls: CameraControls
    private let news: CameraNews
    private var status: InterruptListener?

    package static func start(_ context: DriverContext) async throws -> WebcamDriver {
        let driver = try WebcamDriver(context)
        try await driver.takeUp()
        return driver
    }

    private init(_ context: DriverContext) throws {
        // Streams' requests go before those of controls.
        let pipe = ControlPipe(context.device)
        let context = context.replacing(device: pipe.ahead)
        self.context = context
        let information = context.device.information
        let descriptors = DescriptorSet(parsing: information.descriptors)
        guard let configuration = descriptors.configurations.first else {
            throw USBError(.malformedAnswer, operation: "reading the descriptors", detail: "the device has no configuration")
        }
        let functions = VideoFunction.all(
            in: configuration, speed: information.speed, allowingVendorClass: context.flag("vendor-class"))
        guard let function = functions.first(where: { $0.streamingInterfaces.contains { !$0.formats.isEmpty } }) ?? functions.first else {
            throw USBError(.malformedAnswer, operation: "reading the descriptors", detail: "the device has no video function")
        }
        self.function = function
        quirks = VideoQuirks.names.reduce(into: []) { set, entry in if context.flag(entry.name) { set.insert(entry.quirk) } }
        record = RecoveryRecord()
        news = CameraNews(function, context.supervisor)
        let notice: @Sendable (String) -> Void = { [supervisor = context.supervisor] in supervisor.log("notice", $0) }
        controls = CameraControls(device: pipe.inTurn, function: function, quirks: quirks, notice: notice)
        stream = StreamSession(
            name: "video", source: VideoSource(device: context.device, function: function, quirks: quirks, notice: notice),
            context: context)
        facts = DriverFacts(
            kind: "webcam", name: information.product ?? information.manufacturer ?? "Webcam",
            interfaces: [CameraInterface.name], streams: [stream.name])
    }

    /// Claims the interfaces and takes up what the incarnation before was doing.
    private func takeUp() async throws {
        do {
            record = try RecoveryRecord.read(context.record)
        } catch {
            context.supervisor.log("warning", "The recovery record can't be read and is ignored: \(error)")
        }
        await stream.keep(record.stream ?? StreamRecord()) { [weak self] in await self?.remember($0) }
        try await stream.takeOver()
        for interface in function.interfaceNumbers { try await context.device.claim(interface: interface) }
        if let endpoint = function.statusEndpoint {
            status = InterruptListener(context, endpoint: endpoint.address, maxPacketSize: endpoint.maxPacketSize) {
                [news] in news.heard($0)
            }
        }
        try await stream.resume()
        // A device that was never let go is as it was.
        guard context.takeover == nil else { return }
        // Known before the first call comes, so that none is answered with a value that is about to
        // be replaced.
        await controls.prepareRestoring(record.controls, defaults: quirks.contains(.restoreControls))
        Task { [controls] in await controls.restore() }
    }

    private func remember(_ stream: StreamRecord<StreamRequest>) {
        record.stream = stream
        keepRecord()
    }

    private func keepRecord() {
        do {
            context.supervisor.record(try JSONValue(encoding: record))
        } catch {
            context.supervisor.log("error", "The recovery record could not be written: \(error)")
        }
    }

    package func openStream(name: String, request: JSONValue) async throws {
        guard name == stream.name else {
            throw CallError("InvalidParameter", "This camera has no stream \"\(name)\"; it has \"\(stream.name)\".")
        }
        try await stream.open(request)
    }

    package func closeStream(name: String) async { if name == stream.name { await stream.close() } }

    package func call(_ call: ServiceCall) async throws -> JSONValue {
        let parameters = call.parameters
        switch CameraInterface.Method(rawValue: call.method) {
        case .formats:
            return try answer(CameraInterface.Formats(formats: CameraCalls.formats(function.streamingInterfaces)))
        case .controlNames:
            let button = function.statusEndpoint != nil && function.streamingInterfaces.contains(where: \.stillImage.hasButton)
            return try answer(CameraInterface.ControlNames(controls: controls.announced.map(CameraCalls.name), button: button))
        case .getControls:
            let readings = try await controls.read(try CameraCalls.names(in: parameters))
            return try answer(CameraInterface.Controls(controls: readings.map(CameraCalls.control)))
        case .getControl: return try answer(try await controls.one(try CameraCalls.name(in: parameters)))
        case .setControl:
            let name = try CameraCalls.name(in: parameters)
            guard let value = parameters["value"]?.intValue else {
                throw CallError("InvalidParameter", "SetControl takes a whole number as its value.")
            }
            let state = try await controls.set(name, to: value)
            record.controls[state.control.name] = state.value ?? value
            keepRecord()
            news.set(state)
            return try answer(state)
        case .resetControls: return try await resetControls(parameters)
        case nil: throw CallError("NotSupported", "A webcam does not know the method \(call.method).")
        }
    }

    private func answer(_ state: ControlState) throws -> JSONValue {
        try answer(CameraInterface.OneControl(control: CameraCalls.control(state)))
    }

    private func answer(_ reply: some Encodable) throws -> JSONValue { try JSONValue(encoding: reply) }

    private func resetControls(_ parameters: JSONValue) async throws -> JSONValue {
        let names = try CameraCalls.names(in: parameters)
        var result = ControlReset()
        if names == nil, let name = parameters["name"]?.stringValue {
            result.states = [try await controls.reset(name)]
        } else {
            result = try await controls.reset(names)
        }
        // What could not be reset is not to be set again either.
        for name in result.states.map(\.control.name) + result.failures.map(\.name) { record.controls[name] = nil }
        if names == nil, parameters["name"]?.stringValue == nil { record.controls = [:] }
        keepRecord()
        for state in result.states { news.set(state) }
        return try answer(
            CameraControlReset(
                controls: result.states.map(CameraCalls.control), failed: result.failures.map(CameraCalls.failure)))
    }

    package nonisolated func statistics() -> DriverStatistics {
        DriverStatistics(streams: stream.statistics().map { [stream.name: $0] } ?? [:])
    }

    package func stop() async {
        await stream.close()
        status?.stop()
        context.device.close()
    }
}
