// The way to the daemon: what devices there are, how they are, and what can be done with them.

import CLinux
public import Wire

/// A client of the UserDriver daemon. Each call makes a connection of its own, on a thread of its own: nothing blocks Swift's tasks.
public struct UserDriverClient: Sendable {
    public let runtimeDirectory: RuntimeDirectory
    /// How long a call may take before it throws `timedOut`.
    public var callTimeout: Duration = .seconds(15)

    /// `nil`: the daemon that `RuntimeDirectory.client` finds. Nothing is connected yet.
    public init(runtimeDirectory: RuntimeDirectory? = nil) {
        self.runtimeDirectory = runtimeDirectory ?? RuntimeDirectory.client()
    }

    /// A client whose daemon has answered. Throws `ClientError` `daemonNotRunning`, `notPermitted`.
    public static func connect(runtimeDirectory: RuntimeDirectory? = nil) async throws(ClientError) -> UserDriverClient {
        let client = UserDriverClient(runtimeDirectory: runtimeDirectory)
        _ = try await client.devices()
        return client
    }

    /// Every device that is attached or was. With a selector the one it names: an id, `vid:pid`, a bus path or a part of the name.
    public func devices(_ selector: String? = nil) async throws(ClientError) -> [DeviceStatus] {
        try Self.decode([DeviceStatus].self, try await request("Status", ["device": selector])["devices"], of: "Status")
    }

    /// Addresses that the daemon looks for, with the device that is there or why there is none.
    public func attachments() async throws(ClientError) -> [Diagnosis.Attachment] {
        // A daemon of an earlier version says nothing of them.
        guard let attachments = try await request("Status")["attachments"] else { return [] }
        return try Self.decode([Diagnosis.Attachment].self, attachments, of: "Status")
    }

    /// The device that the selector names; without one, the only one.
    public func device(_ selector: String? = nil) async throws(ClientError) -> DeviceStatus {
        let devices = try await devices(selector)
        guard let device = devices.first else {
            throw ClientError(.noSuchDevice, selector.map { "No device is called \"\($0)\"." } ?? "No device is attached.")
        }
        guard devices.count == 1 else {
            throw ClientError(
                .ambiguousDevice, "Several devices match; say which one: \(devices.map(\.id).joined(separator: ", ")).")
        }
        return device
    }

    /// What only the daemon knows about the layers under its devices, or under the one that the selector names.
    public func diagnose(_ selector: String? = nil) async throws(ClientError) -> Diagnosis {
        try Self.decode(Diagnosis.self, try await request("Diagnose", ["device": selector]), of: "Diagnose")
    }

    /// A device's descriptors as it gave them.
    public func inspect(_ selector: String? = nil) async throws(ClientError) -> DeviceInspection {
        let reply = try await request("Inspect", ["device": selector])
        guard let inspection = DeviceInspection(reply) else { throw Self.malformed("Inspect") }
        return inspection
    }

    /// Ends the device's driver and starts it again; closes an open circuit.
    public func restart(_ selector: String? = nil) async throws(ClientError) {
        _ = try await request("Restart", ["device": selector])
    }

    /// Cuts a process off from the device: it sees no frame after the current one, and gets no more for as long as it runs. Throws
    /// `invalidParameter` if it is not watching.
    public func revoke(_ process: Int32, device selector: String? = nil) async throws(ClientError) {
        _ = try await request("Revoke", ["device": selector], ["process": .int(Int64(process))])
    }

    /// The drivers that are installed, including those that may not run.
    public func drivers() async throws(ClientError) -> [DriverStatus] {
        try Self.decode([DriverStatus].self, try await request("Drivers")["drivers"], of: "Drivers")
    }

    /// Makes the daemon read its drivers and the lists of trust again; devices whose driver has changed get the new one. Throws
    /// `notPermitted`.
    @discardableResult
    public func reloadDrivers() async throws(ClientError) -> [DriverStatus] {
        try Self.decode([DriverStatus].self, try await request("ReloadDrivers")["drivers"], of: "ReloadDrivers")
    }
    /// Takes the device from the kernel's own driver, now and whenever it is plugged in.
    public func take(_ selector: String? = nil) async throws(ClientError) { _ = try await request("Take", ["device": selector]) }
    /// Gives the device back to the kernel's own driver, now and whenever it is plugged in.
    public func release(_ selector: String? = nil) async throws(ClientError) { _ = try await request("Release", ["device": selector]) }
    /// How many `/dev/videoN` the camera should have, if `userdriver-video` runs: 0 for none.
    public func setNodes(_ selector: String? = nil, to count: Int) async throws(ClientError) {
        _ = try await request("SetNodes", ["device": selector], ["nodes": .int(Int64(count))])
    }

