// Durations as libusb and usbfs want them.

import Threads

extension Duration {
    /// Whole milliseconds, where 0 would mean for ever: at least 1.
    package var wholeMilliseconds: UInt32 {
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return UInt32(clamping: max(1, whole + (rest > 0 ? 1 : 0)))
    }
}
