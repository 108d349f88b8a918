// The steps of a stream's loop: none of them knows what a frame is made of.

import CLinux
public import FrameRing
import Synchronization
public import TransferRing
public import USB
import UserDriver

/// What the loop has in its hands.
@usableFromInline struct StreamPass {
    @usableFromInline var books: StreamBooks
    /// Where the frame in the making lies.
    @usableFromInline var slot: FrameSlot
    /// When the transfer in hand completed, CLOCK_MONOTONIC ns.
    @usableFromInline var time: UInt64 = 0
    /// When it was taken, or nearly.
    @usableFromInline var now: UInt64
    var lastTransfer: UInt64
    var drought: Drought
    var continuity: SlotContinuity?
    /// `StreamNews.begun` was told.
    var isBegun: Bool
    /// The predecessor submitted the transfers below this number.
    let inheritedEnd: UInt64?
}

/// What comes next in the loop.
@usableFromInline enum StreamStep {
    /// No transfer in time.
    case none
    case end(StreamEnd)
    /// `afterHole`: what the device sent before it is lost.
    case transfer(TransferRing.Transfer, afterHole: Bool)
}

extension StreamRun {
    // MARK: Where it begins

    /// What there is to remember at the start, and the slot of the first frame, once the transfers
    /// are in flight.
    @usableFromInline func begin<Assembler: FrameAssembler>(
        _ origin: StreamOrigin<Assembler.State>, _ assembler: inout Assembler
    ) throws(USBError) -> StreamPass {
        let now = clinux_monotonic_ns()
        var books: StreamBooks
        var slot: FrameSlot
        switch origin {
        case .fresh(let cause):
            books = StreamBooks()
            slot = writer.begin()
            books.slot = UInt32(writer.slotIndex)
            books.interruption = cause?.rawValue ?? 0
            books.startedAt = now
            books.lastDelivery = now
            books.patience = patience
            counters.withLock {
                books.frames = $0.frames
                books.lost = $0.lost
                books.bytes = $0.bytes
            }
            try transfers.begin(layout: Assembler.memoryLayout, state: StreamMemory(books: books, assembly: assembler.state))
        case .takeover(let memory, let dropping):
            books = memory.books
            assembler.state = memory.assembly
            counters.withLock { $0.set(books) }
            // A process that was away is no reason to think the device silent.
            books.lastDelivery = now
            if let resumed = writer.resume(slot: Int(books.slot)) {
                slot = resumed
            } else {
                // The frame ring went on without it: the frame in the making is lost, and shows as
                // damaged.
                slot = writer.begin()
                books.slot = UInt32(writer.slotIndex)
                assembler.dataLost()
            }
            try transfers.refill()
            if dropping, try transfers.take(timeout: .zero) != nil {
                assembler.dataLost()
                try transfers.commit(layout: Assembler.memoryLayout, state: StreamMemory(books: books, assembly: assembler.state))
            }
        }
        var continuity = shape.continuity
        continuity?.memory = books.continuity
        let begun = clinux_monotonic_ns()
        // No bandwidth is reserved for bulk.
        let isBegun = shape.type != .isochronous
        if isBegun { tell(.begun) }
        return StreamPass(
            books: books, slot: slot, now: begun, lastTransfer: begun, drought: Drought(now: begun), continuity: continuity,
            isBegun: isBegun, inheritedEnd: transfers.inheritedEnd)
    }

    // MARK: Going round

    /// Goes on in another frame ring, if one was offered.
    @usableFromInline func moveRing(_ pass: inout StreamPass, keeping length: Int) {
        if let moved = writer.move(keeping: length) { pass.slot = moved }
    }

    /// Waits for the next transfer, and judges what it says of the device and the bus.
    @usableFromInline func next(_ pass: inout StreamPass, headerLength: Int) throws(USBError) -> StreamStep {
        let taken = try transfers.take(timeout: Self.turn)
        progress.turn()
        if !pass.isBegun { try begun(&pass, with: taken) }
        let now = Self.now(taken, pass)
        pass.now = now
        if isStopping { return .end(.stopped) }
        if let report = pass.drought.look(now: now) { tell(.drought(report)) }
        guard let transfer = taken else {
            // Isochronous transfers come back by the bus's clock, whether the device sends
            // something or not: whoever carries them has lost them.
            if shape.type == .isochronous, now > pass.lastTransfer + pass.books.patience.ofBus {
                return .end(.silent(.nanoseconds(Int64(now - pass.lastTransfer))))
            }
            if let silence = silence(pass.books, now: now) { return .end(.silent(silence)) }
            return .none
        }
        pass.lastTransfer = now
        switch transfer.status {
        case .stall: return .end(.stalled)
        case .disconnected: throw USBError(.noDevice, operation: "streaming")
        case .cancelled:
            // By a predecessor that died while it ended the stream: somebody watches still.
            throw USBError(.cancelled, operation: "streaming")
        case .completed, .timedOut, .overflow, .fault: break
        }
        let delivers = transfer.actualLength > headerLength * shape.packetCount
        progress.transferCompleted(delivering: delivers)
        if delivers {
            pass.drought.tookPixels()
            noteDelivery(&pass.books, now: now)
        }
        if let silence = silence(pass.books, now: now) { return .end(.silent(silence)) }
        var afterHole = pass.continuity?.hole(startFrame: transfer.startFrame, packetCount: shape.packetCount) == true
        if transfer.followsDryQueue {
            if transfer.number == pass.inheritedEnd {
                // The queue ran dry before this process came.
                afterHole = true
                pass.books.isFirst = 1
                pass.books.interruption = GapCause.driverRestarted.rawValue
            } else if shape.type == .isochronous, transfer.startFrame == nil {
                // This process was too slow, where the bus's own count does not tell what that cost. A bulk
                // device waits.
                afterHole = true
            }
        }
        if let continuity = pass.continuity { pass.books.continuity = continuity.memory }
        pass.time = completionTime(transfer, pass)
        pass.books.lastCompletion = pass.time
        return .transfer(transfer, afterHole: afterHole)
    }

