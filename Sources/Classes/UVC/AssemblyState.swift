// What payload assembly remembers from one transfer to the next.

/// The assembler's whole memory: fixed-width integers without pointers, so that it may lie in
/// memory that survives a process. Its contents are not trusted: whatever stands in it, assembly
/// stays within the slot.
public struct AssemblyState: Hashable, Sendable, BitwiseCopyable {
    /// CLOCK_MONOTONIC nanoseconds of the frame's first payload.
    var captured: UInt64 = 0
    /// Payloads without a usable header since the stream began, wrapping.
    public internal(set) var malformedPayloads: UInt64 = 0
    /// Packets and transfers that came with an error since the stream began, wrapping.
    public internal(set) var failedPackets: UInt64 = 0
    /// Frames that were left out because the stream was joined in their middle, or that could not be told apart, wrapping.
    public internal(set) var discardedFrames: UInt64 = 0
    /// Of these, the ones that the device had sent whole and that could not be told from the frame before, wrapping.
    public internal(set) var missedFrames: UInt64 = 0
    /// Where in the transfer to go on: a packet's number, or for bulk a byte's.
    var position: UInt32 = 0
    /// Bytes of the frame that are in the slot.
    public internal(set) var length: UInt32 = 0
    /// The frame's PTS and SCR.
    var presentationTime: UInt32 = 0
    var sourceClockTime: UInt32 = 0
    /// Bulk: bytes of the current payload so far, header included.
    var payloadLength: UInt32 = 0
    /// Bytes of the last frame, and bytes dropped since as belonging to it.
    var lastLength: UInt32 = 0
    var droppedBytes: UInt32 = 0
    var sourceClockFrame: UInt16 = 0
    /// `FrameDamage` so far.
    var damage: UInt16 = 0
    /// FID of the frame that is assembled or was assembled last; 0xff before the first.
    var frameID: UInt8 = 0xff
    var isInFrame: UInt8 = 0
    /// 1 until the first frame has ended.
    var isFirst: UInt8 = 1
    /// Bits of `bmHeaderInfo` that the frame's payloads had: PTS, SCR, STI.
    var seenFlags: UInt8 = 0
    /// Bulk: within a payload; its `bmHeaderInfo`; whether its bytes are dropped.
    var isInPayload: UInt8 = 0
    var payloadFlags: UInt8 = 0
    var skipsPayload: UInt8 = 0
    /// Frames in a row that ended without a toggle of FID; from 2 on FID is not believed.
    var staleEnds: UInt8 = 0
    /// `FrameMarks` that were seen, that are not believed, and how the frame in the making had them.
    var marks: UInt8 = 0
    /// Payloads in a row that showed that EOF stood in the middle of a frame; that FID toggled there.
    var strayEnds: UInt8 = 0
    var strayToggles: UInt8 = 0
    /// Frames in a row that a toggle of FID ended, and no EOF.
    var unmarkedEnds: UInt8 = 0
    /// Frames that have ended, up to 255.
    var endedFrames: UInt8 = 0
    /// Bulk: the length of the payload's header.
    var headerLength: UInt8 = 0

    public init() {}
}

/// What a device's end marks and frame identifiers are worth, as far as its frames have shown.
public enum FrameMarks: Hashable, Sendable, CustomStringConvertible {
    /// Nothing to say: FID toggles from frame to frame.
    case sound
    /// FID never toggles, or toggles within frames: EOF ends a frame.
    case endOfFrameOnly
    /// EOF stands in the middle of frames: FID ends a frame.
    case frameIDOnly
    /// Neither helps: a frame is known by where the next JPEG begins, or by its length.
    case none

    public var description: String {
        switch self {
        case .sound: "frames are marked as the standard has it"
        case .endOfFrameOnly: "its frame identifier (FID) tells nothing: frames are told apart by their end marks (EOF)"
        case .frameIDOnly: "its end marks (EOF) tell nothing: frames are told apart by their frame identifier (FID)"
        case .none: "neither its frame identifier (FID) nor its end marks (EOF) tell frames apart: their contents do"
        }
    }
}

