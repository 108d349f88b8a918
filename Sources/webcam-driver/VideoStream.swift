// A running stream: transfers go round on a thread of their own, and frames are assembled in place in the ring.

import CLinux
import FrameRing
import Synchronization
import Threads
import USB
import UVC
import UserDriver
import Wire

/// Moves one stream's payloads from the device into its ring until it is stopped or the device makes it stop.
final class VideoStream: Sendable {
    /// What ended it.
    enum End: Sendable {
        case stopped
        /// The endpoint halted.
        case stalled
        /// Nothing that belongs to a picture came for this long.
        case silent(Duration)
        case failed(USBError)
    }

    /// How the transfers are cut.
    struct Shape: Sendable, Equatable {
        var type: TransferType
        /// Isochronous: bytes and number of the packets of one transfer. Bulk: one "packet", the whole transfer.
        var packetLength: Int
        var packetCount: Int
        var transferCount: Int

        /// The time that the queue covers, and so the time that this process may be away without losing anything.
        static let cover: UInt64 = 128_000_000

        static func isochronous(bytesPerInterval: Int, packetInterval: UInt64) -> Shape {
            let interval = max(packetInterval, 1)
            let packets = Int(min(32, max(1, 4_000_000 / interval)))
            let transfers = Int((cover + UInt64(packets) * interval - 1) / (UInt64(packets) * interval))
            return Shape(
                type: .isochronous, packetLength: bytesPerInterval, packetCount: packets, transferCount: min(64, max(8, transfers)))
        }

        static func bulk(maxPacketSize: Int, maxPayloadSize: Int) -> Shape {
            let packet = max(maxPacketSize, 1)
            let wanted = min(max(maxPayloadSize, 16 << 10), 64 << 10)
            return Shape(type: .bulk, packetLength: (wanted + packet - 1) / packet * packet, packetCount: 1, transferCount: 16)
        }
    }

    struct Counters: Sendable {
        var frames: UInt64 = 0
        var lost: UInt64 = 0
        var bytes: UInt64 = 0
        /// CLOCK_MONOTONIC ns of the newest frames, for the rate; at most one second's.
        var recent: [UInt64] = []

        func rate(now: UInt64) -> Double {
            let second = recent.filter { $0 + 1_000_000_000 > now }
            guard let first = second.first, let last = second.last, last > first else { return 0 }
            return Double(second.count - 1) * 1e9 / Double(last - first)
        }
    }

    /// An endpoint has one queue at a time: given back once the stream has stopped.
    private let queue: Mutex<(any TransferQueue)?>
    private let shape: Shape
    private let continuity: SlotContinuity?
    private let settings: PayloadAssembler.Settings
    private let writer: FrameRingWriter
    private let frameInterval: UInt64
    private let silenceLimit: UInt64
    private let resumes: GapCause?
    private let progress: Progress
    let counters: Mutex<Counters>
    private let stopping = Mutex(false)
    private let thread = Mutex<WorkerThread?>(nil)

    /// - Parameters:
    ///   - continuity: for isochronous streams, what tells of packets that were never asked for.
    ///   - frameInterval: nanoseconds from frame to frame, as committed.
    ///   - resumes: why frames are missing before the first one; `nil` for a stream that begins.
    ///   - counters: what the stream has counted so far.
    init(
        queue: any TransferQueue, shape: Shape, continuity: SlotContinuity?, settings: PayloadAssembler.Settings, writer: FrameRingWriter,
        frameInterval: UInt64,
        resumes: GapCause?, counters: Counters, progress: Progress
    ) {
        self.queue = Mutex(queue)
        self.shape = shape
        self.continuity = continuity
        self.settings = settings
        self.writer = writer
        self.frameInterval = frameInterval
        self.silenceLimit = max(3_000_000_000, frameInterval * 4)
        self.resumes = resumes
        self.counters = Mutex(counters)
        self.progress = progress
    }

    /// Starts the thread. `ended` is called once, on that thread, when the stream is over; the endpoint's queue is empty then.
    func start(_ ended: @escaping @Sendable (End) -> Void) {
        do throws(WorkerThread.StartFailure) {
            let started = try WorkerThread(name: "stream") { [self] in
                progress.setStreaming(true)
                let end = run()
                progress.setStreaming(false)
                ended(end)
            }
            thread.withLock { $0 = started }
        } catch {
            // The supervisor starts another one.
            preconditionFailure("a driver that can't have a thread can't stream: \(error)")
        }
    }

    /// Ends the stream and waits for its thread; the endpoint is free then. Not from the thread itself.
    func stop() {
        stopping.withLock { $0 = true }
        queue.withLock { $0 }?.cancelAll()
        thread.withLock { $0 }?.join()
        queue.withLock { $0 = nil }
    }

