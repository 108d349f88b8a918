// How much objects may take: of memory, of records, of time.

import ObjectStore

/// Bounds on objects: what one driver, one client or one user can make the supervisor hold.
public struct ObjectLimits: Sendable {
    /// Bytes of an arena. All have the same size, and the next supervisor must use the same one.
    public var arenaBytes = 64 << 20
    /// A driver can fill every byte of an arena that it has, so quotas count whole arenas: 512 MiB
    /// a device.
    public var arenasPerDevice = 8
    /// How many of a device's arenas one user's objects may take: a user who does not acknowledge
    /// keeps nobody else out.
    public var arenasPerUser = 6
    /// Of all devices: each takes a descriptor in the service manager's store.
    public var arenas = 64
    /// Objects that a device's driver writes at a time.
    public var openPerDevice = 32
    /// Requests for space that wait, of a device's driver.
    public var waitingPerDevice = 64
    public var objectsPerJob = 512
    public var objectsPerUser = 1024
    public var objects = 4096
    public var jobsPerUser = 32
    public var jobs = 256
    /// Bytes of an object's metadata as JSON.
    public var metadataBytes = 4 << 10
    /// Parts of an object, each in one place of an arena.
    public var extentsPerObject = 40
    /// Descriptors that go with one message: arenas of one object.
    public var arenasPerObject = 8
    /// Bytes of the reason for which an object is abandoned.
    public var reasonBytes = 300
    /// Bytes of one answer to `Objects`, roughly; what does not fit is in the next one.
    public var listBytes = 200 << 10
    /// How long the successor of a driver that died over an object may take to go on with it.
    var resumePatience = Duration.seconds(10)
    /// A watcher is told of changes at most this often.
    var watchInterval = Duration.milliseconds(20)

    public init() {}

    /// Each change needs a free slot beside the record that it replaces.
    var slotCount: Int { 1 + objects + jobs + arenas + 8 }
}
