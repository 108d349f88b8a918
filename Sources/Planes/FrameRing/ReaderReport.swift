// How far each reader of a ring is: a page of its own, which the reader writes and the writer of
// the ring reads. So frames that nobody needs any more are overwritten first, and the slots that
// the caches know are used again.
import CLinux
import FileDescriptors
import Glibc
import Synchronization

/// A page's only word (u64, at 0): the frames up to that number may be overwritten. 0 says nothing.
enum ReportPage {
    static let byteCount = 4096
    /// Nobody reads.
    static let everything = UInt64.max
}

/// A reader's page, owned by the ring's owner. Each reader has its own: one that could write
/// another's would make it lose frames.
public final class ReportMemory: Sendable {
    /// How many readers a ring has at most that report: one descriptor each goes with a grant.
    public static let maximumCount = 16

    /// Readable and writable; closed when this object goes.
    public var descriptor: Int32 { page.number }
    private let page: OwnedDescriptor

    public init() throws(FrameRingError) {
        let made = clinux_memfd("frame-report", 0)
        guard let page = OwnedDescriptor(opened: made) else {
            throw FrameRingError("memfd_create", errno: -made, "no memory for a reader's report")
        }
        guard ftruncate(page.number, off_t(ReportPage.byteCount)) == 0, clinux_seal_resizing(page.number) == 0 else {
            throw FrameRingError("ftruncate", errno: errno, "no memory for a reader's report")
        }
        self.page = page
    }

    /// Records, in the reader's place, that it has left.
    public func readerHasLeft() {
        var word = ReportPage.everything
        _ = pwrite(descriptor, &word, MemoryLayout.size(ofValue: word), 0)
    }
}

/// The writer's view of all readers' pages, whatever stands in them.
final class ReaderReports: @unchecked Sendable {
    // Sendable: addresses that stay valid until deinit; words are read atomically.
    private let pages: [UnsafeMutableRawPointer]

    /// - Parameter descriptors: one for each reader. They stay the caller's.
    init(descriptors: [Int32]) throws(FrameRingError) {
        var pages: [UnsafeMutableRawPointer] = []
        do throws(FrameRingError) {
            for descriptor in descriptors {
                pages.append(try mapSealed(descriptor, byteCount: ReportPage.byteCount, writable: false))
            }
        } catch {
            for page in pages { munmap(page, ReportPage.byteCount) }
            throw error
        }
        self.pages = pages
    }

    deinit { for page in pages { munmap(page, ReportPage.byteCount) } }

    /// The newest number up to which all readers are done. A page that tells of frames which were
    /// never given, after `published`, says nothing.
    func released(published: UInt64) -> UInt64 {
        var least = published
        for page in pages {
            let number = clinux_load_u64(page)
            guard number != ReportPage.everything else { continue }
            least = min(least, number <= published ? number : 0)
        }
        return least
    }
}

/// A reader's own page: what it has passed, less what is in somebody's hands still.
final class ReaderReport: @unchecked Sendable {
    // Sendable: an address that stays valid until deinit; its word is written under the lock.
    private struct State {
        /// Everything up to here was read, or is not wanted.
        var position: UInt64 = 0
        /// Frames that were handed out and not given back, few of them.
        var held: [UInt64] = []
    }
    private let page: UnsafeMutableRawPointer
    private let state = Mutex(State())

    /// The descriptor stays the caller's.
    init(descriptor: Int32) throws(FrameRingError) {
        page = try mapSealed(descriptor, byteCount: ReportPage.byteCount, writable: true)
    }

    deinit { munmap(page, ReportPage.byteCount) }

    /// What comes up to that number is not wanted any more.
    func pass(_ number: UInt64) { change { $0.position = number } }

    /// A frame goes into somebody's hands, until the lease goes.
    func lend(_ sequence: UInt64, passing number: UInt64?) -> FrameLease {
        change {
            $0.held.append(sequence)
            if let number { $0.position = number }
        }
        return FrameLease(report: self, sequence: sequence)
    }

    fileprivate func giveBack(_ sequence: UInt64) {
        change { state in
            if let index = state.held.firstIndex(of: sequence) { state.held.remove(at: index) }
        }
    }

    private func change(_ edit: (inout State) -> Void) {
        state.withLock { state in
            edit(&state)
            // Whatever was read of a frame was read before this.
            clinux_store_u64(page, state.held.reduce(state.position) { min($0, $1 &- 1) })
        }
    }
}

/// Keeps one frame from being overwritten early: from before it was looked at until nobody has it.
final class FrameLease: Sendable {
    private let report: ReaderReport
    private let sequence: UInt64

    fileprivate init(report: ReaderReport, sequence: UInt64) {
        self.report = report
        self.sequence = sequence
    }

    deinit { report.giveBack(sequence) }
}