    /// The first turn is over. What another machine's host controller refuses comes back as a transfer.
    private func begun(_ pass: inout StreamPass, with transfer: TransferRing.Transfer?) throws(USBError) {
        if let transfer, let refusal = transfer.refusal { throw refusal }
        pass.isBegun = true
        tell(.begun)
    }

    /// How long a turn waits for a transfer.
    private static let turn = Duration.milliseconds(100)

    /// A transfer that has just completed tells the time. One that lay there for a while, or whose
    /// record says something else than a time, does not.
    private static func now(_ transfer: TransferRing.Transfer?, _ pass: StreamPass) -> UInt64 {
        guard let time = transfer?.completedAt, time >= pass.now, time - pass.now < 1_000_000_000 else { return clinux_monotonic_ns() }
        return time
    }

    /// How long the device has been silent, where that is longer than it is waited for.
    private func silence(_ books: StreamBooks, now: UInt64) -> Duration? {
        let limit =
            books.hasDelivered != 0
            ? Patience.betweenPictures(frameInterval: frameInterval) : books.patience.beforeFirstPicture(frameInterval: frameInterval)
        guard let limit, now > books.lastDelivery, now - books.lastDelivery > limit else { return nil }
        return .nanoseconds(Int64(clamping: now - books.lastDelivery))
    }

    private func noteDelivery(_ books: inout StreamBooks, now: UInt64) {
        books.lastDelivery = now
        guard books.hasDelivered == 0 else { return }
        books.hasDelivered = 1
        books.patience.delivered(after: now > books.startedAt ? now - books.startedAt : 0)
        tell(.firstPicture(books.patience))
    }

    /// When a transfer completed. Those that completed while nobody was there to see were noticed
    /// late, all at once: isochronous ones keep the bus's pace, so each is one transfer's time
    /// after the one before.
    private func completionTime(_ transfer: TransferRing.Transfer, _ pass: StreamPass) -> UInt64 {
        guard let end = pass.inheritedEnd, transfer.number < end, shape.type == .isochronous,
            pass.books.lastCompletion != 0
        else { return transfer.completedAt }
        let pace = shape.packetInterval * UInt64(shape.packetCount)
        return min(transfer.completedAt, pass.books.lastCompletion &+ pace &+ pace / 1000)
    }

    // MARK: Frames

    /// Shows a frame to readers, with what is missing before it, and opens the next slot. False
    /// where it was not shown, and its slot is used again.
    @usableFromInline func publish(
        _ frame: StreamFrame, _ pass: inout StreamPass, missed: UInt64, remark: @autoclosure () -> String?
    ) -> Bool {
        pass.drought.take(frame, now: pass.now)
        noteMissed(missed, &pass)
        // Noise in place of payloads looks like many damaged frames; in the ring they would push
        // whole ones out before anybody saw them.
        if !frame.isWhole, frame.captured < pass.books.lastPublished &+ frameInterval / 2 {
            progress.frameEnded()
            if !frame.isFragment {
                pass.books.lost &+= 1
                pass.books.untold = min(pass.books.untold, .max - 1) + 1
            }
            return false
        }
        tellGaps(before: frame, in: pass.slot, &pass.books)
        pass.books.isFirst = 0
        writer.publish(length: frame.length, captured: frame.captured, deviceTime: frame.deviceTime, flags: frame.flags)
        progress.frameEnded()
        pass.books.lastPublished = frame.captured
        if frame.isWhole { pass.books.frames &+= 1 } else { pass.books.lost &+= 1 }
        pass.books.bytes &+= UInt64(frame.length)
        counters.withLock { counters in
            counters.set(pass.books)
            counters.note(captured: frame.captured)
        }
        if frame.isWhole, pass.books.remarks < 3 {
            let remark = remark()
            pass.books.remarks = remark == nil ? 0 : pass.books.remarks + 1
            if let remark, pass.books.remarks == 3 { tell(.remark(remark)) }
        }
        pass.slot = writer.begin()
        pass.books.slot = UInt32(writer.slotIndex)
        return true
    }

    /// Frames that the assembler has dropped.
    @usableFromInline func noteMissed(_ total: UInt64, _ pass: inout StreamPass) {
        let missed = total &- pass.books.missed
        guard missed > 0 else { return }
        pass.books.missed = total
        pass.books.lost &+= missed
        pass.books.untold = UInt32(clamping: UInt64(pass.books.untold) + min(missed, UInt64(UInt32.max)))
    }

    /// Tells readers of the frames that are missing before this one.
    private func tellGaps(before frame: StreamFrame, in slot: FrameSlot, _ books: inout StreamBooks) {
        // A frame that a predecessor has published already was told of with its gap.
        let isNew = slot.sequence >= writer.nextSequence
        if books.isFirst != 0, let cause = GapCause(rawValue: books.interruption), books.interruption != 0 {
            let missing = writer.resumeGap(now: frame.captured, frameInterval: frameInterval, cause: cause)
            if missing > 0 {
                books.lost &+= missing - min(missing, UInt64(books.untold))
                books.untold = 0
            }
        }
        if books.untold > 0, isNew { writer.skip(count: UInt64(books.untold), cause: .damaged) }
        books.untold = 0
    }
}

extension TransferRing.Transfer {
    /// Why the host controller never took it: there was no bandwidth. `nil` for one that it took.
    var refusal: USBError? {
        guard let error = status.error(operation: "submitting"), error.code == .noBandwidth else { return nil }
        return error
    }
}
