// A camera: its formats, its controls, its frames.

@_exported public import CameraInterface
import Wire

/// A webcam that the daemon drives.
public struct Camera: Sendable {
    public let client: UserDriverClient
    /// An id, `vid:pid`, a bus path or a part of the name; `nil` for the only camera.
    public let selector: String?

    public func formats() async throws(ClientError) -> [CameraFormat] {
        let reply = try await client.request("Formats", of: CameraInterface.name, ["device": selector])
        return try UserDriverClient.decode([CameraFormat].self, reply["formats"], of: "Formats")
    }

    /// The controls that the camera's descriptors announce: the camera is not asked, so this takes no time.
    public func controlNames() async throws(ClientError) -> [CameraControlName] {
        let reply = try await client.request("ControlNames", of: CameraInterface.name, ["device": selector])
        return try UserDriverClient.decode([CameraControlName].self, reply["controls"], of: "ControlNames")
    }

    /// Whether the camera has a button and tells when it is pressed (``CameraEvent``); false if its driver doesn't say. The camera is not asked.
    public func hasButton() async throws(ClientError) -> Bool {
        try await client.request("ControlNames", of: CameraInterface.name, ["device": selector])["button"]?.boolValue ?? false
    }

    /// Controls with their values; all of them, or those of these names. One that does not answer has a `problem`, and does not hold up the
    /// others. Ask a slow camera for one after the other.
    public func controls(_ names: [String]? = nil) async throws(ClientError) -> [CameraControl] {
        let reply = try await client.request("GetControls", of: CameraInterface.name, ["device": selector], Self.list(names))
        return try UserDriverClient.decode([CameraControl].self, reply["controls"], of: "GetControls")
    }

    private static func list(_ names: [String]?) -> [String: JSONValue] {
        names.map { ["names": .array($0.map { .string($0) })] } ?? [:]
    }

    /// One control, for which the camera is given more time. Throws `deviceError` if it does not answer.
    public func control(_ name: String) async throws(ClientError) -> CameraControl {
        let reply = try await client.request("GetControl", of: CameraInterface.name, ["device": selector, "name": name])
        return try UserDriverClient.decode(CameraControl.self, reply["control"], of: "GetControl")
    }

    /// Sets a control, in its own units, and returns it as the device then reports it. Throws `invalidParameter` if out of range.
    @discardableResult
    public func setControl(_ name: String, to value: Int) async throws(ClientError) -> CameraControl {
        let reply = try await client.request(
            "SetControl", of: CameraInterface.name, ["device": selector, "name": name], ["value": .int(Int64(value))])
        return try UserDriverClient.decode(CameraControl.self, reply["control"], of: "SetControl")
    }

    /// Resets one control, or every one that can be set, to the device's default.
    @discardableResult
    public func resetControls(_ name: String? = nil) async throws(ClientError) -> [CameraControl] {
        let reply = try await client.request("ResetControls", of: CameraInterface.name, ["device": selector, "name": name])
        return try UserDriverClient.decode([CameraControl].self, reply["controls"], of: "ResetControls")
    }

    /// Resets those of these controls that can be set, as many as possible, to the device's default.
    public func resetControls(_ names: [String]) async throws(ClientError) -> CameraControlReset {
        let reply = try await client.request("ResetControls", of: CameraInterface.name, ["device": selector], Self.list(names))
        return CameraControlReset(
            controls: try UserDriverClient.decode([CameraControl].self, reply["controls"], of: "ResetControls"),
            failed: try UserDriverClient.decode([CameraControlReset.Failure].self, reply["failed"] ?? .array([]), of: "ResetControls"))
    }

    /// The camera's frames, and what happens to them, as an asynchronous sequence. Whatever is left out, the driver chooses.
    public func frames(_ request: CameraRequest = CameraRequest(), options: FrameStream.Options = .init()) -> FrameEvents {
        FrameEvents(client: client, selector: selector, request: request, options: options)
    }

    /// The same on the caller's own thread, which it blocks: the shortest way from the camera to the caller.
    ///
    /// Waits for the daemon to open the stream; `cancellation` ends that wait, and later the stream. Throws `noSuchDevice`, `busy` (it is open in another form), `notPermitted`…
    public func openStream(
        _ request: CameraRequest = CameraRequest(), options: FrameStream.Options = .init(), cancellation: Cancellation = Cancellation()
    ) throws(ClientError) -> FrameStream {
        try FrameStream(client: client, selector: selector, request: request, options: options, cancellation: cancellation)
    }
}
