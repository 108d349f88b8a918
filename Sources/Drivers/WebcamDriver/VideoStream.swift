// A running stream: transfers go round on a thread of their own, and frames are assembled in place in the ring.

import CLinux
package import FrameRing
package import Synchronization
import Threads
package import TransferRing
package import USB
package import UVC
package import UserDriver
import Wire

/// Moves one stream's payloads from the device into its ring until it is stopped or the device makes it stop.
package final class VideoStream: Sendable {
    /// What ended it.
    package enum End: Sendable {
        case stopped
        /// The endpoint halted.
        case stalled
        /// Nothing that belongs to a picture came for this long.
        case silent(Duration)
        case failed(USBError)
    }

    /// What is worth saying while it goes on.
    package enum News: Sendable {
        /// Pixels came, for the first time since the device was told to stream.
        case firstPicture(Patience)
        /// Nothing whole has come for a while.
        case drought(Drought.Report)
        /// What the device's marks are worth.
        case marks(FrameMarks)
    }

    /// How the transfers are cut.
    package struct Shape: Sendable, Equatable {
        package var type: TransferType
        /// Isochronous: bytes and number of the packets of one transfer. Bulk: one "packet", the whole transfer.
        package var packetLength: Int
        package var packetCount: Int
        package var transferCount: Int

        /// With fewer in flight no stream begins, nor goes on.
        var leastTransferCount: Int

        /// Nanoseconds that the queue covers, and so the time that this process may be away without losing anything: a hang is noticed after half a
        /// second. EHCI's schedule has room for a second.
        static let cover: UInt64 = 768_000_000
        /// The same for what needs so much memory that `memory` would not do.
        static let leastCover: UInt64 = 128_000_000
        /// Bytes of all transfers: usbfs gives all drivers together 16 MiB, where nobody has raised it.
        static let memory = 4 << 20
        static let mostMemory = 8 << 20

        package static func isochronous(bytesPerInterval: Int, packetInterval: UInt64) -> Shape {
            let interval = max(packetInterval, 1)
            let packets = Int(min(32, max(1, 4_000_000 / interval)))
            /// As many as cover that time within so many bytes; eight at least.
            func transfers(_ cover: UInt64, within bytes: Int) -> Int {
                let duration = UInt64(packets) * interval
                return max(8, min(Int((cover + duration - 1) / duration), bytes / max(1, packets * bytesPerInterval)))
            }
            let least = transfers(leastCover, within: mostMemory)
            return Shape(
                type: .isochronous, packetLength: bytesPerInterval, packetCount: packets,
                transferCount: min(TransferRingGeometry.maximumTransferCount, max(least, transfers(cover, within: memory))),
                leastTransferCount: least)
        }

        /// - Parameter payloadSize: the largest payload's, or a frame's where that is not known.
        package static func bulk(maxPacketSize: Int, payloadSize: Int) -> Shape {
            let packet = max(maxPacketSize, 1)
            let wanted = min(max(payloadSize, 16 << 10), 64 << 10)
            return Shape(
                type: .bulk, packetLength: (wanted + packet - 1) / packet * packet, packetCount: 1, transferCount: 16,
                leastTransferCount: 16)
        }
    }

    /// For the heartbeat.
    package struct Counters: Sendable {
        package init() {}

        package var frames: UInt64 = 0
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

    /// Where a stream begins.
    package enum Origin: Sendable {
        /// With a device that has just been told to stream. Why frames are missing before the first one, `nil` for a stream that begins.
        case fresh(GapCause?)
        /// In the middle of what the predecessor was doing.
        case takeover(StreamMemory, dropping: Bool)
    }

    private let transfers: TransferRing
    private let shape: Shape
    private let continuity: SlotContinuity?
    private let settings: PayloadAssembler.Settings
    private let writer: FrameRingWriter
    private let frameInterval: UInt64
    private let patience: Patience
    private let origin: Origin
    private let progress: Progress.Activity
    package let counters: Mutex<Counters>
    private let stopping = Mutex(false)
    private let thread = Mutex<WorkerThread?>(nil)

    /// - Parameters:
    ///   - transfers: a ring of this shape: fresh, or resumed where `origin` is a takeover.
    ///   - continuity: for isochronous streams, what tells of packets that were never asked for.
    ///   - frameInterval: nanoseconds from frame to frame, as committed.
    ///   - patience: how long a stream that begins waits for pictures.
    ///   - counters: what the stream has counted so far.
    package init(
        transfers: TransferRing, shape: Shape, continuity: SlotContinuity?, settings: PayloadAssembler.Settings, writer: FrameRingWriter,
        frameInterval: UInt64, patience: Patience, origin: Origin, counters: Counters, progress: Progress.Activity
    ) {
        self.transfers = transfers
        transfers.sufficientCount = shape.leastTransferCount
        self.shape = shape
        self.continuity = continuity
        self.settings = settings
        self.writer = writer
        writer.movesAtFrames = false
        self.frameInterval = frameInterval
        self.patience = patience
        self.origin = origin
        self.counters = Mutex(counters)
        self.progress = progress
    }

    /// Starts the thread, on which both are called: `heard` now and then, `ended` once, when the stream is over; nothing is in flight then.
    package func start(heard: @escaping @Sendable (News) -> Void, ended: @escaping @Sendable (End) -> Void) {
        do throws(WorkerThread.StartFailure) {
            let started = try WorkerThread(name: "stream") { [self] in
                ended(run(heard))
            }
            thread.withLock { $0 = started }
        } catch {
            // The supervisor starts another one.
            preconditionFailure("a driver that can't have a thread can't stream: \(error)")
        }
    }

    /// Ends the stream and waits for its thread; nothing is in flight then. Not from the thread itself.
    package func stop() {
        stopping.withLock { $0 = true }
        transfers.cancel()
        thread.withLock { $0 }?.join()
    }

    private var isStopping: Bool { stopping.withLock { $0 } }

    private func run(_ heard: (News) -> Void) -> End {
        progress.setStreaming(true, frameTime: frameInterval)
        let end: End
        do throws(USBError) {
            end = try circulate(heard)
        } catch {
            end = isStopping ? .stopped : .failed(error)
        }
        // What is in flight still may take its time to end: that is no hang.
        progress.setStreaming(false)
        transfers.drain()
        return end
    }

    // MARK: Where it begins

    /// What there is to remember at the start, and the slot of the first frame, once the transfers are in flight.
    private func begin() throws(USBError) -> (StreamMemory, FrameSlot) {
        switch origin {
        case .fresh(let cause):
            var memory = StreamMemory()
            let slot = writer.begin()
            memory.slot = UInt32(writer.slotIndex)
            memory.interruption = cause?.rawValue ?? 0
            memory.startedAt = clinux_monotonic_ns()
            memory.lastDelivery = memory.startedAt
            memory.patience = patience
            counters.withLock {
                memory.frames = $0.frames
                memory.lost = $0.lost
                memory.bytes = $0.bytes
            }
            try transfers.begin(layout: StreamMemory.layout, state: memory)
            return (memory, slot)
        case .takeover(var memory, let dropping):
            counters.withLock {
                $0.frames = memory.frames
                $0.lost = memory.lost
                $0.bytes = memory.bytes
            }
            // A process that was away is no reason to think the device silent.
            memory.lastDelivery = clinux_monotonic_ns()
            let slot: FrameSlot
            if let resumed = writer.resume(slot: Int(memory.slot)) {
                slot = resumed
            } else {
                // The frame ring went on without it: the frame in the making is lost, and shows as damaged.
                slot = writer.begin()
                memory.slot = UInt32(writer.slotIndex)
                noteHole(&memory)
            }
            try transfers.refill()
            if dropping, try transfers.take(timeout: .zero) != nil {
                noteHole(&memory)
                try transfers.commit(layout: StreamMemory.layout, state: memory)
            }
            return (memory, slot)
        }
    }

    private func noteHole(_ memory: inout StreamMemory) {
        var assembler = PayloadAssembler(settings: settings, state: memory.assembly)
        assembler.packetsSkipped()
        memory.assembly = assembler.state
    }

    // MARK: Going round

    /// Takes each transfer as it completes, commits what became of it, and puts it in flight again.
    private func circulate(_ heard: (News) -> Void) throws(USBError) -> End {
        /// Transfers below this number were in flight when the predecessor died.
        let inherited = transfers.inherited
        var (memory, slot) = try begin()
        var assembler = PayloadAssembler(settings: settings, state: memory.assembly)
        var continuity = continuity
        continuity?.memory = memory.continuity
        var lastTransfer = clinux_monotonic_ns()
        var drought = Drought(now: lastTransfer)
        while true {
            // Here what is committed agrees with the ring: a successor goes on in the one or in the other.
            if let moved = writer.move(keeping: Int(memory.assembly.length)) { slot = moved }
            let transfer = try transfers.take(timeout: .milliseconds(100))
            progress.turn()
            let now = clinux_monotonic_ns()
            if isStopping { return .stopped }
            if let report = drought.look(now: now) { heard(.drought(report)) }
            guard let transfer else {
                // Isochronous transfers come back by the bus's clock, whether the device sends something or not: whoever carries them has lost them.
                if shape.type == .isochronous, now > lastTransfer + memory.patience.ofBus {
                    return .silent(.nanoseconds(Int64(now - lastTransfer)))
                }
                if let silence = silence(memory, now: now) { return .silent(silence) }
                continue
            }
            lastTransfer = now
            switch transfer.status {
            case .stall: return .stalled
            case .disconnected: throw USBError(.noDevice, operation: "streaming")
            case .cancelled:
                // By a predecessor that died while it ended the stream: somebody watches still.
                throw USBError(.cancelled, operation: "streaming")
            case .completed, .timedOut, .overflow, .fault: break
            }
            // More than the headers of its payloads: pixels.
            let delivers = transfer.actualLength > 12 * shape.packetCount
            progress.transferCompleted(delivering: delivers)
            if delivers {
                drought.tookPixels()
                noteDelivery(&memory, now: now, heard)
            }
            if let silence = silence(memory, now: now) { return .silent(silence) }
            if continuity?.hole(startFrame: transfer.startFrame, packetCount: shape.packetCount) == true { assembler.packetsSkipped() }
            if transfer.number == inherited?.end, inherited?.wasDry == true {
                // Everything that was in flight had completed before this process came: what the device sent meanwhile nobody had asked for.
                assembler.packetsSkipped()
                memory.isFirst = 1
                memory.interruption = GapCause.driverRestarted.rawValue
            }
            memory.continuity = continuity?.memory ?? .init()
            let time = completionTime(transfer, memory, isInherited: transfer.number < inherited?.end ?? 0)
            memory.lastCompletion = time
            while let frame = assemble(&assembler, transfer, at: time, into: slot.bytes) {
                drought.take(frame, now: now)
                noteMissed(assembler.state, &memory)
                // Noise in place of payloads looks like many damaged frames; in the ring they would push whole ones out before anybody saw them.
                if !frame.damage.isEmpty, frame.captured < memory.lastPublished &+ frameInterval / 2 {
                    progress.frameEnded()
                    if !isFragment(frame) {
                        memory.lost &+= 1
                        memory.untold = min(memory.untold, .max - 1) + 1
                    }
                    continue
                }
                tellGaps(before: frame, in: slot, &memory)
                memory.isFirst = 0
                publish(frame, &memory)
                noteMarks(assembler.state, of: frame, &memory, heard)
                slot = writer.begin()
                memory.slot = UInt32(writer.slotIndex)
                memory.assembly = assembler.state
                transfers.checkpoint(layout: StreamMemory.layout, state: memory)
            }
            noteMissed(assembler.state, &memory)
            memory.assembly = assembler.state
            try transfers.commit(layout: StreamMemory.layout, state: memory)
        }
    }

    /// How long the device has been silent, where that is longer than it is waited for.
    private func silence(_ memory: StreamMemory, now: UInt64) -> Duration? {
        let limit =
            memory.hasDelivered != 0
            ? Patience.betweenPictures(frameInterval: frameInterval) : memory.patience.beforeFirstPicture(frameInterval: frameInterval)
        guard let limit, now > memory.lastDelivery, now - memory.lastDelivery > limit else { return nil }
        return .nanoseconds(Int64(clamping: now - memory.lastDelivery))
    }

    private func noteDelivery(_ memory: inout StreamMemory, now: UInt64, _ heard: (News) -> Void) {
        memory.lastDelivery = now
        guard memory.hasDelivered == 0 else { return }
        memory.hasDelivered = 1
        memory.patience.delivered(after: now > memory.startedAt ? now - memory.startedAt : 0)
        heard(.firstPicture(memory.patience))
    }

    /// A part of a frame that was counted already.
    private func isFragment(_ frame: AssembledFrame) -> Bool {
        guard case .uncompressed(let length) = settings.content else { return true }
        return frame.length < length / 2
    }

    /// What a few whole frames in a row have shown of the device's marks is said, once. (Noise may show anything.)
    private func noteMarks(_ state: AssemblyState, of frame: AssembledFrame, _ memory: inout StreamMemory, _ heard: (News) -> Void) {
        guard memory.marks < 3, frame.damage.isEmpty else { return }
        memory.marks = state.frameMarks == .sound ? 0 : memory.marks + 1
        if memory.marks == 3 { heard(.marks(state.frameMarks)) }
    }

    /// Frames that came and could not be told from others.
    private func noteMissed(_ state: AssemblyState, _ memory: inout StreamMemory) {
        let missed = state.missedFrames &- memory.missed
        guard missed > 0 else { return }
        memory.missed = state.missedFrames
        memory.lost &+= missed
        memory.untold = UInt32(clamping: UInt64(memory.untold) + min(missed, UInt64(UInt32.max)))
    }

    /// Tells readers of the frames that are missing before this one.
    private func tellGaps(before frame: AssembledFrame, in slot: FrameSlot, _ memory: inout StreamMemory) {
        // A frame that a predecessor has published already was told of with its gap.
        let isNew = slot.sequence >= writer.nextSequence
        if memory.isFirst != 0, let cause = GapCause(rawValue: memory.interruption), memory.interruption != 0 {
            let missing = writer.resumeGap(now: frame.captured, frameInterval: frameInterval, cause: cause)
            if missing > 0 {
                memory.lost &+= missing - min(missing, UInt64(memory.untold))
                memory.untold = 0
            }
        }
        if memory.untold > 0, isNew { writer.skip(count: UInt64(memory.untold), cause: .damaged) }
        memory.untold = 0
    }

    /// When a transfer completed. Those that completed while nobody was there to see were noticed late, all at once: isochronous ones keep the bus's
    /// pace, so each is one transfer's time after the one before.
    private func completionTime(_ transfer: TransferRing.Transfer, _ memory: StreamMemory, isInherited: Bool) -> UInt64 {
        guard isInherited, shape.type == .isochronous, memory.lastCompletion != 0 else { return transfer.completedAt }
        let pace = settings.packetInterval * UInt64(shape.packetCount)
        return min(transfer.completedAt, memory.lastCompletion &+ pace &+ pace / 1000)
    }

    private func assemble(
        _ assembler: inout PayloadAssembler, _ transfer: TransferRing.Transfer, at time: UInt64, into slot: UnsafeMutableRawBufferPointer
    ) -> AssembledFrame? {
        if shape.type == .isochronous {
            return assembler.isochronous(transfer.bytes, packets: transfer.packets, at: time, into: slot)
        }
        return assembler.bulk(transfer.bytes, requested: transfer.requested, status: transfer.status, at: time, into: slot)
    }

    private func publish(_ frame: AssembledFrame, _ memory: inout StreamMemory) {
        writer.publish(
            length: frame.length, captured: frame.captured, deviceTime: UInt64(frame.presentationTime ?? 0),
            flags: FrameFlags(frame))
        progress.frameEnded()
        memory.lastPublished = frame.captured
        if frame.damage.isEmpty { memory.frames &+= 1 } else { memory.lost &+= 1 }
        memory.bytes &+= UInt64(frame.length)
        counters.withLock { counters in
            counters.frames = memory.frames
            counters.lost = memory.lost
            counters.bytes = memory.bytes
            counters.recent.append(frame.captured)
            if counters.recent.count > 240 { counters.recent.removeFirst(120) }
        }
    }
}

extension FrameFlags {
    /// What readers are told of a frame's state.
    fileprivate init(_ frame: AssembledFrame) {
        self = frame.isRepaired ? .repaired : []
        guard !frame.damage.isEmpty else { return }
        insert(.damaged)
        let reasons: [(FrameDamage, FrameFlags)] = [
            (.short, .short), (.oversize, .oversize), (.packetLost, .lostPackets), (.errorBit, .deviceError),
            (.malformedPayload, .malformed),
            (.noStart, .cutPicture), (.noEnd, .cutPicture),
        ]
        for (damage, flag) in reasons where frame.damage.contains(damage) { insert(flag) }
    }
}
