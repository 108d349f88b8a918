// How transfers become frames: the part of a stream's hot path that a class of devices brings
// along.

public import FrameRing
public import TransferRing
public import USB

/// Assembles frames in place in a ring's slot. A step is a pure function of `state`, the transfer
/// and the slot: no clock, no memory of its own. A process that dies within a transfer leaves the
/// state from before it; its successor repeats the transfer, with the same bytes into the same
/// slot.
public protocol FrameAssembler: Sendable {
    /// Plain numbers of a fixed size, 512 bytes at most. They lie in memory that survives the
    /// process and are not trusted: whatever stands there, `take` stays within the slot.
    associatedtype State: BitwiseCopyable & Sendable

    var state: State { get set }
    /// Changes when a `State` of the same size means something else than before: such a stream is
    /// started anew, and not taken over.
    static var stateVersion: UInt16 { get }
    /// Bytes at the beginning of each packet (bulk: of each transfer) that are no picture. A device
    /// that sends nothing more is silent.
    static var headerLength: Int { get }

    /// Takes a transfer up to the end of the next frame.
    /// - Parameters:
    ///   - time: CLOCK_MONOTONIC nanoseconds when it completed, the same when it is done again.
    ///   - slot: where the frame's bytes go; the same until a frame is returned.
    /// - Returns: the frame that ended; `nil` when the transfer is used up.
    mutating func take(
        _ transfer: TransferRing.Transfer, at time: UInt64, into slot: UnsafeMutableRawBufferPointer
    ) -> StreamFrame?
    /// What the device sent between the last transfer and the next one is lost.
    mutating func dataLost()

    /// Bytes of the frame in the making that lie in the slot.
    var frameLength: Int { get }
    /// Frames that came and were dropped inside the assembler since the stream began, wrapping:
    /// they count as lost.
    var missedFrames: UInt64 { get }
    /// Bytes of a whole frame, where they are known.
    var expectedLength: Int? { get }
    /// What the frames so far show of the device and is worth a line in the log: written once, when
    /// three whole frames in a row leave it standing.
    var remark: String? { get }

    /// Keeps a stream's transfers going round until the stream ends. Not for you to implement: it
    /// is here so that the compiler makes one loop for each assembler, without a dynamic call in
    /// it.
    func circulate(_ run: StreamRun, from origin: StreamOrigin<State>) throws(USBError) -> StreamEnd
}

extension FrameAssembler {
    public static var stateVersion: UInt16 { 1 }
    public static var headerLength: Int { 0 }
    public var missedFrames: UInt64 { 0 }
    public var expectedLength: Int? { nil }
    public var remark: String? { nil }
}

/// A frame that has ended; its bytes are in the slot.
public struct StreamFrame: Hashable, Sendable, BitwiseCopyable {
    /// Bytes from the slot's start.
    public var length: Int
    /// CLOCK_MONOTONIC nanoseconds of its first bytes.
    public var captured: UInt64
    /// The device's own time, in its clock's ticks; 0 if it tells none.
    public var deviceTime: UInt64
    /// Its state. One that is `damaged` counts as lost, but is published if nothing better came.
    public var flags: FrameFlags
    /// A part of a frame that was counted already.
    public var isFragment: Bool

    @inlinable
    public init(length: Int, captured: UInt64, deviceTime: UInt64 = 0, flags: FrameFlags = [], isFragment: Bool = false) {
        self.length = length
        self.captured = captured
        self.deviceTime = deviceTime
        self.flags = flags
        self.isFragment = isFragment
    }

    public var isWhole: Bool { !flags.contains(.damaged) }
}

extension FrameAssembler {
    @inlinable
    public func circulate(_ run: StreamRun, from origin: StreamOrigin<State>) throws(USBError) -> StreamEnd {
        var assembler = self
        var pass = try run.begin(origin, &assembler)
        while true {
            // Here what is committed agrees with the frame ring: a successor goes on in the one or
            // in the other.
            run.moveRing(&pass, keeping: assembler.frameLength)
            switch try run.next(&pass, headerLength: Self.headerLength) {
            case .none: continue
            case .end(let end): return end
            case .transfer(let transfer, let afterHole):
                if afterHole { assembler.dataLost() }
                while let frame = assembler.take(transfer, at: pass.time, into: pass.slot.bytes) {
                    guard run.publish(frame, &pass, missed: assembler.missedFrames, remark: assembler.remark) else { continue }
                    run.transfers.checkpoint(
                        layout: Self.memoryLayout, state: StreamMemory(books: pass.books, assembly: assembler.state))
                }
                run.noteMissed(assembler.missedFrames, &pass)
                try run.transfers.commit(
                    layout: Self.memoryLayout, state: StreamMemory(books: pass.books, assembly: assembler.state), at: pass.now)
            }
        }
    }

    /// Stored with every commit: a program whose memory is laid out differently does not take it over.
    @inlinable
    public static var memoryLayout: UInt64 {
        UInt64(StreamBooks.version) << 48 | UInt64(stateVersion) << 32 | UInt64(MemoryLayout<StreamMemory<State>>.size)
    }
}
