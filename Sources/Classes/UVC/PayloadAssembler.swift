// Payloads become frames: the bytes of isochronous packets and bulk payloads go straight into a frame's slot (UVC 1.5 §2.4.3).
import Glibc
public import USB

/// Assembles frames. A step is a pure function of `state`, the transfer and the slot: no allocation, no clock, one copy of each byte.
///
/// Feed each completed transfer like this; a frame that ends in the middle of a transfer is returned at once, so that the caller can publish
/// it and give another slot for what follows:
///
///     while let frame = assembler.isochronous(bytes, packets: packets, at: time, into: slot) {
///         // publish, and take the next slot
///     }
public struct PayloadAssembler: Sendable {
    /// What is known of a stream's frames beforehand.
    public struct Settings: Hashable, Sendable {
        /// How a frame shows whether it is whole.
        public enum Content: Hashable, Sendable {
            /// By its first and last marker.
            case mjpeg
            /// By its length in bytes; 0 if that is unknown.
            case uncompressed(length: Int)
            /// Not at all.
            case other
        }
        public var content: Content
        /// `dwMaxPayloadTransferSize`, where a bulk payload ends at the latest; 0 where only a short transfer ends it.
        public var maxPayloadSize: Int
        /// Nanoseconds from one isochronous packet to the next, 0 if unknown: tells when a frame's first packet came.
        public var packetInterval: UInt64
        /// FID never toggles: only EOF ends a frame (uvcvideo's quirk 0x10). Detected automatically; if the frames are not JPEGs, after two
        /// lost ones.
        public var ignoresFrameID: Bool
        /// EOF may get lost without FID toggling: a payload that begins a JPEG ends the frame before (uvcvideo's quirk 0x20000).
        public var endsAtJPEGStart: Bool

        public init(
            content: Content, maxPayloadSize: Int = 0, packetInterval: UInt64 = 0, ignoresFrameID: Bool = false,
            endsAtJPEGStart: Bool = false
        ) {
            self.content = content
            self.maxPayloadSize = maxPayloadSize
            self.packetInterval = packetInterval
            self.ignoresFrameID = ignoresFrameID
            self.endsAtJPEGStart = endsAtJPEGStart
        }
    }

    public let settings: Settings
    public var state: AssemblyState

    public init(settings: Settings, state: AssemblyState = AssemblyState()) {
        self.settings = settings
        self.state = state
    }

    private enum Step {
        case taken
        /// The frame ended before this payload, which is to be taken again.
        case endedBefore(FrameEnd)
        case endedAfter(FrameEnd)
    }

    // MARK: Isochronous

    /// Takes a transfer's packets, one payload each, up to the next frame's end.
    /// - Parameters:
    ///   - bytes: the transfer's buffer, which the packets' offsets refer to.
    ///   - time: CLOCK_MONOTONIC nanoseconds when the transfer completed.
    ///   - slot: where the frame's bytes go; the same until a frame is returned.
    /// - Returns: the frame that ended; `nil` once the transfer is used up.
    public mutating func isochronous(
        _ bytes: UnsafeRawBufferPointer, packets: [IsochronousPacket], at time: UInt64, into slot: UnsafeMutableRawBufferPointer
    ) -> AssembledFrame? {
        looking(at: packets, of: bytes, at: time, into: slot) { _, index in index }
    }

    /// The same for packets where the kernel has described them.
    public mutating func isochronous(
        _ bytes: UnsafeRawBufferPointer, packets: IsochronousPackets, at time: UInt64, into slot: UnsafeMutableRawBufferPointer
    ) -> AssembledFrame? {
        looking(at: packets, of: bytes, at: time, into: slot) { assembler, index in
            assembler.goOn(packets, from: index, of: bytes, into: slot)
        }
    }

