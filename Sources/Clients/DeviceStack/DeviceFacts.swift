// Everything that is known of one device, from the controller to those who watch it: what `StackJudge` judges.

public import USB
public import Wire

/// How the daemon could be asked.
public enum DaemonReach: Hashable, Sendable {
    case running(Diagnosis.Daemon)
    /// Nobody listens; the sentence says where.
    case notRunning(String)
    /// Somebody does, and doesn't serve whoever asks.
    case notPermitted(String)
    /// It answers with something else than an answer.
    case failed(String)
}

/// A device's facts.
public struct DeviceFacts: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        case local(LocalDevice)
        /// Nothing is plugged in at that path now; how often that port was switched off for too much current.
        case unplugged(path: String, overCurrentCount: Int?)
        case remote(RemoteServer)
    }
    public var place: Place
    public var machine: MachineFacts
    public var daemon: DaemonReach
    /// The daemon's part; `nil` if it doesn't know the device, or can't be asked.
    public var diagnosis: Diagnosis.Device?
    /// Bundles that the daemon refused.
    public var refused: [Diagnosis.Driver]
    public var lastCrash: CrashReport?
    /// The device descriptor and configurations; empty if they are not known.
    public var descriptors: [UInt8]
    public var speed: USBSpeed

    public init(
        place: Place, machine: MachineFacts, daemon: DaemonReach, diagnosis: Diagnosis.Device? = nil, refused: [Diagnosis.Driver] = [],
        lastCrash: CrashReport? = nil, descriptors: [UInt8] = [], speed: USBSpeed = .unknown
    ) {
        self.place = place
        self.machine = machine
        self.daemon = daemon
        self.diagnosis = diagnosis
        self.refused = refused
        self.lastCrash = lastCrash
        self.descriptors = descriptors
        self.speed = speed
    }

    /// As it is typed after `userdriver`.
    public var id: String {
        if let diagnosis { return diagnosis.status.id }
        switch place {
        case .local(let device): return device.id
        case .unplugged(let path, _): return path
        case .remote(let server): return "usbip://\(server.authority)/\(server.busID)"
        }
    }

    public var name: String {
        if let diagnosis { return diagnosis.status.name }
        if case .local(let device) = place, let product = device.product { return product }
        return ""
    }

    /// What went wrong last, as driver or daemon saw it, until the device delivers again.
    var fault: CallError? { diagnosis?.fault }

    /// That, where it is the fault of this layer.
    func fault(of layer: StackLayer.Name) -> CallError? { fault?.layer == layer.rawValue ? fault : nil }
}
