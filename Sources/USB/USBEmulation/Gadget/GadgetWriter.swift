// One endpoint that sends: a thread that waits in the kernel until the host has fetched what was given to it.

import CLinux
import FileDescriptors
import Glibc
import Threads
import USB

/// Owns an endpoint's file. Its methods are called by the engine's thread.
final class GadgetWriter: @unchecked Sendable {
    // Sendable: the buffer belongs to the engine while nothing is being written, and to the thread while something is; `state` says which.
    static let capacity = 64 << 10

    private struct State {
        /// Bytes of the buffer that are to be written, or are being written.
        var count: Int?
        /// What the last write returned: bytes, or -errno.
        var result: Int?
        var isEnding = false
        var threadID: Int32 = 0
    }

    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 64)
    private let file: OwnedDescriptor
    private let state = Monitored(State())
    private let thread: WorkerThread

    /// `finished` is called from the writer's thread after each write.
    init(_ file: consuming OwnedDescriptor, name: String, finished: @escaping @Sendable () -> Void) throws(WorkerThread.StartFailure) {
        let (state, buffer, descriptor) = (state, UInt(bitPattern: buffer.baseAddress), file.number)
        self.file = file
        thread = try WorkerThread(name: name) {
            state.change { $0.threadID = clinux_thread_id() }
            while let count = Self.job(state) {
                let written = write(descriptor, UnsafeRawPointer(bitPattern: buffer), count)
                let result = written < 0 ? -Int(errno) : written
                state.change {
                    $0.count = nil
                    $0.result = result
                }
                finished()
            }
        }
    }

    deinit { buffer.deallocate() }

    private static func job(_ state: Monitored<State>) -> Int? {
        let job: Int?? = state.wait { $0.isEnding ? .some(nil) : $0.count.map { .some($0) } }
        return job ?? nil
    }

    var isWriting: Bool { state.withLock { $0.count != nil } }

    /// What the write since the last call returned, once it has ended.
    func takeResult() -> Int? {
        state.withLock { state in
            defer { state.result = nil }
            return state.result
        }
    }

    /// Offers the buffer's first `count` bytes to the host; 0 for an empty packet.
    func start(_ count: Int) {
        precondition(count <= Self.capacity)
        state.change { $0.count = count }
    }

    /// Takes back what the host has not fetched.
    func cancel() {
        while true {
            let threadID = state.withLock { $0.count == nil ? nil : $0.threadID }
            guard let threadID else { break }
            if threadID != 0 { _ = clinux_interrupt_thread(threadID) }
            // The thread may be on its way into the call: then once more.
            let isOver: Bool? = state.wait(until: clinux_monotonic_ns() + 2_000_000) { $0.count == nil ? true : nil }
            if isOver == true { break }
        }
        state.withLock { $0.result = nil }
    }

    /// Halts the endpoint until the host clears it. Nothing may be being written.
    func halt() {
        var byte: UInt8 = 0
        // GadgetFS's way: reading where only writing makes sense. It fails, which is how it says that it has done it.
        _ = read(file.number, &byte, 1)
    }

    /// Ends the thread: what is left is to let go of this, and with it of the endpoint.
    func end() {
        state.change { $0.isEnding = true }
        cancel()
        thread.join()
    }
}
