// Which camera a verb means.

import Synchronization
import UserDriverClient
import Wire

enum ChosenCamera {
    /// The one that is meant. Without a name, the only camera that is there, whatever else is.
    static func device(among devices: [DeviceStatus], selector: String?) throws -> DeviceStatus {
        func isCamera(_ device: DeviceStatus) -> Bool { device.kind == "webcam" || !device.streams.isEmpty }
        let meant = selector == nil ? devices.filter { isCamera($0) && $0.state != .absent } : devices
        guard let device = meant.first else {
            throw ClientError(
                .noSuchDevice,
                selector.map { "No device is called \"\($0)\"." }
                    ?? "No camera is attached. To try one in software: userdriver up --emulate webcam")
        }
        guard meant.count == 1 else {
            throw ClientError(
                .ambiguousDevice, "Several cameras match; say which one: \(meant.map(\.id).joined(separator: ", ")).")
        }
        guard isCamera(device) else {
            throw device.kind == "scanner"
                ? CommandFailure("\(device.id) is a scanner, not a camera: scan with `userdriver scan`, or on the page.")
                : CommandFailure("\(device.id) is not a camera that is being driven: see `userdriver status`.")
        }
        return device
    }

    /// Opens the camera's stream. Where the daemon finds several devices, or none that streams, what they are decides.
    static func open(
        _ client: UserDriverClient, _ selector: String?, _ request: CameraRequest, options: FrameStream.Options,
        cancellation: Cancellation = Cancellation()
    ) throws -> FrameStream {
        do throws(ClientError) {
            return try client.camera(selector).openStream(request, options: options, cancellation: cancellation)
        } catch {
            guard [.ambiguousDevice, .invalidParameter].contains(error.code), let devices = devices(client, selector),
                selector == nil || devices.allSatisfy({ $0.kind == "scanner" })
            else { throw error }
            let device = try device(among: devices, selector: selector)
            // The daemon's own words are better for a camera that it knew.
            if error.code == .invalidParameter { throw error }
            return try client.camera(device.id).openStream(request, options: options, cancellation: cancellation)
        }
    }

    /// The camera whose controls are meant. A device that is named, or the only one, may be any that has controls.
    static func camera(_ client: UserDriverClient, _ selector: String?) async throws -> Camera {
        let devices = try await client.devices(selector)
        let isSettled = selector != nil || devices.count == 1
        if isSettled, !devices.allSatisfy({ $0.kind == "scanner" }) { return client.camera(selector) }
        return client.camera(try device(among: devices, selector: selector).id)
    }

    private static func devices(_ client: UserDriverClient, _ selector: String?) -> [DeviceStatus]? {
        let found = Mutex<[DeviceStatus]?>(nil)
        // Why they can't be had matters less than what is to be said anyway.
        try? Awaited.run {
            let devices = try await client.devices(selector)
            found.withLock { $0 = devices }
        }
        return found.withLock { $0 }
    }
}
