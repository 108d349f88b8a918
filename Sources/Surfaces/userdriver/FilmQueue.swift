// Frames between the camera, which does not wait, and the disk, which may be slow.

import CLinux
import FileDescriptors
import Glibc
import Threads

/// Frames that are not in a file for certain. They stay until they are, so that a muxer that dies
/// costs none.
final class FilmQueue: Sendable {
    /// Bytes of frames that may wait, but for the last.
    static let most = 256 << 20

    private struct State {
        var frames: [FilmFrame] = []
        var bytes = 0
        var isClosed = false
        var failure: (any Error)?
    }

    private let state = Monitored(State())
    /// Readable when frames have come, or the end.
    var descriptor: Int32 { signal.number }
    private let signal: OwnedDescriptor

    init() throws(CommandFailure) {
        let made = clinux_eventfd()
        guard let signal = OwnedDescriptor(opened: made) else {
            throw CommandFailure("No file descriptor is free: \(String(cString: strerror(-made))).")
        }
        self.signal = signal
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Puts a frame at the end, once there is room. Throws what the writer has failed with.
    func put(_ frame: FilmFrame) throws {
        let failure: (any Error)?? = state.wait { state in
            if let failure = state.failure { return .some(failure) }
            guard state.bytes == 0 || state.bytes + frame.bytes.count <= Self.most else { return nil }
            state.frames.append(frame)
            state.bytes += frame.bytes.count
            return .some(nil)
        }
        if case .some(.some(let failure)) = failure { throw failure }
        wake()
    }

    /// No frame comes after those that are there.
    func close() {
        state.change { $0.isClosed = true }
        wake()
    }

    /// Nothing can be written any more: whoever puts frames is told.
    func fail(_ error: any Error) { state.change { $0.failure = error } }

    var failure: (any Error)? { state.withLock { $0.failure } }

    /// The frame behind the first `count`; whether there will never be one.
    func frame(after count: Int) -> (frame: FilmFrame?, isEnd: Bool) {
        // What woke the writer is seen below.
        var value: UInt64 = 0
        _ = read(descriptor, &value, 8)
        return state.withLock { state in
            count < state.frames.count ? (state.frames[count], false) : (nil, state.isClosed)
        }
    }

    /// The first `count` are in a file.
    func drop(_ count: Int) {
        state.change { state in
            state.bytes -= state.frames[..<count].reduce(0) { $0 + $1.bytes.count }
            state.frames.removeFirst(count)
        }
    }
}
