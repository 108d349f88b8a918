// What a driver is given when it starts: its device, its settings, what its predecessor left.

public import USB
public import Wire

/// Everything that a driver has.
public struct DriverContext: Sendable {
    /// `vendor:product:serial`, or `vendor:product@path`, as `userdriver list` shows it.
    public let deviceID: String
    /// The one device, opened by the supervisor; nothing is claimed yet.
    public let device: any USBDeviceHandle
    /// Which incarnation this is, from 1.
    public let generation: UInt32
    /// Settings and quirks from the driver's manifest that match this device.
    public let configuration: [String: JSONValue]
    /// What the previous incarnation recorded; `nil` at the first start and when the record is distrusted.
    public let record: JSONValue?
    /// Streams that somebody watches, with the request each was opened with.
    public let streams: [String: JSONValue]
    /// What interrupted those streams, `nil` at a first start.
    public let interruption: DriverStart.Interruption?
    /// The device was never released: streams are taken over with `SupervisorLink.openTransfers(name:fresh: nil)` and not restarted.
    public let takeover: DriverStart.Takeover?
    /// The way to the supervisor: the record, log lines, events, requests for rings.
    public let supervisor: SupervisorLink
    /// Shows the supervisor that this process makes progress.
    public let progress: Progress

    /// For a driver's own tests, which have no supervisor.
    public init(
        deviceID: String, device: any USBDeviceHandle, generation: UInt32, configuration: [String: JSONValue], record: JSONValue?,
        streams: [String: JSONValue], interruption: DriverStart.Interruption?, takeover: DriverStart.Takeover? = nil,
        supervisor: SupervisorLink, progress: Progress
    ) {
        self.deviceID = deviceID
        self.device = device
        self.generation = generation
        self.configuration = configuration
        self.record = record
        self.streams = streams
        self.interruption = interruption
        self.takeover = takeover
        self.supervisor = supervisor
        self.progress = progress
    }

    /// A quirk or setting that is a flag: false if it isn't set.
    public func flag(_ name: String) -> Bool { configuration[name]?.boolValue ?? false }
}
