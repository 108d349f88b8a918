// Rings that streams are to go on in: from the channel's thread to the streams' writers.

import FrameRing
import Glibc
import Synchronization
import Wire

/// Knows who writes which stream's ring. A ring may come before its writer: between the grant of the ring before it and the writer's start.
final class RingMoves: Sendable {
    private struct Seat {
        weak var writer: FrameRingWriter?
        var waiting: (grant: RingGrant, descriptors: [Int32])?
    }
    private let channel: Channel
    private let seats = Mutex<[String: Seat]>([:])

    init(_ channel: Channel) { self.channel = channel }

    /// A ring is granted: what came before is for a writer that is no more.
    func forget(_ name: String) {
        let old = seats.withLock { $0.removeValue(forKey: name) }
        old?.waiting?.descriptors.forEach { close($0) }
    }

    func opened(_ name: String, _ writer: FrameRingWriter) {
        let waiting = seats.withLock { seats in
            let waiting = seats[name]?.waiting
            seats[name] = Seat(writer: writer)
            return waiting
        }
        guard let (grant, descriptors) = waiting else { return }
        offer(grant, descriptors, to: writer)
        descriptors.forEach { close($0) }
    }

    /// The descriptors stay the caller's: the ring's, and those of its readers' pages.
    func take(_ grant: RingGrant, _ descriptors: [Int32]) {
        let writer = seats.withLock { $0[grant.name]?.writer }
        if let writer { return offer(grant, descriptors, to: writer) }
        let kept = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 0) }
        guard !kept.contains(where: { $0 < 0 }) else { return kept.filter { $0 >= 0 }.forEach { close($0) } }
        let (late, unused): (FrameRingWriter?, [Int32]) = seats.withLock { seats in
            // It may have come in between.
            if let writer = seats[grant.name]?.writer { return (writer, kept) }
            defer { seats[grant.name, default: Seat()].waiting = (grant, kept) }
            return (nil, seats[grant.name]?.waiting?.descriptors ?? [])
        }
        if let late { offer(grant, kept, to: late) }
        unused.forEach { close($0) }
    }

    private func offer(_ grant: RingGrant, _ descriptors: [Int32], to writer: FrameRingWriter) {
        guard let geometry = FrameRingGeometry(capacity: grant.capacity, slotCount: grant.slotCount) else { return }
        do throws(FrameRingError) {
            try writer.offer(descriptor: descriptors[0], geometry: geometry, reports: grant.pages(of: descriptors)) { [channel] in
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

extension RingGrant {
    /// The pages of the ring's readers, of the descriptors that came with it. Empty if some do not report.
    func pages(of descriptors: [Int32]) -> [Int32] {
        let pages = Array(descriptors.dropFirst())
        return reports == pages.count ? pages : []
    }
}
