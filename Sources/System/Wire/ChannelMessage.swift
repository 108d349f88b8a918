// What supervisor and driver say to each other over their channel: a SOCK_SEQPACKET pair, one JSON object a packet, descriptors attached.

/// From the supervisor to a driver.
public enum MessageToDriver: Codable, Hashable, Sendable {
    /// Here is your device. Descriptor 0 attached: the device (see `DriverStart.transport`); descriptor 1, over usbfs, where the device has
    /// streaming interfaces: the open file of those. The last one, where `DriverStart.hasRecorder` is set: the device's flight recorder, writable.
    case start(DriverStart)
    /// The answer to `openRing`. Descriptor 0 attached: the ring's memfd, writable.
    case ring(RingGrant)
    /// Go on with the stream of this name in another ring of the same geometry, from where the one before is left, without losing anything; then say
    /// `ringMoved` with the same number. Descriptor 0 attached: the ring's memfd, writable. Told only where `DriverHello.movesRings` is set, and told again
    /// to a driver that has opened the ring in which the stream was before: the latest counts.
    case moveRing(RingGrant)
    /// The supervisor can't give the frame or transfer ring that was asked for.
    case ringRefused(request: UInt64, reason: String)
    /// The answer to `openTransfers`. Descriptor 0 attached: the transfer ring's memfd, writable; descriptor 1, over USB/IP: the eventfd that wakes
    /// the port.
    case transfers(TransferGrant)
    /// Before `start`, where the device is taken over on this machine: a ring that the predecessor
    /// left. What is in flight in any of them may come back whichever is waited for, so all are to
    /// be mapped before that. Descriptor 0 attached: its memfd, writable.
    case kept(TransferGrant)
    /// The answer to `openConversation`. Descriptors 0 and 1 attached: the memfds of its OUT and
    /// its IN ring, writable; 2 and 3, in the same order, the eventfds that wake the port.
    case conversation(ConversationGrant)
    /// Somebody calls a method of an interface that the driver's manifest provides. Attached:
    /// memory that comes with it, read-only.
    case call(DriverCall)
    /// Nobody waits for the answer to that call any more.
    case cancel(id: UInt64)
    /// The answer to `openMemory`. Descriptor 0 attached: the memory, writable. Refused by
    /// `ringRefused`.
    case memory(MemoryGrant)
    /// Go on for that long when the supervisor ends, so that the next one can go on with what streams; with 0: end with it. Counted from the last
    /// heartbeat that could be sent.
    case survive(seconds: UInt32)
    /// About objects: see `ObjectOrder`.
    case object(ObjectOrder)
    /// Stop streaming, give the device back, end with status 0.
    case stop
}

/// From a driver to the supervisor.
public enum MessageFromDriver: Codable, Hashable, Sendable {
    /// First word of a process: it is ready to be given a device.
    case hello(DriverHello)
    /// The device is driven.
    case started(DriverFacts)
    /// The device can't be driven, and why. The process ends after it.
    case failed(CallError)
    /// The device answers nothing any more, and to what it did not. It is reset before the next process gets it; this one ends after it.
    case unresponsive(CallError)
    /// Every 500 ms, at least.
    case heartbeat(DriverStatistics)
    /// What the next incarnation needs to resume; replaces the one before. At most 32 KiB of JSON.
    case record(JSONValue)
    /// Asks for a frame ring, for a stream that the driver was told to open. A ring of the same name whose geometry is large enough is given again:
    /// streams survive drivers.
    case openRing(RingRequest)
    /// The stream goes on in the ring that `moveRing` brought, whose number that is; the driver has not mapped the one before any more.
    case ringMoved(name: String, request: UInt64)
    /// Asks for memory for a stream's transfers: fresh, or that in which the predecessor's are in flight.
    case openTransfers(TransferRequest)
    /// Asks for the memory of a conversation: that which the predecessor left under this name, for
    /// these endpoints, or fresh.
    case openConversation(ConversationRequest)
    /// Nothing of that conversation is in flight, and its memory is not used any more.
    case conversationClosed(name: String)
    /// The stream of this name goes on in another form (format, size); those who watch are told.
    case ringChanged(name: String, description: JSONValue)
    /// The stream has ended for good, and why (not: the driver has ended).
    case ringClosed(name: String, reason: String)
    /// The answer to a call, or one of several.
    case reply(DriverReply)
    /// Asks for memory that goes to the caller with a reply.
    case openMemory(MemoryRequest)
    /// Something that a person would want to read later; the last ones go into a crash report.
    case log(level: String, message: String)
    /// Something the device said by itself (a control changed, a button was pressed); passed to whoever watches.
    case event(name: String, parameters: JSONValue)
    /// About objects: see `ObjectWord`.
    case object(ObjectWord)
}