    /// - Parameter goOn: may take packets in its own way, from the given one on; returns the first
    ///   that it has left.
    @inline(__always)
    private mutating func looking<Packets: RandomAccessCollection<IsochronousPacket>>(
        at packets: Packets, of bytes: UnsafeRawBufferPointer, at time: UInt64, into slot: UnsafeMutableRawBufferPointer,
        goOn: (inout PayloadAssembler, Int) -> Int
    ) -> AssembledFrame? where Packets.Index == Int {
        guard let base = bytes.baseAddress else {
            state.position = 0
            return nil
        }
        let end = packets.count
        var index = Int(state.position)
        while index < end {
            index = goOn(&self, index)
            guard index < end else { break }
            let packet = packets[index]
            let length = packet.actualLength
            guard case .completed = packet.status else {
                packetFailed()
                index += 1
                continue
            }
            // Packets that point outside the transfer are as good as lost.
            guard length > 0, packet.offset >= 0, packet.offset <= bytes.count, length <= bytes.count - packet.offset else {
                if length != 0 { packetFailed() }
                index += 1
                continue
            }
            let payload = UnsafeRawBufferPointer(start: base + packet.offset, count: length)
            let age = UInt64(end - 1 - index) &* settings.packetInterval
            switch take(payload, at: time > age ? time - age : 0, into: slot) {
            case .taken: index += 1
            case .endedBefore(let end):
                if let frame = finish(slot, end) {
                    state.position = UInt32(truncatingIfNeeded: index)
                    return frame
                }
            case .endedAfter(let end):
                index += 1
                if let frame = finish(slot, end) {
                    state.position = UInt32(truncatingIfNeeded: index)
                    return frame
                }
            }
        }
        state.position = 0
        return nil
    }

    @inline(__always)
    private mutating func take(_ payload: UnsafeRawBufferPointer, at time: UInt64, into slot: UnsafeMutableRawBufferPointer) -> Step {
        guard payload.count >= 2, Int(payload[0]) >= 2, Int(payload[0]) <= payload.count, let base = payload.baseAddress else {
            payloadMalformed()
            return .taken
        }
        let header = Int(payload[0])
        let flags = payload[1]
        if goesOn(flags) {
            let count = payload.count &- header
            if count > 0 { append(UnsafeRawBufferPointer(start: base + header, count: count), into: slot) }
            return isBrimming(slot) ? .endedAfter(.full) : .taken
        }
        switch begin(payload, header: header, at: time) {
        case .ends(let end): return .endedBefore(end)
        case .drop: drop(payload.count - header, flags: flags)
        case .accept:
            append(UnsafeRawBufferPointer(rebasing: payload[header...]), into: slot)
            if let end = end(after: flags, slot) { return .endedAfter(end) }
        }
        return .taken
    }

    /// Nearly every payload: the frame goes on, and its header has nothing more to say.
    @inline(__always)
    private func goesOn(_ flags: UInt8) -> Bool {
        let special = PayloadHeader.Flag.frameID | PayloadHeader.Flag.endOfFrame | PayloadHeader.Flag.error
        return state.isInFrame == 1 && flags & special == state.frameID && !state.isWary && !settings.endsAtJPEGStart
    }

    // MARK: Bulk

