// A stream's rings: granted to the driver within bounds, handed to those who watch, and changed when somebody comes or leaves.

import CLinux
import FrameRing
import Glibc
import Logging
import Threads
import Wire

extension DriverFunction {
    // MARK: Who gets which ring

    /// The stream is on for a watcher. It gets a ring in which nothing is from before it came: the newest one, if that was made after it had come, else
    /// the next, which is made for it.
    func admit(_ stream: ManagedStream, _ watcher: StreamWatcher) {
        guard !watcher.hasRing, let newest = stream.newest else { return }
        watcher.isAdmitted = true
        if watcher.isReturning { return resume(stream, watcher) }
        if newest.number > watcher.number { return open(stream, watcher, with: newest) }
        if incarnation?.movesRings == true { return changeRing(of: stream) }
        // An older driver's ring stays as it is. What it shows is kept from other users at least.
        guard stream.users.isSubset(of: [watcher.call.peer.userID]) else {
            let why = "The stream is another user's, and its driver is too old to share it between users."
            return refuse(stream, watcher, CallError("Busy", why))
        }
        open(stream, watcher, with: newest)
    }

    private func open(_ stream: ManagedStream, _ watcher: StreamWatcher, with ring: ManagedStream.Ring) {
        watcher.limit.lift()
        watcher.got(ring: ring.number)
        stream.users.insert(watcher.call.peer.userID)
        if watcher.wasToldAbsent {
            watcher.wasToldAbsent = false
            tell(stream, watcher, .back)
        }
        tell(stream, watcher, .opened)
        save()
    }

    /// One that had the ring under an earlier supervisor gets the same ones again.
    private func resume(_ stream: ManagedStream, _ watcher: StreamWatcher) {
        guard let current = stream.current else { return }
        open(stream, watcher, with: current)
        if stream.upcoming != nil { tell(stream, watcher, .changed, follows: true) }
    }

    /// Who has not come back by now has left.
    func giveUpAbsentees(of stream: ManagedStream) {
        if stream.absentees?.isEmpty != true { stream.hasLeaver = true }
        stream.absentees = []
        changeRing(of: stream)
    }

    // MARK: Changing it

    /// Has the stream go on in another ring where that is wanted: those who stay are told of it first, then the driver; they go over by themselves when
    /// the ring that they read says that it has ended. Whoever happens to come or leave within a short time shares one change.
    func changeRing(of stream: ManagedStream) {
        guard streams[stream.name] === stream, stream.wantsRing, stream.upcoming == nil, stream.isOpen, stream.writer == generation,
            state == .running, !stream.moveTimer.isSet, dependencies.successionStore?.isFrozen != true, let current = stream.current,
            let incarnation, incarnation.movesRings
        else { return }
        let now = clinux_monotonic_ns()
        let due = stream.lastMove &+ timing.ringInterval.nanoseconds
        guard stream.lastMove == 0 || now >= due else { return changeRing(of: stream, in: .nanoseconds(Int64(due - now))) }
        let memory: FrameRingMemory
        do throws(CallError) {
            memory = try makeRing(current.memory.geometry)
        } catch {
            // Rings that are given up make room.
            return changeRing(of: stream, in: timing.ringPatience)
        }
        stream.prepare(memory, now: now)
        // Whatever happens from here on, a successor of this process finds both.
        save()
        for watcher in stream.viewers { tell(stream, watcher, .changed, follows: true) }
        offerUpcoming(of: stream)
        if let upcoming = stream.upcoming { openAdmitted(stream, upcoming) }
    }

    private func changeRing(of stream: ManagedStream, in time: Duration) {
        stream.moveTimer.set(after: time) { [weak self, weak stream] in
            guard let self, let stream else { return }
            self.changeRing(of: stream)
        }
    }

    private func openAdmitted(_ stream: ManagedStream, _ ring: ManagedStream.Ring) {
        for watcher in stream.watchers where watcher.isAdmitted && !watcher.hasRing && watcher.number < ring.number {
            open(stream, watcher, with: ring)
        }
    }

    private func offerUpcoming(of stream: ManagedStream) {
        guard let ring = stream.upcoming else { return }
        incarnation?.send(.moveRing(ring.grant(ring.number, of: stream.name)), descriptors: ring.descriptors)
        expectMove(of: stream, frames: stream.statistics.frames)
    }

    /// A stream without frames may take its time. One that has frames, and brings them to those only who should see no more, is ended.
    private func expectMove(of stream: ManagedStream, frames: UInt64) {
        let limit = timing.ringLimit
        stream.confirmation.set(after: limit) { [weak self, weak stream] in
            guard let self, let stream, stream.upcoming != nil, stream.writer == self.generation else { return }
            self.settle(stream)
            guard stream.upcoming != nil else { return }
            // The last heartbeat may tell of frames from before it was asked.
            if stream.statistics.frames > frames.addingSaturated(8) {
                self.incarnation?.kill("it did not continue in another ring within \(limit.text)")
            } else {
                self.expectMove(of: stream, frames: frames)
            }
        }
    }

    /// The driver says that it has gone over.
    func ringMoved(_ name: String, _ number: UInt64) {
        guard let stream = streams[name], stream.upcoming?.number == number else { return }
        settle(stream)
    }