/// The device that a driver is to drive.
public struct DriverStart: Codable, Hashable, Sendable {
    /// What descriptor 0 is.
    public enum Transport: String, Codable, Sendable {
        /// An open usbfs node.
        case usbfs
        /// A USB/IP socket on which the import has been answered: URBs go over it from now on.
        case usbip
    }
    public var deviceID: String
    public var transport: Transport
    /// Path, speed, descriptors and strings as `USB.USBDeviceInformation` encodes them.
    public var device: JSONValue
    /// USB/IP's `busnum << 16 | devnum`; 0 for usbfs.
    public var usbipDeviceID: UInt32
    /// usbfs: bit n: interface n belongs to the second descriptor.
    public var streamInterfaces: UInt32
    /// Which incarnation of this device's driver this is, from 1.
    public var generation: UInt32
    /// What the manifest says for this device: quirks and settings, merged.
    public var configuration: [String: JSONValue]
    /// The last record of the incarnation before, where there was one and it is trusted.
    public var record: JSONValue?
    /// Streams that somebody watches, by name: what they were opened with. The driver takes them up again.
    public var streams: [String: JSONValue]
    /// Why frames of those streams are missing now, for the gap that the driver records.
    public var interruption: Interruption?
    /// The device was never released since the predecessor died: its settings are as they were and its streams' transfers still in flight.
    public var takeover: Takeover?
    /// The last descriptor is the memory of a flight recorder.
    public var hasRecorder: Bool
    /// usbfs: the driver may start a process that keeps its transfers' memory when it dies, and have
    /// them in the kernel's own.
    public var mapsTransfers: Bool?

    /// How a stream is taken over.
    public enum Takeover: String, Codable, Sendable {
        /// The transfer that the predecessor was handling is handled again.
        case replay
        /// It is dropped, and its frame marked damaged: a driver has died on it twice.
        case dropping
    }

    /// What came between two incarnations.
    public enum Interruption: String, Codable, Sendable {
        case driverRestarted
        case deviceAbsent
    }

    public init(
        deviceID: String, transport: Transport, device: JSONValue, usbipDeviceID: UInt32, streamInterfaces: UInt32 = 0, generation: UInt32,
        configuration: [String: JSONValue], record: JSONValue?, streams: [String: JSONValue], interruption: Interruption? = nil,
        takeover: Takeover? = nil, hasRecorder: Bool = false, mapsTransfers: Bool? = nil
    ) {
        self.deviceID = deviceID
        self.transport = transport
        self.device = device
        self.usbipDeviceID = usbipDeviceID
        self.streamInterfaces = streamInterfaces
        self.generation = generation
        self.configuration = configuration
        self.record = record
        self.streams = streams
        self.interruption = interruption
        self.takeover = takeover
        self.hasRecorder = hasRecorder
        self.mapsTransfers = mapsTransfers
    }
}

public struct DriverHello: Codable, Hashable, Sendable {
    /// The channel's version; the supervisor ends a driver that speaks another one.
    public var protocolVersion: Int
    /// `"webcam-driver"`
    public var driver: String
    /// It may be given a device that another process streams from still: it does not touch it before it has been answered an `openTransfers`, which is
    /// when the other one has ended.
    public var handover: Bool
    /// It understands `moveRing`. A driver that does not say so has its rings shared by programs of one user only.
    public var movesRings: Bool
    public static let protocolVersion = 4

