// A stream of a device: its ring, which survives drivers, and who watches it.

import FrameRing
import Spawn
import Wire

/// Somebody who watches a stream.
@SupervisorActor
final class StreamWatcher {
    let call: ClientCall
    let request: JSONValue
    /// Bytes of the request as it goes out to a driver.
    let requestBytes: Int
    /// It tells how far it is, on a page of its own beside each ring.
    let reports: Bool
    /// Its program's name.
    let program: String
    /// When it came, in the stream's count of comings and rings: a ring with a larger number has nothing in it from before.
    let number: UInt64
    /// The first ring that it got and the newest: it has all between them. 0: none yet.
    private(set) var rings: (first: UInt64, newest: UInt64) = (0, 0)
    /// The stream is open for it, but there is no ring yet that it may have.
    var isAdmitted = false
    /// It had the ring under an earlier supervisor.
    var isReturning = false
    /// The driver was asked to open the stream for it, and has not answered.
    var isAsking = false
    /// It was told that the device is absent, and not yet that it is back.
    var wasToldAbsent = false
    /// Ends the wait for the first ring.
    let limit = ReactorTimer()

    init(call: ClientCall, request: JSONValue, requestBytes: Int, reports: Bool, number: UInt64) {
        self.call = call
        self.request = request
        self.requestBytes = requestBytes
        self.reports = reports
        self.number = number
        program = ProcessFacts.name(of: call.peer.processID).printable
    }

    /// It has a ring. Until then it waits for the device, the driver, the driver's answer or a ring.
    var hasRing: Bool { rings.newest > 0 }

    func got(ring number: UInt64) {
        if rings.first == 0 { rings.first = number }
        rings.newest = max(rings.newest, number)
    }

    /// Nothing in particular is wanted: any open stream will do.
    var isContent: Bool {
        switch request {
        case .null: true
        case .object(let members): members.values.allSatisfy { $0 == .null }
        default: false
        }
    }
}

/// A device's stream by its name. The supervisor never knows what its frames are.
@SupervisorActor
final class ManagedStream {
    /// A ring, and when it was made in the stream's count of comings and rings.
    struct Ring {
        let memory: FrameRingMemory
        let number: UInt64
        /// The pages of all who read it, by the watcher's number; empty if some do not report.
        /// Nobody else gets the ring: whoever comes later gets another.
        var reports: [UInt64: ReportMemory] = [:]
        /// What its driver gets: the ring's descriptor, and those of the pages.
        var descriptors: [Int32] { [memory.descriptor] + reports.values.map(\.descriptor) }

        /// What its driver is told of it.
        func grant(_ request: UInt64, of stream: String) -> RingGrant {
            let geometry = memory.geometry
            return RingGrant(
                request: request, name: stream, capacity: geometry.capacity, slotCount: geometry.slotCount,
                reports: reports.isEmpty ? nil : reports.count)
        }
    }

    let name: String
    private var count: UInt64 = 0
    private(set) var current: Ring?
    /// Where the stream is to go on, or does already: the driver has not confirmed it.
    private(set) var upcoming: Ring?
    /// What the driver said of the frames, passed on unread.
    var description: JSONValue = .null
    /// What the stream was opened with: each new incarnation takes it up again with that.
    var request: JSONValue?
    var requestBytes = 0
    /// The driver has confirmed that it is on.
    var isOpen = false
    /// The incarnation that last took the ring.
    var writer: UInt32 = 0
    var watchers: [StreamWatcher] = []
    var statistics = DriverStatistics.Stream()
    /// Somebody has left who has the newest ring.
    var hasLeaver = false
    /// Users whose programs have had the current ring.
    var users: Set<UInt32> = []
    /// Who had the ring under an earlier supervisor and has not come back yet; `nil`: everybody may have.
    var absentees: [StoredDevice.Watcher]? = []
    /// CLOCK_MONOTONIC nanoseconds of the last change of the ring for the sake of who comes and who leaves.
    var lastMove: UInt64 = 0
    /// Until the ring may be changed again; until the driver has to have confirmed it.
    let moveTimer = ReactorTimer()
    let confirmation = ReactorTimer()

    init(name: String) { self.name = name }