    /// The ring that a stream is in says whether it has gone on in the other one, whoever is alive to tell it.
    private func settle(_ stream: ManagedStream) {
        guard stream.upcoming != nil, stream.ring?.hasEnded == true, let old = stream.move() else { return }
        givenUp.take(old)
        save()
        changeRing(of: stream)
    }

    // MARK: What the driver is granted

    func openRing(_ request: RingRequest) {
        guard let incarnation else { return }
        do throws(CallError) {
            try mayHaveMemory(for: request.name)
            try checkDescription(request.description)
            // Whoever wanted it may have left: then the driver gets a ring all the same, that nobody keeps, as `closeStream` is on its way.
            let stream = streams[request.name] ?? ManagedStream(name: request.name)
            settle(stream)
            let isNew = try grantRing(stream, request)
            guard let ring = stream.current else { return }
            let isChanged = isNew || stream.description != request.description
            if isChanged, !stream.viewers.isEmpty, !admitsChange() { return }
            let isAnotherWriter = stream.writer != generation
            stream.description = request.description
            stream.writer = generation
            incarnation.send(.ring(ring.grant(request.request, of: request.name)), descriptors: ring.descriptors)
            for watcher in stream.viewers {
                if isAnotherWriter {
                    tell(stream, watcher, watcher.wasToldAbsent ? .back : .restarted)
                    watcher.wasToldAbsent = false
                }
                if isChanged { tell(stream, watcher, .changed) }
            }
            // A driver that died before it had gone over leaves that to its successor.
            if stream.upcoming != nil { offerUpcoming(of: stream) }
            if isNew, let current = stream.current { openAdmitted(stream, current) }
            if streams[request.name] !== stream { closeRings(of: stream) }
        } catch {
            incarnation.send(.ringRefused(request: request.request, reason: error.message))
        }
    }

    /// The ring for frames of that size: the one that is there where it is large enough.
    /// - Returns: whether it is another one.
    private func grantRing(_ stream: ManagedStream, _ request: RingRequest) throws(CallError) -> Bool {
        guard let geometry = FrameRingGeometry(capacity: request.capacity, slotCount: request.slotCount) else {
            throw CallError("InvalidParameter", "A ring of \(request.slotCount) frames of \(request.capacity) bytes is out of bounds.")
        }
        if let ring = stream.ring, ring.geometry.capacity >= geometry.capacity, ring.geometry.slotCount >= geometry.slotCount {
            guard let upcoming = stream.upcoming, incarnation?.movesRings != true else { return false }
            // An older driver can't go over; it begins where its predecessor was to go.
            for old in stream.replace(by: upcoming.memory, isShared: true) where old !== upcoming.memory { givenUp.take(old) }
            return true
        }
        for old in stream.replace(by: try makeRing(geometry), isShared: incarnation?.movesRings != true) { givenUp.take(old) }
        return true
    }

    func ringChanged(_ name: String, _ description: JSONValue) {
        guard let stream = streams[name], stream.ring != nil, admitsChange() else { return }
        do throws(CallError) {
            try checkDescription(description)
        } catch {
            return logger.warning("the driver's description of its frames is not passed on", metadata: ["reason": "\(error)"])
        }
        settle(stream)
        stream.description = description
        for watcher in stream.viewers { tell(stream, watcher, .changed) }
    }

    /// It is handed to clients and kept for a successor.
    private func checkDescription(_ description: JSONValue) throws(CallError) {
        guard description.encodedByteCount <= limits.descriptionBytes else {
            throw CallError("InvalidParameter", "A stream's description has at most \(limits.descriptionBytes) bytes.")
        }
    }

    /// Nobody has the stream any more.
    func closeRings(of stream: ManagedStream) {
        for memory in stream.close() { givenUp.take(memory) }
    }

    // MARK: Bounds

    /// A driver gets memory only for a stream that it was told to open.
    func mayHaveMemory(for stream: String) throws(CallError) {
        guard asked.contains(stream) else { throw CallError("NotPermitted", "Nobody has asked for that stream.") }
    }

    /// Bytes of rings that the driver holds or may hold still.
    var ringBytes: Int {
        streams.values.reduce(0) { $0 + $1.byteCount } + transferRings.reduce(0) { $0 + $1.memory.byteCount } + givenUp.byteCount
    }

    func afford(_ bytes: Int) throws(CallError) {
        guard bytes <= limits.ringBytesPerDevice - ringBytes else {
            let limit = limits.ringBytesPerDevice >> 20
            throw CallError("LimitReached", "A device's rings have at most \(limit) MiB; this one has \(ringBytes >> 20) already.")
        }
    }

    private func makeRing(_ geometry: FrameRingGeometry) throws(CallError) -> FrameRingMemory {
        try afford(geometry.byteCount)
        do throws(FrameRingError) {
            return try FrameRingMemory(geometry: geometry, name: "frame-ring")
        } catch {
            throw CallError("LimitReached", "There is no memory for the frame ring: \(error).")
        }
    }
}

extension UInt64 {
    fileprivate func addingSaturated(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