    public init(driver: String, handover: Bool = false, movesRings: Bool = false) {
        self.protocolVersion = Self.protocolVersion
        self.driver = driver
        self.handover = handover
        self.movesRings = movesRings
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        protocolVersion = try container.decode(Int.self, forKey: .protocolVersion)
        driver = try container.decode(String.self, forKey: .driver)
        handover = try container.decode(Bool.self, forKey: .handover)
        movesRings = try container.decodeIfPresent(Bool.self, forKey: .movesRings) ?? false
    }
}

/// What a driver found out about its device.
public struct DriverFacts: Codable, Hashable, Sendable {
    /// What kind of device it is: `"webcam"`.
    public var kind: String
    /// A name a person recognises.
    public var name: String
    /// Those of the manifest's interfaces that this device has: `["io.userdriver.camera"]`.
    public var interfaces: [String]
    /// The streams it has; the first is the default.
    public var streams: [String]

    public init(kind: String, name: String, interfaces: [String], streams: [String] = []) {
        self.kind = kind
        self.name = name
        self.interfaces = interfaces
        self.streams = streams
    }
}

/// A heartbeat's content.
public struct DriverStatistics: Codable, Hashable, Sendable {
    public struct Stream: Codable, Hashable, Sendable {
        /// Frames published since the stream was opened, over all incarnations this one knows of.
        public var frames: UInt64
        /// Frames that never came or came damaged.
        public var lost: UInt64
        /// Frames a second over the last second.
        public var fps: Double
        public var bytes: UInt64
        public init(frames: UInt64 = 0, lost: UInt64 = 0, fps: Double = 0, bytes: UInt64 = 0) {
            self.frames = frames
            self.lost = lost
            self.fps = fps
            self.bytes = bytes
        }
    }
    public var streams: [String: Stream]
    /// What the driver's class shows of the device, an object under stable names: `{"temperature":
    /// 21.5}`. At most 4 KiB; passed on unread.
    public var shown: JSONValue?
    public init(streams: [String: Stream] = [:], shown: JSONValue? = nil) {
        self.streams = streams
        self.shown = shown
    }
}

/// What a ring should be.
public struct RingRequest: Codable, Hashable, Sendable {
    /// The driver's number for this request, which the answer repeats.
    public var request: UInt64
    /// `"video"`
    public var name: String
    /// Bytes of the largest frame.
    public var capacity: Int
    public var slotCount: Int
    /// What the frames are, for clients: for a webcam `{"format","width","height","fps"}`. The supervisor passes it on unread.
    public var description: JSONValue

    public init(request: UInt64, name: String, capacity: Int, slotCount: Int, description: JSONValue) {
        self.request = request
        self.name = name
        self.capacity = capacity
        self.slotCount = slotCount
        self.description = description
    }
}

public struct RingGrant: Codable, Hashable, Sendable {
    public var request: UInt64
    public var name: String
    public var capacity: Int
    public var slotCount: Int
    /// How many descriptors follow the ring's own: the page of each reader. `nil`: some do not
    /// report, or nobody knows.
    public var reports: Int?
    public init(request: UInt64, name: String, capacity: Int, slotCount: Int, reports: Int? = nil) {
        self.request = request
        self.name = name
        self.capacity = capacity
        self.slotCount = slotCount
        self.reports = reports
    }
}

/// What a transfer ring should be: see `TransferRing.TransferRingGeometry`.
public struct TransferRequest: Codable, Hashable, Sendable {
    /// The driver's number for this request, which the answer repeats.
    public var request: UInt64
    /// The stream's name.
    public var name: String
    /// `nil` asks for the ring that the predecessor left.
    public var fresh: Fresh?

    /// A ring to create.
    public struct Fresh: Codable, Hashable, Sendable {
        public var transferCount: Int
        /// 0 for bulk.
        public var packetCount: Int
        public var packetLength: Int
        /// `bEndpointAddress`
        public var endpoint: UInt8
        /// Of the endpoint, in frames or microframes.
        public var interval: Int32
        /// Of a conversation's ring: bytes behind the transfers' buffers.
        public var logLength: Int?

