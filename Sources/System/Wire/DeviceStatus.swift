// What `io.userdriver` says of a device: the JSON that scripts rely on.

/// A device, as `userdriver status --json` prints it.
public struct DeviceStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Sendable {
        case absent, starting, running, backoff, failed, unsupported
        /// It is left to the kernel's own driver.
        case kernel
    }
    /// A program that watches a stream.
    public struct Watcher: Codable, Hashable, Sendable {
        public var pid: Int32
        public var uid: UInt32
        /// The program's name (`/proc/PID/comm`) as of when it began to watch; empty if it could not be read.
        public var program: String
        /// The program that shows it the device, and says so; `nil` for one that watches itself.
        public var through: String?
        public init(pid: Int32, uid: UInt32, program: String, through: String? = nil) {
            self.pid = pid
            self.uid = uid
            self.program = program
            self.through = through
        }
    }
    /// What holds the device's driver in.
    public struct Sandbox: Codable, Hashable, Sendable {
        public var applied: [String]
        /// Protections that this kernel lacks, or that were switched off.
        public var missing: [String]
        public init(applied: [String], missing: [String]) {
            self.applied = applied
            self.missing = missing
        }
    }
    /// Which function of its device it is.
    public struct Function: Codable, Hashable, Sendable {
        /// `bInterfaceNumber` of its first interface, which tells it from the device's others.
        public var interface: Int
        /// What the device calls it.
        public var name: String?
        /// The device's id, which its functions have in common.
        public var device: String
        public init(interface: Int, name: String?, device: String) {
            self.interface = interface
            self.name = name
            self.device = device
        }
    }
    /// Something that the driver is at: a stream, a page, a download.
    public struct Activity: Codable, Hashable, Sendable {
        /// A wait that the driver has declared, in which silence is not a hang.
        public struct Wait: Codable, Hashable, Sendable {
            /// A clause: `"the lamp warms up"`.
            public var reason: String
            /// How long it has gone on.
            public var seconds: Double
            /// Seconds that it is granted; the driver is ended when it lasts longer.
            public var limit: Double
            public init(reason: String, seconds: Double, limit: Double) {
                self.reason = reason
                self.seconds = seconds
                self.limit = limit
            }
        }
        /// The driver's word for it: `"page 3"`; empty if it has none.
        public var name: String
        /// What is counted: `"lines"`; empty if the driver does not say.
        public var unit: String
        /// Units since it began.
        public var done: UInt64
        /// Units a second, over the last second.
        public var rate: Double
        public var waiting: Wait?
        public init(name: String, unit: String, done: UInt64, rate: Double, waiting: Wait? = nil) {
            self.name = name
            self.unit = unit
            self.done = done
            self.rate = rate
            self.waiting = waiting
        }
    }
    /// Where other programs reach the device over their own protocol.
    public struct Endpoint: Codable, Hashable, Sendable {
        /// `"escl"`, `"ipp"`
        public var kind: String
        public var url: String
        public init(kind: String, url: String) {
            self.kind = kind
            self.url = url
        }
    }
    /// `vendor:product:serial`, or `vendor:product@path` where the serial number is missing or not
    /// unique; of several functions of a device each has its first interface's number behind that,
    /// as in `1209:0001:EMU0001/2`.
    public var id: String
    /// Where it is plugged in: `"1-2.3"`, `"usbip://127.0.0.1:3240/1-1"`.
    public var bus: String
    /// Four hexadecimal digits.
    public var vendorId: String
    public var productId: String
    public var name: String
    /// `"webcam"`; empty if no driver knows the device.
    public var kind: String
    /// The driver's id, empty if there is none.
    public var driver: String
    public var state: State
    /// 0 if no process runs.
    public var pid: Int32
    /// Restarts since the supervisor knows the device.
    public var restarts: Int
    public var streams: [Stream]
    /// Why it is in that state, where there is more to say than the state.
    public var reason: String?
    /// Protections that this device's driver goes without, each a short phrase: `"unsigned"`.
    public var warnings: [String]
    /// Absent if no driver knows the device.
    public var sandbox: Sandbox?
    /// Who signed its driver, by the name in the list of signers.
    public var signer: String?
    /// When the process was given the device: nanoseconds of CLOCK_MONOTONIC; absent where none has it.
    public var drivenSince: UInt64?
    /// What the driver shows of the device, an object under the names of its class; absent where it
    /// shows nothing.
    public var shown: JSONValue?
    /// Absent if the daemon does not say.
    public var function: Function?
    /// What the driver is at just now, the oldest first; absent where the daemon does not say.
    public var activities: [Activity]?
    /// How many `/dev/videoN` a camera is to have; absent where nobody has said: one then.
    public var nodes: Int?
    /// Absent if there are none.
    public var endpoints: [Endpoint]?
    /// Programs that others show the device to; `nil` if there are none.
    public var viewers: [Watcher]?

    public init(
        id: String, bus: String, vendorId: String, productId: String, name: String, kind: String, driver: String, state: State,
        pid: Int32, restarts: Int, streams: [Stream], reason: String? = nil, warnings: [String] = [], sandbox: Sandbox? = nil,
        signer: String? = nil, drivenSince: UInt64? = nil, shown: JSONValue? = nil
    ) {
        self.id = id
        self.bus = bus
        self.vendorId = vendorId
        self.productId = productId
        self.name = name
        self.kind = kind
        self.driver = driver
        self.state = state
        self.pid = pid
        self.restarts = restarts
        self.streams = streams
        self.reason = reason
        self.warnings = warnings
        self.sandbox = sandbox
        self.signer = signer
        self.drivenSince = drivenSince
        self.shown = shown
    }
}

/// The report of a driver's death.
public struct CrashReport: Codable, Hashable, Sendable {
    /// Numbered from 1 over the life of the state folder.
    public var number: Int
    /// Wall-clock time, ISO 8601 in UTC with milliseconds.
    public var time: String
    public var deviceID: String
    public var driver: String
    public var pid: Int32
    public var generation: UInt32
    /// What ended it, in a phrase: `"SIGSEGV"`, `"exit 1"`, `"SIGKILL, by the supervisor: no progress for 500 ms while streaming"`.
    public var cause: String
    public var signal: Int32
    public var exitStatus: Int32
    /// The last lines it logged or wrote to standard error, oldest first.
    public var lastWords: [String]
    /// One line a frame, innermost first, with the function's name where it is known.
    public var backtrace: [String]
    /// What the supervisor did: `"restarted at once"`, `"restart in 400 ms"`, `"circuit opened"`.
    public var decision: String
    public var driverVersion: String?
    /// The device descriptor, then every configuration, base64.
    public var descriptors: String?
    /// The device's last transfers, a line each, the oldest first.
    public var lastTransfers: [String]?
    /// How many transfers the capture beside the report has; `nil` if there is none.
    public var captured: Int?

    public init(
        number: Int, time: String, deviceID: String, driver: String, pid: Int32, generation: UInt32, cause: String, signal: Int32,
        exitStatus: Int32, lastWords: [String], backtrace: [String], decision: String, driverVersion: String? = nil
    ) {
        self.number = number
        self.time = time
        self.deviceID = deviceID
        self.driver = driver
        self.pid = pid
        self.generation = generation
        self.cause = cause
        self.signal = signal
        self.exitStatus = exitStatus
        self.lastWords = lastWords
        self.backtrace = backtrace
        self.decision = decision
        self.driverVersion = driverVersion
    }
}
