// The isochronous stream: each microframe has its own bytes, and who does not fetch them in time has lost them.

import USB

final class IsochronousStream: VideoStream {
    private static let slot: UInt64 = 125_000

    /// The frame that is on the bus.
    private struct Sending {
        /// The frame whose time it is. What is sent may be an earlier one that was not drawn in time.
        var number: UInt64
        var faults: Set<FaultPlan.Kind>
        var frame: PreparedFrame?
        /// The slot, counted from the frame's beginning, of its first byte; slots over which it is spread; bytes of it that are sent.
        var firstSlot = 0
        var slots = 1
        var length = 0
        /// Bytes of it that the host has fetched.
        var fetched = 0
        /// There was no time left to send it.
        var isSkipped = false
    }

    private var sending: Sending?
    /// The payload that fits the chosen alternate setting.
    private let payloadSize: Int
    /// The first frame that was due and not drawn since the last one that was sent.
    private var awaited: UInt64?
    /// Times of a frame in which none was sent because none was drawn: they do not toggle the frame identifier.
    private var skipped: UInt64 = 0
    private(set) var isStalled = false
    /// A fault has ended it.
    private var hasEnded = false

    init(
        _ parameters: StreamParameters, packetSize: Int, first: UInt64, wallClockOffset: UInt64, pipeline: FramePipeline,
        owner: any VideoStreamOwner
    ) {
        payloadSize = min(parameters.payloadSize, packetSize)
        super.init(parameters, first: first, wallClockOffset: wallClockOffset, pipeline: pipeline, owner: owner)
    }

    private var chunk: Int { max(1, payloadSize - PayloadHeader.length) }
    private var slotsPerFrame: Int { max(1, Int(interval / Self.slot)) }

    /// The packet of one slot; 0 bytes between frames.
    func packet(time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard !isStalled, let number = number(at: time), buffer.count >= PayloadHeader.length else { return 0 }
        if sending?.number != number {
            guard begin(number) else { return 0 }
        }
        guard var current = sending, !current.isSkipped else { return 0 }
        let slot = Int((time - begin(of: number)) / Self.slot)
        if current.frame == nil {
            guard let frame = pipeline.frame(number) else { return waitingPacket(time, current, into: buffer) }
            schedule(frame, slot, &current)
            sending = current
            if current.isSkipped { return 0 }
        }
        return payload(current, slot: slot - current.firstSlot, time: time, into: buffer)
    }

    /// Whether the frames that begin before a time are drawn; they are asked for where they are not.
    func isReady(until time: UInt64) -> Bool {
        guard !isStalled, !hasEnded, let last = number(at: time - 1) else { return true }
        // Those of a transfer that is longer than two frames do not fit into the pipeline.
        let next = max(sending.map { $0.number + 1 } ?? 0, last > 0 ? last - 1 : 0)
        guard next <= last else { return true }
        for number in next...last { request(number) }
        return (next...last).allSatisfy { pipeline.isSettled($0) }
    }

    /// Moves on to a frame. False when the camera has nothing more to send.
    private func begin(_ number: UInt64) -> Bool {
        if let last = sending { settle(last, next: number) }
        guard let faults = takeFaults(number) else {
            sending = nil
            hasEnded = true
            return false
        }
        if faults.contains(.stall) {
            isStalled = true
            return false
        }
        if !isDrawingSlow { request(number) }
        var current = Sending(number: number, faults: faults)
        if let frame = pipeline.frame(number) ?? lateFrame(before: number) {
            schedule(frame, 0, &current)
        }
        // The one that is being sent stays; the others nobody will ask for any more.
        pipeline.release(before: current.frame?.job?.number ?? awaited ?? number, jobsBefore: number)
        if current.frame == nil, awaited == nil { awaited = number }
        sending = current
        requestNext(after: number)
        return true
    }

    /// The time of a frame is over; `next` is the first that is looked at after it.
    private func settle(_ last: Sending, next: UInt64) {
        if last.frame == nil, !last.isSkipped { skipped += 1 }
        if last.frame == nil || last.isSkipped {
            tally.leaveOut(undrawn: 1)
        } else if last.fetched < last.length {
            tally.leaveOut(unfetched: 1)
        } else {
            tally.sent += 1
        }
        tally.leaveOut(unfetched: Int(clamping: next &- last.number) - 1)
    }

    /// A machine that draws too slowly, or was away for a while, sends what it has got: the newest frame of those that were due in vain.
    private func lateFrame(before number: UInt64) -> PreparedFrame? {
        awaited.flatMap { $0 < number ? pipeline.newestReady(in: $0..<number) : nil }.flatMap { pipeline.frame($0) }
    }

    /// Spreads a frame over nine tenths of its time, or over what is left of it.
    private func schedule(_ frame: PreparedFrame, _ slot: Int, _ current: inout Sending) {
        current.frame = frame
        current.firstSlot = slot
        current.length = current.faults.contains(.truncate) ? frame.count / 2 : frame.count
        let needed = (frame.count + chunk - 1) / chunk
        let spread = slotsPerFrame * 9 / 10 - slot
        current.slots = max(needed, spread)
        if slot + needed > slotsPerFrame {
            current.isSkipped = true
            skipped += 1
            if slot > 0, awaited == nil { awaited = current.number }
        } else {
            awaited = nil
        }
    }

    /// How many bytes are sent before a slot: whole payloads, evenly.
    private func position(_ slot: Int, _ current: Sending, _ count: Int) -> Int {
        if slot <= 0 { return 0 }
        if slot >= current.slots { return count }
        let even = (slot * count + current.slots - 1) / current.slots
        return min(count, (even + chunk - 1) / chunk * chunk)
    }

    private func payload(_ current: Sending, slot: Int, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let frame = current.frame else { return 0 }
        let start = min(position(slot, current, frame.count), current.length)
        let end = min(position(slot + 1, current, frame.count), current.length)
        let count = min(end - start, buffer.count - PayloadHeader.length)
        guard count > 0 else { return 0 }
        sending?.fetched += count
        if current.faults.contains(.garbagePayload) {
            fillWithNoise(UnsafeMutableRawBufferPointer(rebasing: buffer[..<(PayloadHeader.length + count)]))
            return PayloadHeader.length + count
        }
        var header = header(current, time)
        header.isEndOfFrame = end == current.length && !current.faults.contains(.lostEnd)
        header.isError = current.faults.contains(.errorBit) && start <= current.length / 2 && end > current.length / 2
        mark(&header)
        header.write(to: buffer)
        let data = UnsafeRawBufferPointer(rebasing: frame.bytes[start..<start + count])
        UnsafeMutableRawBufferPointer(rebasing: buffer[PayloadHeader.length...]).copyMemory(from: data)
        return PayloadHeader.length + count
    }

    private func header(_ current: Sending, _ time: UInt64) -> PayloadHeader {
        PayloadHeader(
            frameID: togglesFrameID && (current.number &- skipped) & 1 != 0,
            captureTime: begin(of: current.frame?.job?.number ?? current.number), time: time)
    }

    /// A header without data, while the frame is not ready.
    private func waitingPacket(_ time: UInt64, _ current: Sending, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        header(current, time).write(to: buffer)
        return PayloadHeader.length
    }
}
