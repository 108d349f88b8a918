// The camera's pictures on their way to a node: read on a thread of its own while the node is in use, taken one by one by PipeWire's.

import CLinux
import CPipeWire
import Pictures
import Synchronization
import Threads
import UserDriverClient

/// Opens the camera's stream, opens it again when it ends, and keeps the newest frames, which lie in the ring.
final class PictureReader: Sendable {
    private struct Shared {
        var frames: [Frame] = []
        var isStopped = false
        var stream: FrameStream?
        /// PipeWire was asked to take a picture at this time, and has not said that it is done with it.
        var askedAt: UInt64?
        /// It has taken one since.
        var hasTaken = false
        /// Some program did not see the last picture in time: it is not waited for until it does again.
        var isImpatient = false
        /// Pictures that some program may not have seen, as it took too long over those before.
        var passed = 0
        /// What is added to the frames' numbers, which begin anew with some rings.
        var offset: UInt64 = 0
        var epoch: Int?
        var last: UInt64 = 0
    }

    let offer: NodeOffer
    let rate: NodeRate
    private let camera: Camera
    private let shared = Mutex(Shared())
    private let cancellation = Cancellation()
    private let stopped = Monitored(false)
    private let ask: @Sendable () -> Void
    private let log: @Sendable (String) -> Void
    private let thread = Mutex<WorkerThread?>(nil)
    private let decoder: PictureDecoder

    /// A program that stops for a moment finds so many pictures when it goes on. They take no memory but the ring's.
    private static let mostFrames = 6
    /// Between two attempts to open a stream.
    private static let pause: UInt64 = 500_000_000
    /// So long a program may take to see that a picture is there; longer it keeps nobody from theirs. Those that come meanwhile are kept.
    private static let patience: UInt64 = 180_000_000
    private static let impatience: UInt64 = 10_000_000

    /// - Parameter ask: has PipeWire call `fill`; called from any thread.
    init(
        _ offer: NodeOffer, at rate: NodeRate, of camera: Camera, ask: @escaping @Sendable () -> Void,
        log: @escaping @Sendable (String) -> Void
    ) {
        self.offer = offer
        self.rate = rate
        self.camera = camera
        self.ask = ask
        self.log = log
        decoder = PictureDecoder(offer)
    }

    /// Once only. The camera has one form at a time: the reader before this one has let go of it first.
    func start(after before: PictureReader?) {
        do throws(WorkerThread.StartFailure) {
            let started = try WorkerThread(name: "node pictures") {
                before?.join()
                self.run()
            }
            thread.withLock { $0 = started }
        } catch {
            log("The camera can't be read: \(error)")
        }
    }

    /// From any thread; waits for nothing.
    func stop() {
        let (stream, passed) = shared.withLock { shared in
            shared.isStopped = true
            shared.frames = []
            defer { shared.passed = 0 }
            return (shared.stream, shared.passed)
        }
        if passed > 0 { log("A program was too slow for \(passed) pictures.") }
        stopped.change { $0 = true }
        cancellation.cancel()
        stream?.stop()
    }

    private func join() { thread.withLock { $0 }?.join() }

    private var isStopped: Bool { shared.withLock { $0.isStopped } }

    // MARK: - From the camera

    private func run() {
        var said: ClientError.Code?
        while !isStopped {
            do throws(ClientError) {
                let stream = try camera.openStream(
                    offer.request(rate), options: FrameStream.Options(openTimeout: .seconds(10), waitsForDevice: true),
                    cancellation: cancellation)
                let isLate = shared.withLock { shared in
                    shared.stream = stream
                    shared.epoch = nil
                    return shared.isStopped
                }
                if isLate { return stream.stop() }
                said = nil
                try read(stream)
            } catch {
                guard !isStopped else { return }
                if said != error.code { log("The camera is not streaming: \(error.message)") }
                said = error.code
            }
            rest()
        }
        shared.withLock { $0.stream }?.stop()
    }

    private func rest() {
        _ = stopped.wait(until: clinux_monotonic_ns() + Self.pause) { $0 ? true : nil }
    }

    /// Until the stream ends.
    private func read(_ stream: FrameStream) throws(ClientError) {
        while !isStopped {
            switch try stream.next() {
            case .event(.frame(let frame)): take(frame)
            case .event(.driverFailed(let message)), .event(.deviceAbsent(let message)), .event(.supervisorLost(let message)):
                log(message)
            case .event, .timedOut: break
            case .ended(let reason):
                if let reason, !reason.isEmpty, !isStopped { log("The camera's stream has ended: \(reason)") }
                return
            }
        }
    }

