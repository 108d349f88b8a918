// The bulk stream: the camera holds two frames for a host that is late, and drops whole ones beyond that.

import USB
import USBEmulation

final class BulkStream: VideoStream {
    private static let packetSize = 512
    /// Data is offered in pieces of at least this, so that a host's transfer is not a thousand small ones.
    private static let leastPiece = 16384

    /// The frame that is being sent.
    private struct Sending {
        var number: UInt64
        var frame: PreparedFrame
        var faults: Set<FaultPlan.Kind>
        /// Bytes of the frame that are sent at all.
        var length: Int
        var sent = 0
        /// Bytes of the current payload, header included, that have been written.
        var payloadPosition = 0
    }

    private var sending: Sending?
    private var next: UInt64 = 0
    /// The first frame that the host was waiting for in vain since the last one that was sent.
    private var awaited: UInt64?
    private var frameID = false
    private var owesEmptyPacket = false
    /// Whether anything has been fetched: then clearing the endpoint's halt means "stop".
    private(set) var hasSent = false
    var isStalled = false

    func data(now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        if isStalled { return .stall }
        if owesEmptyPacket {
            owesEmptyPacket = false
            return .data(count: 0, ends: true)
        }
        guard let captured = number(at: now) else { return .later(at: first) }
        if sending == nil, let wait = start(captured: captured, now: now) { return wait }
        guard let current = sending else { return .later(at: nil) }
        return send(current, now: now, into: buffer)
    }

    /// Chooses the next frame: the oldest of the two that the camera holds. Returns what to answer while there is none.
    private func start(captured: UInt64, now: UInt64) -> InAnswer? {
        var number = max(next, captured > 0 ? captured - 1 : 0)
        if number > captured {
            request(number)
            return .later(at: begin(of: number))
        }
        // A machine that draws too slowly, or was away for a while, sends what it has got.
        let due = number
        if pipeline.frame(due) == nil, let awaited, awaited < due, let late = pipeline.newestReady(in: awaited..<due) { number = late }
        pipeline.release(before: pipeline.frame(number) == nil ? awaited ?? number : number, jobsBefore: isDrawingSlow ? next : due)
        guard let frame = pipeline.frame(number) else {
            if awaited == nil { awaited = number }
            if !isDrawingSlow || !pipeline.knows(atLeast: next) { request(number) }
            // Its drawing thread says when it is there; a frame that can't be made is passed over in time.
            return .later(at: begin(of: number + 1))
        }
        guard let faults = takeFaults(number) else { return .later(at: nil) }
        pipeline.release(before: number)
        if number > next {
            let leftOut = Int(clamping: number - next)
            if awaited == nil { tally.leaveOut(unfetched: leftOut) } else { tally.leaveOut(undrawn: leftOut) }
        }
        next = number + 1
        awaited = nil
        if faults.contains(.stall) {
            isStalled = true
            return .stall
        }
        sending = Sending(
            number: number, frame: frame, faults: faults, length: faults.contains(.truncate) ? frame.count / 2 : frame.count)
        requestNext(after: number)
        return nil
    }

    /// Bytes of the frame that have been captured by now: it takes nine tenths of its time.
    private func available(_ current: Sending, now: UInt64) -> Int {
        let elapsed = Int(now &- begin(of: current.number))
        let duration = Int(interval) / 10 * 9
        return elapsed >= duration ? current.length : current.length * elapsed / duration
    }

    private func send(_ current: Sending, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        var current = current
        let header = PayloadHeader.length
        let payloadData = min(current.length - payloadStart(current), parameters.payloadSize - header)
        let payloadLength = header + payloadData
        let captured = min(available(current, now: now) - payloadStart(current) + header, payloadLength)
        var count = min(buffer.count, captured - current.payloadPosition)
        let ends = current.payloadPosition + count == payloadLength
        if !ends {
            guard count >= min(Self.leastPiece, buffer.count) else {
                let wanted = min(payloadStart(current) + current.payloadPosition + Self.leastPiece, current.length)
                let time = UInt64(wanted) * (interval / 10 * 9) / UInt64(max(1, current.length)) + 1000
                return .later(at: max(now + 125_000, begin(of: current.number) + time))
            }
            count -= count % Self.packetSize
            guard count > 0 else { return .later(at: now + 125_000) }
        }
        write(&current, count, payloadLength: payloadLength, now: now, into: buffer)
        hasSent = true
        guard ends else {
            sending = current
            return .data(count: count, ends: false)
        }
        let isFinished = current.sent >= current.length
        current.payloadPosition = 0
        sending = isFinished ? nil : current
        if isFinished {
            tally.sent += 1
            frameID.toggle()
            // Ask for what comes next at once, so that it is drawn when it is due.
            requestNext(after: current.number)
        }
        // A payload ends by a short packet, or by having the length that was agreed.
        guard payloadLength % Self.packetSize == 0, payloadLength < parameters.payloadSize else {
            return .data(count: count, ends: payloadLength % Self.packetSize != 0)
        }
        if count < buffer.count { return .data(count: count, ends: true) }
        owesEmptyPacket = true
        return .data(count: count, ends: true)
    }

    /// Where the current payload's data begins in the frame.
    private func payloadStart(_ current: Sending) -> Int { current.sent - max(0, current.payloadPosition - PayloadHeader.length) }

    private func write(
        _ current: inout Sending, _ count: Int, payloadLength: Int, now: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) {
        var written = 0
        if current.payloadPosition < PayloadHeader.length {
            // Pieces are at least a packet, or the payload's end: the header is never cut, but for a host that asks for less than its length.
            withUnsafeTemporaryAllocation(byteCount: PayloadHeader.length, alignment: 4) { bytes in
                var header = PayloadHeader(
                    frameID: togglesFrameID && frameID, captureTime: begin(of: current.number), time: now)
                let isLast = current.sent + payloadLength - PayloadHeader.length >= current.length
                header.isEndOfFrame = isLast && !current.faults.contains(.lostEnd)
                header.isError = current.faults.contains(.errorBit) && isLast
                mark(&header)
                header.write(to: bytes)
                written = min(count, PayloadHeader.length - current.payloadPosition)
                for index in 0..<written { buffer[index] = bytes[current.payloadPosition + index] }
            }
        }
        let data = count - written
        if data > 0 {
            UnsafeMutableRawBufferPointer(rebasing: buffer[written...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: current.frame.bytes[current.sent..<current.sent + data]))
        }
        if current.faults.contains(.garbagePayload) { fillWithNoise(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])) }
        current.payloadPosition += count
        current.sent += data
    }
}