    /// Takes a bulk transfer's bytes up to the next frame's end. A payload may span transfers, and a transfer several payloads.
    /// - Parameters:
    ///   - bytes: what was received.
    ///   - requested: how much could have been; less means that a short packet ended the payload.
    ///   - status: how the transfer ended.
    /// - Returns: the frame that ended; `nil` once the transfer is used up.
    public mutating func bulk(
        _ bytes: UnsafeRawBufferPointer, requested: Int, status: TransferStatus = .completed, at time: UInt64,
        into slot: UnsafeMutableRawBufferPointer
    ) -> AssembledFrame? {
        let limit = settings.maxPayloadSize > 0 ? settings.maxPayloadSize : .max
        var position = min(Int(state.position), bytes.count)
        // A payload that filled its transfers to the last byte ended unseen.
        if position == 0, state.isInPayload != 0, beginsAnotherPayload(bytes), let frame = endBulkPayload(slot) {
            return frame
        }
        while position < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            if state.isInPayload == 0 {
                switch beginBulkPayload(rest, at: time) {
                case .began(let header): position += header
                case .endedBefore(let end):
                    if let frame = finish(slot, end) {
                        state.position = UInt32(truncatingIfNeeded: position)
                        return frame
                    }
                }
                continue
            }
            let count = min(rest.count, max(0, limit - Int(state.payloadLength)))
            if state.skipsPayload == 0 {
                append(UnsafeRawBufferPointer(rebasing: rest[..<count]), into: slot)
            } else {
                state.droppedBytes = state.droppedBytes.addingSaturated(count)
            }
            position += count
            state.payloadLength = state.payloadLength.addingSaturated(count)
            if Int(state.payloadLength) >= limit, let frame = endBulkPayload(slot) {
                state.position = UInt32(truncatingIfNeeded: position)
                return frame
            }
        }
        var ends = bytes.count < requested
        if case .completed = status {
        } else {
            if state.position < bytes.count || bytes.isEmpty { packetFailed() }
            ends = true
        }
        if ends, state.isInPayload != 0, let frame = endBulkPayload(slot) {
            state.position = UInt32(truncatingIfNeeded: bytes.count)
            return frame
        }
        state.position = 0
        return nil
    }

    private enum BulkBeginning {
        /// With a header of that many bytes.
        case began(Int)
        case endedBefore(FrameEnd)
    }

    /// Looks at a bulk payload's header.
    private mutating func beginBulkPayload(_ payload: UnsafeRawBufferPointer, at time: UInt64) -> BulkBeginning {
        var header = min(payload.count, 2)
        var skips = true
        var flags: UInt8 = 0
        if payload.count >= 2, payload[0] >= 2, payload[0] <= payload.count {
            header = Int(payload[0])
            flags = payload[1]
            if goesOn(flags) {
                state.seenFlags |= flags & PayloadHeader.Flag.stillImage
                skips = false
            } else {
                switch begin(payload, header: header, at: time) {
                case .ends(let end): return .endedBefore(end)
                case .drop: break
                case .accept: skips = false
                }
            }
        } else {
            payloadMalformed()
        }
        state.isInPayload = 1
        state.payloadFlags = flags
        state.skipsPayload = skips ? 1 : 0
        state.payloadLength = UInt32(header)
        state.headerLength = UInt8(truncatingIfNeeded: header)
        return .began(header)
    }

    /// Whether a transfer that begins in the middle of a payload, whose end only a short transfer would show, begins another one: it has a header
    /// like the last, and a frame's first bytes behind it or a whole frame before it.
    private func beginsAnotherPayload(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let header = Int(state.headerLength)
        guard header >= 2, bytes.count > header, Int(bytes[0]) == header, state.isInFrame != 0, state.skipsPayload == 0 else {
            return false
        }
        let steady = ~(PayloadHeader.Flag.frameID | PayloadHeader.Flag.endOfFrame | PayloadHeader.Flag.error)
        guard bytes[1] & steady == state.payloadFlags & steady else { return false }
        switch settings.content {
        case .mjpeg: return JPEGBounds.begins(bytes, at: header)
        case .uncompressed(let length): return length > 0 && Int(state.length) + Int(state.droppedBytes) >= length
        case .other: return false
        }
    }

    private mutating func endBulkPayload(_ slot: UnsafeMutableRawBufferPointer) -> AssembledFrame? {
        state.isInPayload = 0
        state.payloadLength = 0
        guard state.skipsPayload == 0 else {
            drop(0, flags: state.payloadFlags)
            return nil
        }
        return end(after: state.payloadFlags, slot).flatMap { finish(slot, $0) }
    }

    // MARK: Frames

    private enum Beginning {
        case accept
        case drop
        case ends(FrameEnd)
    }

    /// What a payload's header means for the frame in the making.
    private mutating func begin(_ payload: UnsafeRawBufferPointer, header: Int, at time: UInt64) -> Beginning {
        let flags = payload[1]
        let frameID = flags & PayloadHeader.Flag.frameID
        let hasEnd = flags & PayloadHeader.Flag.endOfFrame != 0
        let data = UnsafeRawBufferPointer(rebasing: payload[header...])
        let toggles = state.frameID <= 1 && frameID != state.frameID
        if hasEnd { state.set(AssemblyState.Mark.ended) }
        if state.isInFrame != 0 {
            if let end = boundary(before: data, toggles: toggles) { return .ends(end) }
            if toggles {
                state.frameID = frameID
                state.set(AssemblyState.Mark.innerToggle)
            }
            if state.has(AssemblyState.Mark.lastHadEnd) { state.set(AssemblyState.Mark.innerEnd) }
        } else {
            guard !data.isEmpty, startsFrame(data, toggles: toggles) else {
                // The end of the frame before, that comes late.
                if hasEnd, !toggles { state.set(AssemblyState.Mark.lastHadEnd) }
                return .drop
            }
            beginFrame(payload, frameID: frameID, at: time)
        }
        if toggles { state.set(AssemblyState.Mark.toggled) }
        state.set(AssemblyState.Mark.lastHadEnd, hasEnd)
        state.seenFlags |= flags & PayloadHeader.Flag.stillImage
        if flags & PayloadHeader.Flag.error != 0 { state.damage |= FrameDamage.errorBit.rawValue }
        return .accept
    }

    private mutating func beginFrame(_ payload: UnsafeRawBufferPointer, frameID: UInt8, at time: UInt64) {
        if frameID != state.frameID { state.staleEnds = 0 }
        state.isInFrame = 1
        state.frameID = frameID
        state.length = 0
        state.captured = time
        state.seenFlags = 0
        state.droppedBytes = 0
        state.marks &= ~(AssemblyState.Mark.innerToggle | AssemblyState.Mark.innerEnd)
        guard let header = PayloadHeader(payload: payload) else { return }
        if let time = header.presentationTime {
            state.presentationTime = time
            state.seenFlags |= PayloadHeader.Flag.presentationTime
        }
        if let clock = header.sourceClock {
            state.sourceClockTime = clock.time
            state.sourceClockFrame = clock.frameNumber
            state.seenFlags |= PayloadHeader.Flag.sourceClock
        }
    }

    @inline(__always)
    private mutating func append(_ data: UnsafeRawBufferPointer, into slot: UnsafeMutableRawBufferPointer) {
        let length = Int(state.length)
        let room = slot.count - length
        let count = data.count
        if count <= room, let source = data.baseAddress, let target = slot.baseAddress {
            memcpy(target + length, source, count)
            state.length = UInt32(truncatingIfNeeded: length &+ count)
        } else {
            overflow(data, into: slot)
        }
    }

    /// Takes what fits of a frame that is larger than its slot. Of an uncompressed one it may be padding: its end tells.
    private mutating func overflow(_ data: UnsafeRawBufferPointer, into slot: UnsafeMutableRawBufferPointer) {
        guard !data.isEmpty else { return }
        let length = min(Int(state.length), slot.count)
        let count = min(data.count, slot.count - length)
        if count > 0 { slot[length...].copyBytes(from: data[..<count]) }
        state.length = UInt32(truncatingIfNeeded: length + count)
        state.droppedBytes = state.droppedBytes.addingSaturated(data.count - count)
        guard case .uncompressed(let expected) = settings.content, expected > 0 else {
            state.damage |= FrameDamage.oversize.rawValue
            return
        }
    }

    /// Whether as much again has been dropped of a frame as there is room for: it has an end that was not seen.
    @inline(__always)
    private func isBrimming(_ slot: UnsafeMutableRawBufferPointer) -> Bool {
        Int(state.length) >= slot.count && Int(state.droppedBytes) > slot.count
    }

    /// How the frame ends behind a payload with these flags, if it does.
    private func end(after flags: UInt8, _ slot: UnsafeMutableRawBufferPointer) -> FrameEnd? {
        if flags & PayloadHeader.Flag.endOfFrame != 0, !state.has(AssemblyState.Mark.doubtsEnd) { return .marked }
        if isBrimming(slot) { return .full }
        guard case .uncompressed(let expected) = settings.content, expected > 0, !state.believesToggle, !state.believesEnd else {
            return nil
        }
        return Int(state.length) + Int(state.droppedBytes) >= expected ? .content : nil
    }

    /// Ends the frame. `nil` if there is none to show: no bytes came, or the stream was joined in its middle.
    private mutating func finish(_ slot: UnsafeMutableRawBufferPointer, _ end: FrameEnd) -> AssembledFrame? {
        var length = min(Int(state.length), slot.count)
        let dropped = Int(state.droppedBytes)
        var damage = FrameDamage(rawValue: state.damage)
        // The bus and the device's marks say that nothing is missing: then it is not for the contents to say so.
        let isVouchedFor = damage.isEmpty && vouches(end)
        state.isInFrame = 0
        state.length = 0
        state.damage = 0
        state.droppedBytes = 0
        state.lastLength = UInt32(truncatingIfNeeded: length)
        if end == .full { state.set(AssemblyState.Mark.lastHadEnd, false) }
        guard length > 0 else { return nil }
        state.endedFrames = state.endedFrames < .max ? state.endedFrames + 1 : .max
        var isRepaired = false
        switch settings.content {
        case .mjpeg:
            let start = JPEGBounds.start(UnsafeRawBufferPointer(rebasing: slot[..<length]))
            // Bytes before SOI are of a payload that belongs to no frame: marks that are noise
            // can't be told from true ones.
            if start != 0 { damage.insert(.noStart) }
            if let end = JPEGBounds.end(UnsafeRawBufferPointer(rebasing: slot[..<length]), from: start ?? 0) {
                length = end
            } else if isVouchedFor, start == 0 {
                isRepaired = true
                if slot.count - length >= 2 {
                    (slot[length], slot[length + 1]) = (0xff, 0xd9)
                    length += 2
                }
            } else {
                damage.insert(.noEnd)
            }
        case .uncompressed(let expected) where expected > 0:
            if length < expected { damage.insert(.short) }
            let excess = length - expected + dropped
            if length >= expected, excess > 0 {
                length = expected
                // A quarter more is no padding: it is the next frame's.
                if isVouchedFor, excess <= expected / 4 { isRepaired = true } else { damage.insert(.oversize) }
            }
        case .uncompressed, .other: break
        }
        let isFirst = state.isFirst != 0
        state.isFirst = 0
        if isFirst, !damage.isEmpty {
            state.discardedFrames &+= 1
            return nil
        }
        let flags = state.seenFlags
        return AssembledFrame(
            length: length, damage: damage, isRepaired: isRepaired,
            isStillImage: flags & PayloadHeader.Flag.stillImage != 0, captured: state.captured,
            presentationTime: flags & PayloadHeader.Flag.presentationTime != 0 ? state.presentationTime : nil,
            sourceClock: flags & PayloadHeader.Flag.sourceClock != 0
                ? PayloadHeader.SourceClock(time: state.sourceClockTime, frameNumber: state.sourceClockFrame) : nil)
    }

    /// Counts what is dropped as belonging to the frame before. If whole frames are dropped that way, FID does not toggle.
    private mutating func drop(_ count: Int, flags: UInt8) {
        state.droppedBytes = state.droppedBytes.addingSaturated(count)
        guard state.isInFrame == 0, flags & PayloadHeader.Flag.endOfFrame != 0, state.droppedBytes > state.lastLength / 2, !endsTooEarly
        else { return }
        state.droppedBytes = 0
        state.staleEnds = min(state.staleEnds, 254) + 1
        state.discardedFrames &+= 1
        state.missedFrames &+= 1
    }

    /// Packets between two transfers were never asked for, so that what the device sent in them is lost. Tell it before the later transfer.
    public mutating func packetsSkipped() { packetFailed() }

    private mutating func packetFailed() {
        state.failedPackets &+= 1
        note(.packetLost)
    }

    private mutating func payloadMalformed() {
        state.malformedPayloads &+= 1
        note(.malformedPayload)
    }

    /// Marks the frame in the making. Between frames what was lost shows in the next frame itself, unless nothing would show it.
    private mutating func note(_ damage: FrameDamage) {
        if state.isInFrame != 0 || settings.content == .other { state.damage |= damage.rawValue }
    }
}

extension UInt32 {
    fileprivate func addingSaturated(_ count: Int) -> UInt32 {
        let sum = Int(self) + Swift.max(0, Swift.min(count, Int(UInt32.max)))
        return UInt32(clamping: sum)
    }
}
