// The twelve bytes before each payload's data (UVC 1.1 §2.4.3.3).

/// A payload header with presentation time and source clock.
struct PayloadHeader {
    static let length = WebcamMode.headerLength

    var frameID = false
    var isEndOfFrame = false
    var isError = false
    /// When the frame was captured, and when the payload is sent: CLOCK_MONOTONIC in ns.
    var captureTime: UInt64
    var time: UInt64

    /// Ticks of the camera's clock, which wraps at 32 bits.
    private static func ticks(_ nanoseconds: UInt64) -> UInt32 {
        let perSecond = UInt64(WebcamDescriptors.clockFrequency)
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return UInt32(truncatingIfNeeded: seconds &* perSecond &+ rest * perSecond / 1_000_000_000)
    }

    func write(to target: UnsafeMutableRawBufferPointer) {
        var information: UInt8 = 0x80 | 0x08 | 0x04
        if frameID { information |= 0x01 }
        if isEndOfFrame { information |= 0x02 }
        if isError { information |= 0x40 }
        target[0] = UInt8(Self.length)
        target[1] = information
        target.storeBytes(of: Self.ticks(captureTime).littleEndian, toByteOffset: 2, as: UInt32.self)
        target.storeBytes(of: Self.ticks(time).littleEndian, toByteOffset: 6, as: UInt32.self)
        // SOF: the 1 ms bus frame's number, 11 bits.
        target.storeBytes(of: UInt16(truncatingIfNeeded: time / 1_000_000 & 0x7ff).littleEndian, toByteOffset: 10, as: UInt16.self)
    }
}
