// What `io.userdriver.Diagnose` says: what only the supervisor knows of the layers that a device stands on.

/// The supervisor's part of `userdriver stack` and `userdriver doctor`.
public struct Diagnosis: Codable, Hashable, Sendable {
    /// The daemon itself.
    public struct Daemon: Codable, Hashable, Sendable {
        public var version: String
        public var pid: Int32
        /// Whom the kernel asks when a node is opened: effective user and groups.
        public var user: UInt32
        public var groups: [UInt32]
        /// Whether the devices of this machine are driven, and whether the kernel's own driver is taken off them.
        public var usesUSB: Bool
        public var detachesKernelDrivers: Bool
        public init(version: String, pid: Int32, user: UInt32, groups: [UInt32], usesUSB: Bool, detachesKernelDrivers: Bool) {
            self.version = version
            self.pid = pid
            self.user = user
            self.groups = groups
            self.usesUSB = usesUSB
            self.detachesKernelDrivers = detachesKernelDrivers
        }
    }

    /// A bundle that was found, whether or not it is used.
    public struct Driver: Codable, Hashable, Sendable {
        public var path: String
        /// Empty if the manifest could not be read, as is `version`.
        public var id: String
        public var version: String
        /// How far it is trusted: `"unsigned"`. Empty for one that is refused.
        public var verdict: String
        /// Why it is not used.
        public var problem: String?
        /// The same for programs, of one that is used too: `"Unsigned"`, `"NotTrusted"` where its signature does not count, `"Unusable"` for all
        /// other reasons; absent where there is nothing to be said.
        public var code: String?
        public init(path: String, id: String = "", version: String = "", verdict: String = "", problem: String? = nil, code: String? = nil)
        {
            self.code = code
            self.path = path
            self.id = id
            self.version = version
            self.verdict = verdict
            self.problem = problem
        }
    }

    /// A device on another machine that is looked for.
    public struct Attachment: Codable, Hashable, Sendable {
        public var url: String
        /// Why it isn't there.
        public var problem: String?
        /// The id of the device that is there.
        public var device: String?
        public init(url: String, problem: String? = nil, device: String? = nil) {
            self.url = url
            self.problem = problem
            self.device = device
        }
    }

    public struct Ring: Codable, Hashable, Sendable {
        public var stream: String
        /// Bytes of shared memory.
        public var bytes: Int
        public init(stream: String, bytes: Int) {
            self.stream = stream
            self.bytes = bytes
        }
    }

    /// A device, as `Status` tells of it, and what is below and above that.
    public struct Device: Codable, Hashable, Sendable {
        public var status: DeviceStatus
        /// The usbfs node; `nil` for a device on another machine.
        public var node: String?
        /// Why the daemon can't open the node for reading and writing.
        public var nodeProblem: String?
        /// Numbers of the interfaces that its driver claims.
        public var interfaces: [Int]
        public var driver: Driver?
        public var rings: [Ring]
        /// What last went wrong with it, until it delivers again.
        public var trouble: String?
        /// The same as a value: which layer is at fault, as far as driver or supervisor know.
        public var fault: CallError?
        public init(
            status: DeviceStatus, node: String? = nil, nodeProblem: String? = nil, interfaces: [Int] = [], driver: Driver? = nil,
            rings: [Ring] = [], fault: CallError? = nil
        ) {
            self.fault = fault
            self.status = status
            self.node = node
            self.nodeProblem = nodeProblem
            self.interfaces = interfaces
            self.driver = driver
            self.rings = rings
            trouble = fault?.message
        }
    }

    public var daemon: Daemon
    public var drivers: [Driver]
    public var attachments: [Attachment]
    public var devices: [Device]
    public init(daemon: Daemon, drivers: [Driver] = [], attachments: [Attachment] = [], devices: [Device] = []) {
        self.daemon = daemon
        self.drivers = drivers
        self.attachments = attachments
        self.devices = devices
    }
}
