// A stream that is on: transfers go round on a thread of their own until it is stopped or the
// device makes it stop.

import CLinux
public import FrameRing
package import Synchronization
import Threads
public import TransferRing
package import USB
package import UserDriver

/// What ended a stream.
public enum StreamEnd: Sendable {
    case stopped
    /// The endpoint halted.
    case stalled
    /// Nothing that belongs to a picture came for this long.
    case silent(Duration)
}

/// Where a stream begins.
public enum StreamOrigin<State: BitwiseCopyable & Sendable>: Sendable {
    /// With a device that has just been told to stream. Why frames are missing before the first
    /// one, `nil` for a stream that begins.
    case fresh(GapCause?)
    /// In the middle of what the predecessor was doing.
    case takeover(StreamMemory<State>, dropping: Bool)
}

/// What is worth saying while a stream goes on.
package enum StreamNews: Sendable {
    /// Its transfers go round. Until then they may be refused for want of bandwidth.
    case begun
    /// A picture's bytes came, for the first time since the device was told to stream.
    case firstPicture(Patience)
    /// Nothing whole has come for a while.
    case drought(Drought.Report)
    /// See `FrameAssembler.remark`.
    case remark(String)
}

/// One stream's transfers, their frame ring and what is known of the time that the device takes.
/// `FrameAssembler.circulate` is the loop; these are its steps.
public final class StreamRun: Sendable {
    /// How it came to its end.
    package typealias Outcome = Result<StreamEnd, USBError>

    @usableFromInline let transfers: TransferRing
    let shape: StreamShape
    let writer: FrameRingWriter
    let frameInterval: UInt64
    let patience: Patience
    let progress: Progress.Activity
    package let counters: Mutex<StreamCounters>
    private let stopping = Atomic(false)
    private let thread = Mutex<WorkerThread?>(nil)
    private let hear: @Sendable (StreamRun, StreamNews) -> Void

    /// - Parameters:
    ///   - transfers: a ring of this shape: fresh, or resumed in a takeover.
    ///   - frameInterval: nanoseconds from frame to frame, as agreed.
    ///   - patience: how long a stream that begins waits for pictures.
    ///   - counters: what the stream has counted so far.
    ///   - heard: called now and then, on the stream's thread.
    package init(
        transfers: TransferRing, shape: StreamShape, writer: FrameRingWriter, frameInterval: UInt64, patience: Patience = Patience(),
        counters: StreamCounters = StreamCounters(), progress: Progress.Activity,
        heard: @escaping @Sendable (StreamRun, StreamNews) -> Void = { _, _ in }
    ) {
        self.transfers = transfers
        transfers.sufficientCount = shape.leastTransferCount
        transfers.shorterLengths = shape.shorterLengths
        self.shape = shape
        self.writer = writer
        writer.movesAtFrames = false
        self.frameInterval = frameInterval
        self.patience = patience
        self.counters = Mutex(counters)
        self.progress = progress
        hear = heard
    }

    /// Starts the thread, on which `ended` is called once, when the stream is over; nothing is in
    /// flight then.
    package func start<Assembler: FrameAssembler>(
        _ assembler: Assembler, from origin: StreamOrigin<Assembler.State>, ended: @escaping @Sendable (Outcome) -> Void
    ) {
        do throws(WorkerThread.StartFailure) {
            let started = try WorkerThread(name: "stream") { [self] in ended(run(assembler, from: origin)) }
            thread.withLock { $0 = started }
        } catch {
            // The supervisor starts another one.
            preconditionFailure("a driver that can't have a thread can't stream: \(error)")
        }
    }

    /// Ends the stream and waits for its thread; nothing is in flight then. Not from the thread
    /// itself.
    package func stop() {
        stopping.store(true, ordering: .releasing)
        transfers.cancel()
        thread.withLock { $0 }?.join()
    }

    var isStopping: Bool { stopping.load(ordering: .acquiring) }

    func tell(_ news: StreamNews) { hear(self, news) }

    private func run<Assembler: FrameAssembler>(_ assembler: Assembler, from origin: StreamOrigin<Assembler.State>) -> Outcome {
        progress.setStreaming(true, frameTime: frameInterval)
        let outcome: Outcome
        do throws(USBError) {
            outcome = .success(try assembler.circulate(self, from: origin))
        } catch {
            outcome = isStopping ? .success(.stopped) : .failure(error)
        }
        // What is in flight still may take its time to end: that is no hang.
        progress.setStreaming(false)
        transfers.drain()
        return outcome
    }
}
