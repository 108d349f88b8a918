// What a stream remembers from one transfer to the next: all of it, so that a successor goes on as if nothing had happened.

import FrameRing
import USB
import UVC

/// Plain numbers, stored in the transfer ring with every commit. What a successor finds there is not trusted: whatever stands in it, frames stay
/// within their slots.
package struct StreamMemory: BitwiseCopyable {
    var assembly = AssemblyState()
    var continuity = SlotContinuity.Memory()
    /// The frame ring's slot that the frame in the making lies in.
    var slot: UInt32 = 0
    /// 1 until a frame was published: one that comes first after an interruption is where the gap is reckoned.
    var isFirst: UInt32 = 1
    /// `GapCause` of the interruption that the first frame ends, 0 for none.
    var interruption: UInt32 = 0
    /// Frames that were published whole; that came damaged or never; their bytes.
    var frames: UInt64 = 0
    var lost: UInt64 = 0
    var bytes: UInt64 = 0
    /// Of the lost ones, those that the assembler could not tell from others.
    var missed: UInt64 = 0
    /// CLOCK_MONOTONIC ns: when the device was told to stream, the newest published frame's capture, the last transfer with pixels, the last transfer.
    var startedAt: UInt64 = 0
    var lastPublished: UInt64 = 0
    var lastDelivery: UInt64 = 0
    var lastCompletion: UInt64 = 0
    /// 1 once the device has sent pixels since it was told to stream.
    var hasDelivered: UInt32 = 0
    /// Whole frames in a row by which the device's marks are worth less than they should be; at 3 it was said.
    var marks: UInt32 = 0
    /// Damaged frames that were not published, and that readers have not been told of.
    var untold: UInt32 = 0
    /// How long it is waited for; see `Patience`.
    var patience = Patience()

    /// Told with every commit: a program whose memory looks otherwise does not take it over.
    static let layout = UInt64(2) << 32 | UInt64(MemoryLayout<StreamMemory>.size)
}
