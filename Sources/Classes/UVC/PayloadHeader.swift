// The header in front of every payload (UVC 1.5 §2.4.3.3).

/// `bmHeaderInfo`, PTS and SCR of a payload header.
public struct PayloadHeader: Hashable, Sendable {
    /// Bits of `bmHeaderInfo`.
    public enum Flag {
        /// FID: the same within a frame, toggled from frame to frame.
        public static let frameID: UInt8 = 0x01
        /// EOF: the frame's last payload.
        public static let endOfFrame: UInt8 = 0x02
        /// PTS: four bytes of presentation time follow.
        public static let presentationTime: UInt8 = 0x04
        /// SCR: six bytes of source clock follow.
        public static let sourceClock: UInt8 = 0x08
        /// Payload-specific; end of slice in UVC 1.5.
        public static let endOfSlice: UInt8 = 0x10
        /// STI: the payload belongs to a still image.
        public static let stillImage: UInt8 = 0x20
        /// ERR: the device had an error; `VS_STREAM_ERROR_CODE_CONTROL` says which.
        public static let error: UInt8 = 0x40
        /// EOH: the header's end; set by nearly everybody.
        public static let endOfHeader: UInt8 = 0x80
    }

    /// `bmHeaderInfo`
    public var flags: UInt8
    /// `dwPresentationTime`, in units of the function's `dwClockFrequency`.
    public var presentationTime: UInt32?
    /// `scrSourceClock`
    public var sourceClock: SourceClock?

    /// UVC 1.5 §2.4.3.3: the device's clock, and the bus's frame number at the same moment.
    public struct SourceClock: Hashable, Sendable, BitwiseCopyable {
        /// Source time clock, in units of `dwClockFrequency`.
        public var time: UInt32
        /// SOF counter, 11 bits.
        public var frameNumber: UInt16

        public init(time: UInt32, frameNumber: UInt16) {
            self.time = time
            self.frameNumber = frameNumber
        }
    }

    public init(flags: UInt8, presentationTime: UInt32? = nil, sourceClock: SourceClock? = nil) {
        self.flags = flags
        self.presentationTime = presentationTime
        self.sourceClock = sourceClock
    }

    /// Reads the header at the start of a payload. `nil` if its length is below 2 or beyond the payload. A field that the header has no
    /// room for is left out, whatever the bits say.
    public init?(payload: UnsafeRawBufferPointer) {
        guard payload.count >= 2 else { return nil }
        let length = Int(payload[0])
        guard length >= 2, length <= payload.count else { return nil }
        flags = payload[1]
        var offset = 2
        if flags & Flag.presentationTime != 0, length >= offset + 4 {
            presentationTime = UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            offset += 4
        }
        if flags & Flag.sourceClock != 0, length >= offset + 6 {
            sourceClock = SourceClock(
                time: UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: offset, as: UInt32.self)),
                frameNumber: UInt16(littleEndian: payload.loadUnaligned(fromByteOffset: offset + 4, as: UInt16.self)) & 0x7ff)
        }
    }

    /// On the wire: 2, 6, 8 or 12 bytes, with the bits for PTS and SCR set if those fields exist.
    public var bytes: [UInt8] {
        var flags = flags & ~(Flag.presentationTime | Flag.sourceClock)
        var fields: [UInt8] = []
        if let presentationTime {
            flags |= Flag.presentationTime
            fields.appendLittleEndian(presentationTime)
        }
        if let sourceClock {
            flags |= Flag.sourceClock
            fields.appendLittleEndian(sourceClock.time)
            fields.appendLittleEndian(sourceClock.frameNumber)
        }
        return [UInt8(2 + fields.count), flags] + fields
    }
}