extension AssemblyState {
    /// Bits of `marks`.
    enum Mark {
        static let toggled: UInt8 = 1 << 0
        static let ended: UInt8 = 1 << 1
        static let doubtsToggle: UInt8 = 1 << 2
        static let doubtsEnd: UInt8 = 1 << 3
        /// Within the frame in the making FID toggled; EOF stood before its last payload.
        static let innerToggle: UInt8 = 1 << 4
        static let innerEnd: UInt8 = 1 << 5
        /// The last payload had EOF.
        static let lastHadEnd: UInt8 = 1 << 6
        /// EOF was followed by another frame: here it means what it should.
        static let confirmedEnd: UInt8 = 1 << 7
    }

    func has(_ mark: UInt8) -> Bool { marks & mark != 0 }
    mutating func set(_ mark: UInt8, _ on: Bool = true) { if on { marks |= mark } else { marks &= ~mark } }

    /// FID has toggled, and not in the middle of frames.
    var believesToggle: Bool { marks & (Mark.toggled | Mark.doubtsToggle) == Mark.toggled }
    var believesEnd: Bool { marks & (Mark.ended | Mark.doubtsEnd) == Mark.ended }
    /// Every payload has to be looked at, as its flags alone do not tell whether the frame goes on.
    var isWary: Bool { marks & (Mark.toggled | Mark.doubtsToggle | Mark.doubtsEnd) != Mark.toggled }

    /// What the marks are worth, once a few frames have shown it.
    public var frameMarks: FrameMarks {
        guard endedFrames >= 3 else { return .sound }
        switch (believesToggle, believesEnd) {
        case (true, _): return has(Mark.doubtsEnd) ? .frameIDOnly : .sound
        case (false, true): return .endOfFrameOnly
        case (false, false): return .none
        }
    }
}

/// Why a frame is not what the device's sensor saw.
public struct FrameDamage: OptionSet, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The device set ERR in a payload's header.
    public static let errorBit = FrameDamage(rawValue: 1 << 0)
    /// A packet or transfer failed on the bus.
    public static let packetLost = FrameDamage(rawValue: 1 << 1)
    /// A payload had no usable header.
    public static let malformedPayload = FrameDamage(rawValue: 1 << 2)
    /// More came than fits: the rest was dropped.
    public static let oversize = FrameDamage(rawValue: 1 << 3)
    /// Less came than an uncompressed frame has.
    public static let short = FrameDamage(rawValue: 1 << 4)
    /// A JPEG without its first marker, SOI.
    public static let noStart = FrameDamage(rawValue: 1 << 5)
    /// A JPEG without its last marker, EOI.
    public static let noEnd = FrameDamage(rawValue: 1 << 6)

    public var description: String {
        let words = [
            (Self.errorBit, "the device signalled an error"), (.packetLost, "a packet was lost"),
            (.malformedPayload, "a payload's header is malformed"), (.oversize, "too long"), (.short, "too short"),
            (.noStart, "the JPEG does not begin"), (.noEnd, "the JPEG does not end"),
        ].filter { contains($0.0) }.map(\.1)
        return words.isEmpty ? "none" : words.joined(separator: ", ")
    }
}

/// A frame that has ended; its bytes are in the slot.
public struct AssembledFrame: Hashable, Sendable, BitwiseCopyable {
    /// Bytes from the slot's start; padding behind a JPEG is not counted. At least 1.
    public var length: Int
    public var damage: FrameDamage
    /// Its end was put right: the device left out a JPEG's last marker, or sent bytes behind the last pixel.
    public var isRepaired = false
    /// The device says that this is a still image (STI).
    public var isStillImage: Bool
    /// CLOCK_MONOTONIC nanoseconds of the first payload, as exactly as the transfer's completion tells.
    public var captured: UInt64
    /// `dwPresentationTime` of the first payload, where it has one.
    public var presentationTime: UInt32?
    /// `scrSourceClock` of the first payload, where it has one.
    public var sourceClock: PayloadHeader.SourceClock?

    public init(
        length: Int, damage: FrameDamage, isRepaired: Bool = false, isStillImage: Bool, captured: UInt64, presentationTime: UInt32? = nil,
        sourceClock: PayloadHeader.SourceClock? = nil
    ) {
        self.length = length
        self.damage = damage
        self.isRepaired = isRepaired
        self.isStillImage = isStillImage
        self.captured = captured
        self.presentationTime = presentationTime
        self.sourceClock = sourceClock
    }
}
