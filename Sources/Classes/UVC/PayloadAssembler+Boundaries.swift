// Where one frame ends and the next begins: by FID and EOF as far as they are worth it, else by what the frames hold.

/// What ended a frame.
enum FrameEnd {
    /// EOF.
    case marked
    /// EOF, and FID toggled behind it: where one of them alone is not believed.
    case agreed
    /// FID toggled, and no EOF came.
    case toggled
    /// The next JPEG begins, or the frame has its length.
    case content
    /// No end was seen, and there is no room for more.
    case full
}

extension PayloadAssembler {
    /// Stray marks that are taken for accidents: a packet was lost, or the device sent a little behind the end.
    private static let strayLimit: UInt8 = 3

    /// Whether the frame in the making ended before this payload.
    mutating func boundary(before data: UnsafeRawBufferPointer, toggles: Bool) -> FrameEnd? {
        if toggles, !settings.ignoresFrameID {
            if state.has(AssemblyState.Mark.lastHadEnd) { return .agreed }
            if isStray(data) {
                state.strayToggles = min(state.strayToggles, Self.strayLimit - 1) + 1
                if state.strayToggles >= Self.strayLimit { state.set(AssemblyState.Mark.doubtsToggle) }
            } else if !data.isEmpty {
                state.strayToggles = 0
            }
            if !state.has(AssemblyState.Mark.doubtsToggle) { return .toggled }
        }
        guard state.length > 0, settings.content == .mjpeg else { return nil }
        if settings.endsAtJPEGStart { return data.count >= 2 && data[0] == 0xff && data[1] == 0xd8 ? .content : nil }
        return !state.believesToggle && JPEGBounds.begins(data, at: 0) ? .content : nil
    }

    /// Whether a toggle of FID that comes without EOF stands in the middle of a frame.
    private func isStray(_ data: UnsafeRawBufferPointer) -> Bool {
        switch settings.content {
        case .mjpeg: return !data.isEmpty && JPEGBounds.start(data) == nil
        case .uncompressed(let length): return !data.isEmpty && Int(state.length) < length / 2
        case .other: return false
        }
    }

    /// Whether a payload between two frames begins one. If not, it belongs to the frame before, and comes too late.
    mutating func startsFrame(_ data: UnsafeRawBufferPointer, toggles: Bool) -> Bool {
        let beginsJPEG = settings.content == .mjpeg && (JPEGBounds.begins(data, at: 0) || beginsBareJPEG(data))
        let starts: Bool
        if toggles || state.frameID > 1 || settings.ignoresFrameID || state.staleEnds >= 2 || beginsJPEG {
            starts = true
        } else {
            starts = !state.believesToggle && !state.believesEnd
        }
        guard starts else {
            if endsTooEarly, state.has(AssemblyState.Mark.lastHadEnd) {
                state.set(AssemblyState.Mark.innerEnd)
                state.strayEnds = min(state.strayEnds, Self.strayLimit - 1) + 1
                if state.strayEnds >= Self.strayLimit { state.set(AssemblyState.Mark.doubtsEnd) }
            }
            return false
        }
        if state.has(AssemblyState.Mark.lastHadEnd), toggles || beginsJPEG { confirm(toggles: toggles) }
        return true
    }

    /// With the quirk it need not look like one any further.
    private func beginsBareJPEG(_ data: UnsafeRawBufferPointer) -> Bool {
        settings.endsAtJPEGStart && data.count >= 2 && data[0] == 0xff && data[1] == 0xd8
    }

    /// EOF came, and another frame after it. Where FID toggled then, and neither had come within the frame, both are what they should be again.
    private mutating func confirm(toggles: Bool) {
        guard !state.has(AssemblyState.Mark.innerEnd) else { return }
        state.set(AssemblyState.Mark.confirmedEnd)
        state.strayEnds = 0
        guard toggles, !state.has(AssemblyState.Mark.innerToggle) else { return }
        state.set(AssemblyState.Mark.doubtsToggle | AssemblyState.Mark.doubtsEnd, false)
        state.strayToggles = 0
    }

    /// EOF stood where the frame before can't have ended, if what came behind it belongs to it.
    var endsTooEarly: Bool {
        switch settings.content {
        case .mjpeg: true
        case .uncompressed(let length): Int(state.lastLength) < length / 2
        case .other: false
        }
    }

    /// Whether a frame that ended like this has all that the device sent of it.
    mutating func vouches(_ end: FrameEnd) -> Bool {
        switch end {
        case .marked:
            state.unmarkedEnds = 0
            return state.has(AssemblyState.Mark.confirmedEnd)
        case .agreed:
            state.unmarkedEnds = 0
            return true
        case .toggled:
            // Where EOF is usual, its absence means that the last packet was lost.
            state.unmarkedEnds = min(state.unmarkedEnds, 254) + 1
            return state.unmarkedEnds > 2
        case .content: return !state.believesEnd
        case .full: return false
        }
    }
}
