// A stream of a device: its ring, which outlives drivers, and who watches it.

import FrameRing
import Glibc
import Wire

/// Somebody who watches a stream.
@SupervisorActor
final class StreamWatcher {
    let call: ClientCall
    let request: JSONValue
    /// It has the ring. Until then it waits for the device, the driver or the driver's answer.
    var hasRing = false
    /// The driver was asked to open the stream for it, and has not answered.
    var isAsking = false
    /// It was told that the device is absent, and not yet that it is back.
    var wasToldAbsent = false
    /// Ends the wait for the first ring.
    let limit = ReactorTimer()

    init(call: ClientCall, request: JSONValue) {
        self.call = call
        self.request = request
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
    static let defaultName = "video"
    let name: String
    private(set) var ring: FrameRingMemory?
    /// What the driver said of the frames, passed on unread.
    var description: JSONValue = .null
    /// What the stream was opened with: each new incarnation takes it up again with that.
    var request: JSONValue?
    /// The driver has confirmed that it is on.
    var isOpen = false
    /// The incarnation that last took the ring.
    var writer: UInt32 = 0
    var watchers: [StreamWatcher] = []
    var statistics = DriverStatistics.Stream()

    init(name: String) { self.name = name }

    var viewers: [StreamWatcher] { watchers.filter(\.hasRing) }

    /// The ring for frames of that size: the one that is there where it is large enough. `isNew` tells which.
    func ring(for request: RingRequest) throws(CallError) -> (ring: FrameRingMemory, isNew: Bool) {
        guard let geometry = FrameRingGeometry(capacity: request.capacity, slotCount: request.slotCount) else {
            throw CallError("InvalidParameter", "A ring of \(request.slotCount) frames of \(request.capacity) bytes is out of bounds.")
        }
        if let ring, ring.geometry.capacity >= geometry.capacity, ring.geometry.slotCount >= geometry.slotCount { return (ring, false) }
        do {
            let made = try FrameRingMemory(geometry: geometry, name: "frame-ring")
            ring = made
            return (made, true)
        } catch {
            throw CallError("LimitReached", "There is no memory for the frame ring: \(error).")
        }
    }

    /// The stream as an earlier supervisor had it on.
    func resume(_ memory: FrameRingMemory, _ stored: StoredDevice.Frames, writer: UInt32) {
        ring = memory
        description = stored.description
        request = stored.request
        isOpen = true
        self.writer = writer
    }

    /// Nobody watches: the ring's memory is given back.
    func close() {
        ring = nil
        isOpen = false
        request = nil
        description = .null
        writer = 0
        statistics = .init()
    }
}
