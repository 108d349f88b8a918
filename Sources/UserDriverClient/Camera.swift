// A camera: its formats, its controls, its frames.

import Wire

/// A webcam that the daemon drives.
public struct Camera: Sendable {
    public let client: UserDriverClient
    /// An id, `vid:pid`, a bus path or a part of the name; `nil` for the only camera.
    public let selector: String?

    public func formats() async throws(ClientError) -> [CameraFormat] {
        let reply = try await client.call("Formats", of: .camera, ["device": selector])
        return try UserDriverClient.decode([CameraFormat].self, reply["formats"], of: "Formats")
    }

    public func controls() async throws(ClientError) -> [CameraControl] {
        let reply = try await client.call("GetControls", of: .camera, ["device": selector])
        return try UserDriverClient.decode([CameraControl].self, reply["controls"], of: "GetControls")
    }

    public func control(_ name: String) async throws(ClientError) -> CameraControl {
        let reply = try await client.call("GetControl", of: .camera, ["device": selector, "name": name])
        return try UserDriverClient.decode(CameraControl.self, reply["control"], of: "GetControl")
    }

    /// Sets a control, in the units it counts in, and returns it as the device then says it is. Throws `invalidParameter` out of its range.
    @discardableResult
    public func setControl(_ name: String, to value: Int) async throws(ClientError) -> CameraControl {
        let reply = try await client.call(
            "SetControl", of: .camera, ["device": selector, "name": name], ["value": .int(Int64(value))])
        return try UserDriverClient.decode(CameraControl.self, reply["control"], of: "SetControl")
    }

    /// One control, or every one that can be set, back to the device's default.
    @discardableResult
    public func resetControls(_ name: String? = nil) async throws(ClientError) -> [CameraControl] {
        let reply = try await client.call("ResetControls", of: .camera, ["device": selector, "name": name])
        return try UserDriverClient.decode([CameraControl].self, reply["controls"], of: "ResetControls")
    }

    /// The camera's frames, and what happens to them, as an asynchronous sequence. What is left out is the driver's choice.
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
