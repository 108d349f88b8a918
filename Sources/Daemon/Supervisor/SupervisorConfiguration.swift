// What a supervisor is told when it starts.

import CLinux
import Sandbox
public import Spawn

/// Folders, attachments, limits and times of a supervisor.
public struct SupervisorConfiguration: Sendable {
    /// Bounds on what clients and devices can make it hold.
    public struct Limits: Sendable {
        public var clients = 256
        /// How many of these may belong to one user other than root and the daemon's.
        public var clientsPerUser = 64
        /// Bytes of a client's message.
        public var messageBytes = 48 << 10
        /// Values in a client's message.
        public var messageValues = 8192
        /// Descriptors that a client has been sent and has not taken yet.
        public var unreadDescriptors = 16
        /// What a device's driver may have said of it, to whoever listens and in the log. What is beyond is left out, and how much is said.
        var events = Quota.Rates(bytes: 64 << 10, count: 100)
        var logLines = Quota.Rates(bytes: 16 << 10, count: 50)
        var streamChanges = Quota.Rates(bytes: 0, count: 2)
        /// What is read of all that a driver says and prints; the rest waits, and with it the driver.
        var driverTalk = Quota.Rates(bytes: 4 << 20, count: 4000)
        /// Bytes that may wait for a client that doesn't read, before it is cut off.
        public var backlogBytes = 1 << 20
        public var callsPerDevice = 64
        /// How many of these may belong to one user other than root and the daemon's.
        public var callsPerUser = 32
        /// Bytes of memory that a call takes along, and that a driver has been given for replies it
        /// has not sent.
        public var memoryBytesPerCall = 16 << 20
        public var memoryBytesPerDevice = 64 << 20
        public var streamsPerDevice = 8
        /// Bytes of all rings that a device's driver holds or may hold still, frames' and transfers'. 4K at 60 frames a second, raw, takes 66 MB a ring, and
        /// three of them while it goes from one to the next.
        public var ringBytesPerDevice = 512 << 20
        /// Bytes, as they go out to a driver, of what a client asks of a stream, and of what is asked of all streams of a device: with the record
        /// (`RecoveryRecord.maximumBytes`) and the device's description they fit into the message that starts a driver.
        public var requestBytes = 4 << 10
        public var requestBytesPerDevice = 8 << 10
        /// Bytes of what a driver says of its frames.
        public var descriptionBytes = 4 << 10
        public var attachments = 64
        /// Devices that are remembered, absent ones included.
        public var devices = 256
        /// Functions of a device that are driven, each by a process of its own.
        public var functionsPerDevice = 8
        public var crashReports = 100
        public var objects = ObjectLimits()
        public init() {}

        /// Serves fewer clients where this process may have few descriptors, so that there are some left for devices and drivers.
        public mutating func fit(descriptors: Int) {
            guard descriptors < 8192 else { return }
            unreadDescriptors = min(unreadDescriptors, 4)
            clients = min(clients, max(8, descriptors / 8))
            clientsPerUser = min(clientsPerUser, max(4, clients / 4))
        }
    }

    /// Times. Tests make them short.
    public struct Timing: Sendable {
        /// How long a driver may take to say hello, and again to take up its device.
        public var startLimit = Duration.seconds(10)
        /// How long it may take to take over a device that streams.
        public var takeoverLimit = Duration.seconds(2)
        /// How long a client waits for an answer, whatever happens to the driver in the meantime,
        /// unless the manifest says otherwise for the method.
        public var callLimit = Duration.seconds(12)
        /// How long a client may hold a connection and have nothing answered on it.
        public var idleLimit = Duration.seconds(300)
        public var heartbeatLimit = Duration.seconds(3)
        public var streamTurnLimit = Duration.milliseconds(500)
        public var frameLimit = Duration.seconds(1)
        /// How often at most a stream's ring changes because somebody comes or leaves.
        public var ringInterval = Duration.milliseconds(250)
        /// How long remaining readers may take to finish a ring that the stream has left: longer than it has frames for.
        public var ringPatience = Duration.seconds(2)
        /// How long a driver may take to go on in another ring while it has frames.
        public var ringLimit = Duration.seconds(2)
        public var firstFrameLimit = Duration.seconds(3)
        public var watchTick = Duration.milliseconds(100)
        public var firstRestartDelay = Duration.milliseconds(100)
        public var longestRestartDelay = Duration.seconds(30)
        public var restartsToOpenCircuit = 10
        /// When a new version of a driver gives way to the one before.
        var probation = DriverChoice.Configuration()
        /// How long a driver that was told to stop may take, before SIGTERM.
        public var stopPatience = Duration.seconds(2)
        /// After that.
        public var teardown = [TeardownStep(signal: 15, patience: .milliseconds(500))]
        /// For a driver that hangs: SIGABRT makes it leave its last words.
        public var hangTeardown = TeardownStep.hung
        /// How often an attached device that isn't there is looked for, at first and at most.
        public var firstLook = Duration.milliseconds(200)
        public var longestLook = Duration.seconds(2)
        /// How long a driver that streams goes on without a supervisor, where what it streams is in the descriptor store. Whole seconds.
        public var afterlife = Duration.seconds(30)
        /// How long a stream that survived a supervisor waits for its watchers to return.
        public var watchersReturn = Duration.seconds(10)
        /// How long looking up a backtrace's names may take.
        public var namesLimit = Duration.seconds(5)
        /// How long a device may be held by someone else (usually the connection of a driver that has just died).
        public var busyPatience = Duration.seconds(5)
        public init() {}
    }

