// What a stream remembers from one transfer to the next: all of it, so that a successor goes on as
// if nothing had happened.

import USB

/// Stored in the transfer ring with every commit. What a successor finds there is not trusted:
/// whatever it contains, frames stay within their slots.
public struct StreamMemory<State: BitwiseCopyable & Sendable>: BitwiseCopyable, Sendable {
    @usableFromInline var books: StreamBooks
    @usableFromInline var assembly: State

    @inlinable init(books: StreamBooks, assembly: State) {
        self.books = books
        self.assembly = assembly
    }
}

/// The engine's own part of it, in plain numbers.
@usableFromInline struct StreamBooks: BitwiseCopyable, Sendable {
    var continuity = SlotContinuity.Memory()
    /// The frame ring's slot that the frame in the making lies in.
    var slot: UInt32 = 0
    /// 1 until a frame was published: one that comes first after an interruption is where the gap
    /// is reckoned.
    var isFirst: UInt32 = 1
    /// `GapCause` of the interruption that the first frame ends, 0 for none.
    var interruption: UInt32 = 0
    /// Frames that were published whole; that came damaged or never; their bytes.
    var frames: UInt64 = 0
    var lost: UInt64 = 0
    var bytes: UInt64 = 0
    /// Of the lost ones, those that the assembler has dropped.
    var missed: UInt64 = 0
    /// CLOCK_MONOTONIC ns: when the device was told to stream, the newest published frame's
    /// capture, the last transfer with a picture's bytes, the last transfer.
    var startedAt: UInt64 = 0
    var lastPublished: UInt64 = 0
    var lastDelivery: UInt64 = 0
    var lastCompletion: UInt64 = 0
    /// 1 once the device has sent a picture's bytes since it was told to stream.
    var hasDelivered: UInt32 = 0
    /// Whole frames in a row with a remark; at 3 it was made.
    var remarks: UInt32 = 0
    /// Damaged frames that were not published, and that readers have not been told of.
    var untold: UInt32 = 0
    /// How long it is waited for; see `Patience`.
    var patience = Patience()

    @usableFromInline static let version: UInt16 = 3
}