    var ring: FrameRingMemory? { current?.memory }
    var viewers: [StreamWatcher] { watchers.filter(\.hasRing) }
    /// Bytes of its rings.
    var byteCount: Int { (current?.memory.geometry.byteCount ?? 0) + (upcoming?.memory.geometry.byteCount ?? 0) }
    /// Bytes that its requests take in a driver's start, at most.
    var requestBudget: Int { watchers.reduce(requestBytes) { max($0, $1.requestBytes) } }

    func nextNumber() -> UInt64 {
        count += 1
        return count
    }

    /// What whoever comes now may have at most: the newest ring.
    var newest: Ring? { upcoming ?? current }

    /// The ring that a watcher reads, or read last of those that the stream is in: not the one before that which it got first.
    func ring(for watcher: StreamWatcher) -> Ring? {
        if let upcoming, watcher.rings.first == upcoming.number { upcoming } else { current }
    }

    /// Whether the ring has to be changed: somebody waits for one, or somebody who has left would see what comes.
    var wantsRing: Bool {
        guard let newest else { return false }
        return hasLeaver || watchers.contains { $0.isAdmitted && !$0.hasRing && $0.number > newest.number }
    }

    /// A page for each who may read a ring that is made now; none where somebody does not report, or may come back.
    private func makeReports() -> [UInt64: ReportMemory] {
        guard absentees?.isEmpty == true, watchers.count <= ReportMemory.maximumCount, watchers.allSatisfy(\.reports)
        else { return [:] }
        do throws(FrameRingError) {
            var reports: [UInt64: ReportMemory] = [:]
            for watcher in watchers { reports[watcher.number] = try ReportMemory() }
            return reports
        } catch {
            // Then frames take the slots in turn.
            return [:]
        }
    }

    /// Nothing is kept for its sake any more.
    func stopReporting(_ watcher: StreamWatcher) {
        for ring in [current, upcoming] { ring?.reports[watcher.number]?.readerHasLeft() }
    }

    /// Another ring from now on, in which nothing is.
    /// - Parameter isShared: who comes later gets it as well, as its driver can't go over to another one.
    /// - Returns: those that it takes the place of.
    func replace(by memory: FrameRingMemory, isShared: Bool) -> [FrameRingMemory] {
        let old = [current, upcoming].compactMap { $0?.memory }
        current = Ring(memory: memory, number: nextNumber(), reports: isShared ? [:] : makeReports())
        (upcoming, hasLeaver, users) = (nil, false, Set(viewers.map(\.call.peer.userID)))
        confirmation.lift()
        return old
    }

    /// The stream will go on in that ring.
    func prepare(_ memory: FrameRingMemory, now: UInt64) {
        upcoming = Ring(memory: memory, number: nextNumber(), reports: makeReports())
        hasLeaver = false
        lastMove = now
    }

    /// The stream goes on in the upcoming ring.
    /// - Returns: the ring that was left.
    func move() -> FrameRingMemory? {
        guard let next = upcoming else { return nil }
        let old = current?.memory
        (current, upcoming) = (next, nil)
        users = Set(viewers.map(\.call.peer.userID))
        confirmation.lift()
        return old
    }

    /// The stream as an earlier supervisor had it on.
    func resume(_ memory: FrameRingMemory, _ stored: StoredDevice.Frames, upcoming: FrameRingMemory?, writer: UInt32) {
        current = Ring(memory: memory, number: nextNumber())
        self.upcoming = upcoming.map { Ring(memory: $0, number: nextNumber()) }
        description = stored.description
        request = stored.request
        requestBytes = stored.request.encodedByteCount
        isOpen = true
        self.writer = writer
        absentees = stored.watchers
        users = Set(stored.watchers?.map(\.user) ?? [])
    }

    /// Whether that peer had the ring under an earlier supervisor: its coming back is not a coming.
    func takesBack(_ peer: VarlinkSocket.Peer) -> Bool {
        guard let absentees else { return true }
        guard let index = absentees.firstIndex(where: { $0.process == peer.processID && $0.user == peer.userID }) else { return false }
        self.absentees?.remove(at: index)
        return true
    }

    /// Nobody watches: the rings' memory is given back.
    func close() -> [FrameRingMemory] {
        let old = [current, upcoming].compactMap { $0?.memory }
        (current, upcoming) = (nil, nil)
        isOpen = false
        request = nil
        requestBytes = 0
        description = .null
        writer = 0
        statistics = .init()
        moveTimer.lift()
        confirmation.lift()
        return old
    }
}