    private func take(_ frame: Frame) {
        // As the kernel's driver does it: what is damaged is left out.
        guard !frame.isDamaged, fits(frame) else { return }
        let now = clinux_monotonic_ns()
        let isDue = shared.withLock { shared in
            guard !shared.isStopped else { return false }
            if shared.frames.count >= Self.mostFrames {
                shared.frames.removeFirst()
                shared.passed += 1
            }
            shared.frames.append(frame)
            if let asked = shared.askedAt {
                if now &- asked < (shared.isImpatient ? Self.impatience : Self.patience) { return false }
                shared.isImpatient = true
                if shared.hasTaken { shared.passed += 1 }
            }
            shared.askedAt = now
            shared.hasTaken = false
            return true
        }
        if isDue { ask() }
    }

    private func fits(_ frame: Frame) -> Bool {
        let (count, most) = (frame.byteCount, offer.byteCount)
        guard count > 0, offer.isCompressed || offer.isDecoded ? count <= max(most, offer.width * offer.height * 2) : count == most else {
            return false
        }
        guard let stream = frame.stream else { return true }
        return stream.width == offer.width && stream.height == offer.height && stream.format == offer.request(rate).format
    }

    // MARK: - To PipeWire

    /// On PipeWire's thread: the oldest picture that is still whole.
    func fill(_ memory: UnsafeMutableRawBufferPointer, _ picture: inout cpipewire_picture) -> Bool {
        while let frame = next() {
            guard let count = decoder.put(frame, into: memory) else { continue }
            shared.withLock { shared in
                shared.hasTaken = true
                if let epoch = shared.epoch, epoch == frame.epoch {
                } else {
                    // Numbers are the ring's, and go on where they were.
                    shared.epoch = frame.epoch
                    shared.offset = shared.last == 0 ? 0 : shared.last &+ 1 &- frame.sequence
                }
                picture.number = frame.sequence &+ shared.offset
                picture.follows_gap = picture.number != shared.last &+ 1
                shared.last = picture.number
            }
            picture.byte_count = count
            picture.time = frame.captured
            return true
        }
        return false
    }

    private func next() -> Frame? { shared.withLock { $0.frames.isEmpty ? nil : $0.frames.removeFirst() } }

    /// The last picture has been seen by all; those that came meanwhile follow, each in a turn of its own.
    func done() {
        let isDue = shared.withLock { shared in
            if let asked = shared.askedAt, clinux_monotonic_ns() &- asked < Self.impatience { shared.isImpatient = false }
            guard !shared.frames.isEmpty, shared.hasTaken, !shared.isStopped else {
                shared.askedAt = nil
                return false
            }
            shared.askedAt = clinux_monotonic_ns()
            shared.hasTaken = false
            return true
        }
        if isDue { ask() }
    }
}

/// Makes of a frame what the node gives. Used by one thread at a time: PipeWire's, for one node after the other.
private final class PictureDecoder: @unchecked Sendable {
    // Sendable: PipeWire calls `fill` from its one data thread only.
    private let offer: NodeOffer
    private var decoder: I420Decoder?
    private var jpeg = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    init(_ offer: NodeOffer) { self.offer = offer }

    deinit { jpeg.deallocate() }

    /// The bytes that were put there. `nil` if the frame was overwritten meanwhile or is no picture.
    func put(_ frame: Frame, into memory: UnsafeMutableRawBufferPointer) -> Int? {
        let count = frame.byteCount
        guard offer.isDecoded else {
            guard count <= memory.count, frame.copy(into: memory) else { return nil }
            return count
        }
        let (width, height) = (offer.width, offer.height)
        let size = offer.byteCount
        guard memory.count >= size else { return nil }
        // A copy of its own: a driver may write whatever it likes into the ring, also while this reads it.
        if jpeg.count < count {
            jpeg.deallocate()
            jpeg = .allocate(byteCount: count + count / 4, alignment: 64)
        }
        guard frame.copy(into: jpeg) else { return nil }
        do throws(PictureError) {
            if decoder == nil { decoder = try I420Decoder() }
            let bytes = UnsafeBufferPointer(start: UnsafePointer(jpeg.baseAddress!.assumingMemoryBound(to: UInt8.self)), count: count)
            try decoder?.decode(bytes, width: width, height: height, into: memory)
            return size
        } catch {
            return nil
        }
    }
}

extension Frame {
    /// False if the frame was overwritten meanwhile.
    fileprivate func copy(into memory: UnsafeMutableRawBufferPointer) -> Bool {
        withBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: memory[..<bytes.count]).copyMemory(from: bytes)
        }
    }
}
