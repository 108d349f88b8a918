// What the next supervisor has to know of a device to go on with its streams.

import FrameRing
import TransferRing
import USB
import Wire

/// A device as its state memory describes it, in JSON. Everything in it is looked at before it is used: `isSound`, and what is compared with the
/// descriptors themselves.
struct StoredDevice: Codable, Hashable, Sendable {
    struct Frames: Codable, Hashable, Sendable {
        var name: String
        /// What the stream was opened with.
        var request: JSONValue
        /// What the driver said of its frames.
        var description: JSONValue
        var geometry: FrameRingGeometry
        /// The ring's memory: the number of its name in the store.
        var memory: UInt64
        /// That of the ring in which the stream is to go on, or does already, if the ring itself says that it has ended.
        var upcoming: UInt64?
        /// Who has the ring.
        var watchers: [Watcher]?
    }
    /// A program that watches: to tell one that comes back from one that comes.
    struct Watcher: Codable, Hashable, Sendable {
        var process: Int32
        var user: UInt32
    }
    struct Transfers: Codable, Hashable, Sendable {
        var grant: TransferGrant
        var memory: UInt64
    }
    struct Conversation: Codable, Hashable, Sendable {
        var name: String
        var out: Transfers
        var incoming: Transfers
    }

    /// Another number is another layout, which nobody guesses at.
    static let currentLayout = 2
    /// A stream is between two rings, of which a reader of the current layout would know one.
    static let movingLayout = 3

    var layout = Self.currentLayout
    var information: USBDeviceInformation
    /// The first interface of the function that streams; `nil` in what a supervisor wrote that knew
    /// one function a device.
    var function: UInt8?
    /// The driver's id and version. Another version goes on as well as it can; another driver does not.
    var driver: String
    var driverVersion: String
    /// The streaming interfaces' open file, and which they are (bit n: interface n).
    var file: UInt64
    var interfaces: UInt32
    /// The process that drives it, which is in the store under its number and may have ended.
    var process: Int32?
    var generation: UInt32
    var restarts: Int
    var record: JSONValue?
    var frames: [Frames]
    var transfers: [Transfers]
    /// Absent if there are none.
    var conversations: [Conversation]?

    /// `nil` for what is not JSON of this layout, or not sound.
    init?(parsing bytes: [UInt8]) {
        do {
            self = try JSON.decode(StoredDevice.self, from: bytes)
        } catch {
            return nil
        }
        guard isSound else { return nil }
    }

    init(
        information: USBDeviceInformation, function: UInt8? = nil, driver: String, driverVersion: String, file: UInt64, interfaces: UInt32,
        process: Int32? = nil, generation: UInt32, restarts: Int, record: JSONValue?, frames: [Frames], transfers: [Transfers],
        conversations: [Conversation]? = nil
    ) {
        self.conversations = conversations
        self.information = information
        self.function = function
        self.driver = driver
        self.driverVersion = driverVersion
        self.file = file
        self.interfaces = interfaces
        self.process = process
        self.generation = generation
        self.restarts = restarts
        self.record = record
        self.frames = frames
        self.transfers = transfers
        if frames.contains(where: { $0.upcoming != nil }) { layout = Self.movingLayout }
    }

    /// Numbers within bounds, names that are told apart, transfers of streams that are there.
    var isSound: Bool {
        let names = Set(frames.map(\.name))
        let talks = conversations ?? []
        let rings = transfers + talks.flatMap { [$0.out, $0.incoming] }
        let memories = [file] + frames.map(\.memory) + frames.compactMap(\.upcoming) + rings.map(\.memory)
        return [Self.currentLayout, Self.movingLayout].contains(layout) && information.descriptors.count >= 18
            && restarts >= 0 && generation < .max && frames.count <= 64 && names.count == frames.count
            && frames.allSatisfy {
                1...64 ~= $0.name.utf8.count
                    && FrameRingGeometry(capacity: $0.geometry.capacity, slotCount: $0.geometry.slotCount) != nil
            }
            && Set(transfers.map(\.grant.name)).count == transfers.count && transfers.allSatisfy { names.contains($0.grant.name) }
            && Set(talks.map(\.name)).count == talks.count && talks.allSatisfy { 1...64 ~= $0.name.utf8.count }
            && Set(rings.map(\.grant.number)).count == rings.count
            && rings.allSatisfy { 0..<TransferRingMapping.maximumRings ~= $0.grant.number && $0.grant.geometry != nil }
            && Set(memories).count == memories.count && !rings.isEmpty
    }
}

extension TransferGrant {
    /// `nil` if its numbers are out of bounds.
    var geometry: TransferRingGeometry? {
        TransferRingGeometry(
            transferCount: transferCount, packetCount: packetCount, packetLength: packetLength, logLength: logLength ?? 0)
    }
}