    private func run() -> End {
        guard let queue = queue.withLock({ $0 }) else { return .stopped }
        do throws(USBError) {
            for tag in 0..<shape.transferCount { try queue.submit(transfer(tag, of: queue)) }
            let end = try circulate(queue)
            drain(queue)
            return end
        } catch {
            drain(queue)
            return stopping.withLock { $0 } ? .stopped : .failed(error)
        }
    }

    private func transfer(_ tag: Int, of queue: any TransferQueue) -> IdleTransfer {
        let buffer = queue.makeBuffer(count: shape.packetLength * shape.packetCount)
        let lengths = shape.type == .isochronous ? Array(repeating: shape.packetLength, count: shape.packetCount) : []
        return IdleTransfer(buffer: buffer, packetLengths: lengths, tag: UInt64(tag))
    }

    /// Takes each transfer as it completes, and submits it again.
    private func circulate(_ queue: any TransferQueue) throws(USBError) -> End {
        var assembler = PayloadAssembler(settings: settings)
        var continuity = continuity
        var slot = writer.begin()
        var isFirst = true
        var lastPublished: UInt64 = 0
        var lastDelivery = clinux_monotonic_ns()
        while true {
            let completed = try queue.next(timeout: .milliseconds(100))
            progress.turn()
            let now = clinux_monotonic_ns()
            if stopping.withLock({ $0 }) { return .stopped }
            guard let completed else {
                if now > lastDelivery + silenceLimit { return .silent(.nanoseconds(Int64(now - lastDelivery))) }
                continue
            }
            switch completed.status {
            case .stall: return .stalled
            case .disconnected: throw USBError(.noDevice, operation: "streaming")
            case .cancelled: return .stopped
            case .completed, .timedOut, .overflow, .fault: break
            }
            // More than the headers of its payloads: pixels.
            let delivers = completed.actualLength > 12 * shape.packetCount
            progress.transferCompleted(delivering: delivers)
            if delivers { lastDelivery = now }
            if now > lastDelivery + silenceLimit { return .silent(.nanoseconds(Int64(now - lastDelivery))) }
            if continuity?.hole(startFrame: completed.startFrame, packetCount: shape.packetCount) == true { assembler.packetsSkipped() }
            while let frame = assemble(&assembler, completed, into: slot.bytes) {
                if isFirst, let resumes {
                    let missed = writer.resumeGap(now: frame.captured, frameInterval: frameInterval, cause: resumes)
                    counters.withLock { $0.lost += missed }
                }
                isFirst = false
                // Noise in place of payloads looks like many damaged frames; in the ring they would push whole ones out before anybody saw them.
                if !frame.damage.isEmpty, frame.captured < lastPublished + frameInterval / 2 {
                    counters.withLock { $0.lost += 1 }
                    continue
                }
                lastPublished = frame.captured
                publish(frame)
                slot = writer.begin()
            }
            try queue.submit(completed.recycled())
        }
    }

    private func assemble(
        _ assembler: inout PayloadAssembler, _ transfer: borrowing CompletedTransfer, into slot: UnsafeMutableRawBufferPointer
    ) -> AssembledFrame? {
        let bytes = UnsafeRawBufferPointer(transfer.buffer.bytes)
        if shape.type == .isochronous {
            return assembler.isochronous(bytes, packets: transfer.packets, at: transfer.completedAt, into: slot)
        }
        let received = UnsafeRawBufferPointer(rebasing: bytes[..<min(max(0, transfer.actualLength), bytes.count)])
        return assembler.bulk(received, requested: transfer.length, status: transfer.status, at: transfer.completedAt, into: slot)
    }

    private func publish(_ frame: AssembledFrame) {
        writer.publish(
            length: frame.length, captured: frame.captured, deviceTime: UInt64(frame.presentationTime ?? 0),
            flags: frame.damage.isEmpty ? [] : .damaged)
        progress.framePublished()
        counters.withLock { counters in
            if frame.damage.isEmpty { counters.frames += 1 } else { counters.lost += 1 }
            counters.bytes += UInt64(frame.length)
            counters.recent.append(frame.captured)
            if counters.recent.count > 240 { counters.recent.removeFirst(120) }
        }
    }

    /// Takes back whatever is in flight, so that the endpoint can be used again.
    private func drain(_ queue: any TransferQueue) {
        queue.cancelAll()
        while queue.inFlight > 0 {
            do throws(USBError) {
                guard try queue.next(timeout: .seconds(2)) != nil else { return }
            } catch {
                return
            }
        }
    }
}