    /// Where the socket is made, as `io.userdriver`; it must exist.
    public var runtimeDirectory: String
    /// Where crash reports and device identities are kept; it must exist.
    public var stateDirectory: String
    /// Folders that hold `NAME.driver` bundles, or are one.
    public var driverFolders: [String]
    /// Lists of signers (OpenSSH's allowed_signers); all of them count. A driver that none of them signed is not run.
    public var allowedSigners: [String] = []
    /// Lists of revoked keys: KRLs, or public keys line by line.
    public var revokedKeys: [String] = []
    /// Whether drivers without a signature are run. For development; said in every status.
    public var allowsUnsigned = false
    /// Devices on other machines: `usbip://HOST[:PORT]/BUSID`.
    public var attachments: [AttachmentURL]
    /// Whether the devices of this machine are driven.
    public var usesUSB = true
    /// Whether every device is taken from the kernel's own driver unless something else is specified for it.
    public var detachesKernelDrivers = false
    /// The administrator's file that says which devices are taken from the kernel's drivers. It need not exist.
    public var policyPath: String?
    /// A listening socket that the supervisor serves instead of creating one: its creator keeps it when the supervisor ends.
    public var listener: Int32?
    /// Where streams that survive the supervisor are kept. With it nothing is given back to the
    /// kernel's drivers when the supervisor ends: the next one continues, or `DeviceReturn` gives
    /// devices back.
    public var store: (any DescriptorStore)?
    /// What an earlier supervisor left there. The supervisor owns the descriptors.
    public var inherited: [StoredDescriptor] = []
    /// The program that owns a USB/IP device's socket.
    public var portExecutable = "/usr/lib/userdriver/usbip-proxy"
    /// The program that looks up the names in a dead driver's backtrace: one whose `main` begins with `NameLookup.runIfAsked`. Without it reports
    /// have addresses.
    public var namesExecutable: String?
    /// Whether a process of each driver waits for one that runs to die, to take its place at once.
    public var keepsStandby = true
    /// Whether drivers are held in. Off is for development, and said in every status.
    public var sandboxesDrivers = true
    /// Whether drivers may have streams' transfers in the kernel's own memory, with a process each that keeps it.
    public var mapsTransfers = true
    /// Folders of libraries that drivers are linked with, beside the system's.
    public var libraryFolders: [String] = []
    /// Whether there may be a host of that name; blocks.
    var resolves: @Sendable (String) -> Bool = { clinux_tcp_resolves($0) != 0 }
    /// What sandboxes are made of; tests make it less than the kernel has.
    var kernelFeatures = KernelFeatures.present
    public var limits = Limits()
    public var timing = Timing()

    public static let socketName = "io.userdriver"
    public static let lockName = "lock"

    public init(runtimeDirectory: String, stateDirectory: String, driverFolders: [String], attachments: [AttachmentURL] = []) {
        self.runtimeDirectory = runtimeDirectory
        self.stateDirectory = stateDirectory
        self.driverFolders = driverFolders
        self.attachments = attachments
    }

    var socketPath: String { runtimeDirectory + "/" + Self.socketName }

    var watchdog: Watchdog.Configuration {
        var result = Watchdog.Configuration()
        result.startLimit = timing.startLimit
        result.takeoverLimit = timing.takeoverLimit
        result.turnLimit = timing.streamTurnLimit
        result.frameLimit = timing.frameLimit
        result.firstFrameLimit = timing.firstFrameLimit
        result.heartbeatLimit = timing.heartbeatLimit
        result.tick = timing.watchTick
        return result
    }

    var restarts: RestartPolicy.Configuration {
        var result = RestartPolicy.Configuration()
        result.firstDelay = timing.firstRestartDelay
        result.longestDelay = timing.longestRestartDelay
        result.deathsToOpen = timing.restartsToOpenCircuit
        return result
    }
}