        public init(
            transferCount: Int, packetCount: Int, packetLength: Int, endpoint: UInt8, interval: Int32, logLength: Int? = nil
        ) {
            self.logLength = logLength
            self.transferCount = transferCount
            self.packetCount = packetCount
            self.packetLength = packetLength
            self.endpoint = endpoint
            self.interval = interval
        }
    }

    public init(request: UInt64, name: String, fresh: Fresh?) {
        self.request = request
        self.name = name
        self.fresh = fresh
    }
}

public struct TransferGrant: Codable, Hashable, Sendable {
    public var request: UInt64
    public var name: String
    /// Which ring of the device it is: tells the address that every incarnation maps it at.
    public var number: Int
    public var transferCount: Int
    public var packetCount: Int
    public var packetLength: Int
    public var endpoint: UInt8
    /// Of a conversation's ring: bytes behind the transfers' buffers.
    public var logLength: Int?

    public init(
        request: UInt64, name: String, number: Int, transferCount: Int, packetCount: Int, packetLength: Int, endpoint: UInt8,
        logLength: Int? = nil
    ) {
        self.logLength = logLength
        self.request = request
        self.name = name
        self.number = number
        self.transferCount = transferCount
        self.packetCount = packetCount
        self.packetLength = packetLength
        self.endpoint = endpoint
    }
}

/// A call of a driver's interface, on its way to the driver.
public struct DriverCall: Codable, Hashable, Sendable {
    public var id: UInt64
    /// Fully qualified: `"io.userdriver.camera.SetControl"`. `openStream` and `closeStream` are the framework's own: see `StreamCall`.
    public var method: String
    public var parameters: JSONValue
    /// Several replies are welcome: all but the last `continues`.
    public var more: Bool?
    /// Bytes of each memory that comes with it.
    public var memory: [Int]?
    public init(id: UInt64, method: String, parameters: JSONValue, more: Bool? = nil, memory: [Int]? = nil) {
        self.id = id
        self.method = method
        self.parameters = parameters
        self.more = more
        self.memory = memory
    }
}

/// Memory that a driver wants to give to a caller. The supervisor makes it, so that no descriptor
/// is ever taken from a driver.
public struct MemoryRequest: Codable, Hashable, Sendable {
    /// The driver's number for this request, which the answer repeats.
    public var request: UInt64
    /// The call it is for: with that it goes.
    public var call: UInt64
    public var byteCount: Int
    public init(request: UInt64, call: UInt64, byteCount: Int) {
        self.request = request
        self.call = call
        self.byteCount = byteCount
    }

    /// Memories that go with one message.
    public static let maximumPerMessage = 4
}

public struct MemoryGrant: Codable, Hashable, Sendable {
    public var request: UInt64
    /// By which a reply names it.
    public var number: UInt64
    public var byteCount: Int
    public init(request: UInt64, number: UInt64, byteCount: Int) {
        self.request = request
        self.number = number
        self.byteCount = byteCount
    }
}

/// The calls by which the supervisor tells a driver that somebody watches a stream, or nobody does any more.
public enum StreamCall {
    /// Parameters: `{"name": "video", "request": {…what the client asked for…}}`. The driver asks for a ring (`openRing`) before it replies.
    /// A stream that is open already is left as it is where the request allows it; otherwise the reply is an error, `busy`.
    public static let open = "openStream"
    /// Parameters: `{"name": "video"}`. Nobody watches any more: stop the device's stream.
    public static let close = "closeStream"
}

public struct DriverReply: Codable, Hashable, Sendable {
    public var id: UInt64
    public var result: JSONValue?
    public var error: CallError?
    /// More replies follow; only to a call that wants `more`.
    public var continues: Bool?
    /// Memory that goes with it, by number; the driver must no longer have it mapped for writing.
    public var memory: [UInt64]?
    public init(id: UInt64, result: JSONValue, continues: Bool? = nil, memory: [UInt64]? = nil) {
        self.id = id
        self.result = result
        self.continues = continues
        self.memory = memory
    }
    public init(id: UInt64, error: CallError) {
        self.id = id
        self.error = error
    }
}
