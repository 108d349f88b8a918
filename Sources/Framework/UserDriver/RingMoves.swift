// Rings that streams are to go on in: from the channel's thread to the streams' writers.

import FileDescriptors
import FrameRing
import Glibc
import Synchronization
import Wire

/// Knows who writes which stream's ring. A ring may come before its writer: between the grant of the ring before it and the writer's start.
final class RingMoves: Sendable {
    /// A ring that came, with its descriptors: its own, and those of its readers' pages.
    private final class OfferedRing: Sendable {
        let grant: RingGrant
        let descriptors: OwnedDescriptors

        init(_ grant: RingGrant, _ descriptors: consuming OwnedDescriptors) {
            self.grant = grant
            self.descriptors = descriptors
        }
    }
    private struct Seat {
        weak var writer: FrameRingWriter?
        var waiting: OfferedRing?
    }
    private let channel: Channel
    private let seats = Mutex<[String: Seat]>([:])

    init(_ channel: Channel) { self.channel = channel }

    /// A ring is granted: what came before is for a writer that is no more.
    func forget(_ name: String) { _ = seats.withLock { $0.removeValue(forKey: name) } }

    func opened(_ name: String, _ writer: FrameRingWriter) {
        let waiting = seats.withLock { seats in
            let waiting = seats[name]?.waiting
            seats[name] = Seat(writer: writer)
            return waiting
        }
        if let waiting { offer(waiting, to: writer) }
    }

    /// The descriptors are the ring's, and those of its readers' pages.
    func take(_ grant: RingGrant, _ descriptors: consuming OwnedDescriptors) {
        let ring = OfferedRing(grant, descriptors)
        let writer = seats.withLock { seats in
            let writer = seats[grant.name]?.writer
            if writer == nil { seats[grant.name, default: Seat()].waiting = ring }
            return writer
        }
        if let writer { offer(ring, to: writer) }
    }

    private func offer(_ ring: OfferedRing, to writer: FrameRingWriter) {
        let (grant, descriptors) = (ring.grant, ring.descriptors.numbers)
        defer { withExtendedLifetime(ring) {} }
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