    /// What would change if `take` ("all", "none", "rules") were set up; with `apply`, what changed
    /// now that it has been written where the daemon finds it. Throws `notPermitted`.
    public func setUp(take: String, apply: Bool) async throws(ClientError) -> [SetUpChange] {
        let reply = try await request("SetUp", ["take": take], ["apply": .bool(apply)])
        return try Self.decode([SetUpChange].self, reply["changes"], of: "SetUp")
    }

    /// What drivers died of, oldest first.
    public func crashes(_ selector: String? = nil) async throws(ClientError) -> [CrashReport] {
        try Self.decode([CrashReport].self, try await request("Crashes", ["device": selector])["crashes"], of: "Crashes")
    }

    /// A device on another machine: `usbip://HOST[:PORT]/BUSID`. The daemon, and later daemons, look for it until it is detached; if
    /// `transient`, only until this one ends. Throws `invalidParameter` if there is no such host.
    public func attach(_ url: String, transient: Bool = false) async throws(ClientError) {
        _ = try await request("Attach", ["url": url], transient ? ["transient": .bool(true)] : [:])
    }
    public func detach(_ url: String) async throws(ClientError) { _ = try await request("Detach", ["url": url]) }

    /// A camera; without a selector, the only one.
    public func camera(_ selector: String? = nil) -> Camera { Camera(client: self, selector: selector) }

    /// What happens to all devices from now on. Iterating throws `connectionLost` when the daemon goes.
    public func events() async throws(ClientError) -> DeviceEvents {
        let directory = runtimeDirectory
        return try await ClientThread.run("userdriver-call") { (cancellation) throws(ClientError) in
            let connection = try DaemonConnection(directory)
            cancellation.enter(connection)
            try connection.send("\(ManagementInterface.name).Events", .object([:]), more: true)
            return try DeviceEvents(connection: connection)
        }
    }

    /// Returns once a daemon answers at the socket. Throws `daemonNotRunning` when none has after `timeout`.
    public func waitUntilRunning(timeout: Duration) async throws(ClientError) {
        let directory = runtimeDirectory
        try await ClientThread.run("userdriver-wait") { (cancellation) throws(ClientError) in
            let deadline = clinux_monotonic_ns() + timeout.clientNanoseconds
            let comeback = Comeback(directory, cancellation: cancellation)
            while true {
                do throws(ClientError) {
                    _ = try DaemonConnection(directory)
                    return
                } catch {
                    if cancellation.isCancelled { throw ClientError(.stopped, "The wait for the daemon was cancelled.") }
                    guard error.code == .daemonNotRunning, clinux_monotonic_ns() < deadline else { throw error }
                    comeback.wait(until: deadline)
                }
            }
        }
    }

    // MARK: - Calls

    func request(
        _ method: String, of interface: String = ManagementInterface.name, _ arguments: [String: String?] = [:],
        _ values: [String: JSONValue] = [:]
    ) async throws(ClientError) -> JSONValue {
        var parameters = values
        for (name, value) in arguments { if let value { parameters[name] = .string(value) } }
        let object = JSONValue.object(parameters)
        let (directory, timeout) = (runtimeDirectory, callTimeout)
        return try await ClientThread.run("userdriver-call") { (cancellation) throws(ClientError) in
            let connection = try DaemonConnection(directory)
            cancellation.enter(connection)
            return try connection.call("\(interface).\(method)", object, deadline: clinux_monotonic_ns() + timeout.clientNanoseconds)
        }
    }

    static func malformed(_ method: String) -> ClientError {
        ClientError(
            .malformedReply,
            "This program does not understand the daemon's reply to \(method): their versions differ. \(ClientError.versionRemedy)"
        )
    }

    static func decode<T: Decodable>(_ type: T.Type, _ value: JSONValue?, of method: String) throws(ClientError) -> T {
        guard let value else { throw malformed(method) }
        do {
            return try value.decoded(as: type)
        } catch {
            throw malformed(method)
        }
    }
}

extension Duration {
    /// Whole nanoseconds: 0 for negative durations, at most a hundred years.
    var clientNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(min(seconds, 3_000_000_000)) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}
