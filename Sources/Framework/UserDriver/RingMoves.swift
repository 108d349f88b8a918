// Rings that streams are to go on in: from the channel's thread to the streams' writers.

import FrameRing
import Glibc
import Synchronization
import Wire

/// Knows who writes which stream's ring. A ring may come before its writer: between the grant of the ring before it and the writer's start.
final class RingMoves: Sendable {
    private struct Seat {
        weak var writer: FrameRingWriter?
        var waiting: (grant: RingGrant, descriptor: Int32)?
    }
    private let channel: Channel
    private let seats = Mutex<[String: Seat]>([:])

    init(_ channel: Channel) { self.channel = channel }

    /// A ring is granted: what came before is for a writer that is no more.
    func forget(_ name: String) {
        let old = seats.withLock { $0.removeValue(forKey: name) }
        if let descriptor = old?.waiting?.descriptor { close(descriptor) }
    }

    func opened(_ name: String, _ writer: FrameRingWriter) {
        let waiting = seats.withLock { seats in
            let waiting = seats[name]?.waiting
            seats[name] = Seat(writer: writer)
            return waiting
        }
        guard let (grant, descriptor) = waiting else { return }
        offer(grant, descriptor, to: writer)
        close(descriptor)
    }

    /// The descriptor stays the caller's.
    func take(_ grant: RingGrant, _ descriptor: Int32) {
        let writer = seats.withLock { $0[grant.name]?.writer }
        if let writer { return offer(grant, descriptor, to: writer) }
        let kept = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard kept >= 0 else { return }
        let (late, unused): (FrameRingWriter?, Int32?) = seats.withLock { seats in
            // It may have come in between.
            if let writer = seats[grant.name]?.writer { return (writer, kept) }
            defer { seats[grant.name, default: Seat()].waiting = (grant, kept) }
            return (nil, seats[grant.name]?.waiting?.descriptor)
        }
        if let late { offer(grant, kept, to: late) }
        if let unused { close(unused) }
    }

    private func offer(_ grant: RingGrant, _ descriptor: Int32, to writer: FrameRingWriter) {
        guard let geometry = FrameRingGeometry(capacity: grant.capacity, slotCount: grant.slotCount) else { return }
        do throws(FrameRingError) {
            try writer.offer(descriptor: descriptor, geometry: geometry) { [channel] in
                // Not on the stream's thread, which waits for nobody.
                Task.detached { Self.tell(channel, .ringMoved(name: grant.name, request: grant.request)) }
            }
        } catch {
            // It stays in the ring in which it is.
            Self.tell(channel, .log(level: "error", message: "Another ring for the stream \"\(grant.name)\" can't be used: \(error)."))
        }
    }

    private static func tell(_ channel: Channel, _ message: MessageFromDriver) {
        do {
            try channel.send(message)
        } catch {
            // A supervisor that follows one that is gone finds in the rings themselves where the stream is.
        }
    }
}
