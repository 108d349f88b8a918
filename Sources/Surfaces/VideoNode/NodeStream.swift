// The real camera's stream behind a node, for as long as the host has it: frames wait here until the host fetches them.

import CLinux
import Glibc
import Synchronization
import Threads
import UserDriverClient

/// Opens the camera's stream on a thread of its own, opens it again when it ends, and keeps the newest frames, which lie in the ring.
final class NodeStream: Sendable {
    enum State {
        case opening
        case open
        /// The daemon says that it can't be.
        case refused(ClientError)
    }

    private struct Shared {
        var state = State.opening
        var frames: [Frame] = []
        var isStopped = false
        /// The host has asked for a picture.
        var isAwaited = false
        var stream: FrameStream?
        /// Frames that the host did not fetch in time.
        var passedOver = 0
    }

    let choice: NodeFormats.Choice
    private let camera: Camera
    private let shared = Mutex(Shared())
    private let cancellation = Cancellation()
    private let began = clinux_monotonic_ns()
    private let isNews: @Sendable () -> Void
    private let log: @Sendable (String) -> Void

    /// A host that stops for a moment finds so many frames when it goes on. They take no memory but the ring's.
    private static let mostFrames = 6
    /// A host that commits and then asks for nothing has changed its mind.
    private static let patience: UInt64 = 5_000_000_000
    /// Between two attempts to open a stream that the host believes in.
    private static let pause: UInt64 = 500_000_000

    /// - Parameter isNews: called from any thread when the state has changed or a frame has come.
    init(
        _ choice: NodeFormats.Choice, of camera: Camera, isNews: @escaping @Sendable () -> Void, log: @escaping @Sendable (String) -> Void
    ) {
        self.choice = choice
        self.camera = camera
        self.isNews = isNews
        self.log = log
    }

    /// Once only. Throws where the system has no thread to give.
    func start() throws(WorkerThread.StartFailure) { _ = try WorkerThread(name: "node stream") { self.run() } }

    func stop() {
        let stream = shared.withLock { shared in
            shared.isStopped = true
            shared.frames = []
            return shared.stream
        }
        cancellation.cancel()
        stream?.stop()
    }

    var state: State { shared.withLock { $0.state } }

    /// The oldest frame that waits.
    func takeFrame() -> Frame? {
        shared.withLock { shared in
            shared.isAwaited = true
            return shared.frames.isEmpty ? nil : shared.frames.removeFirst()
        }
    }

    private var isStopped: Bool { shared.withLock { $0.isStopped } }
    private var isForgotten: Bool { !shared.withLock { $0.isAwaited } && clinux_monotonic_ns() &- began > Self.patience }

    private func set(_ state: State) {
        shared.withLock { $0.state = state }
        isNews()
    }

    private func run() {
        var said: ClientError.Code?
        while !isStopped, !isForgotten {
            do throws(ClientError) {
                let stream = try camera.openStream(
                    choice.request, options: FrameStream.Options(openTimeout: .seconds(10), waitsForDevice: true),
                    cancellation: cancellation)
                let isLate = shared.withLock { shared in
                    shared.stream = stream
                    return shared.isStopped
                }
                if isLate { return stream.stop() }
                said = nil
                set(.open)
                try read(stream)
            } catch {
                guard !isStopped else { return }
                if said != error.code { log("The camera is not streaming: \(error.message)") }
                said = error.code
                // What was open and is so no more comes back, perhaps; the host is not told anything that it could not understand.
                if case .opening = state, ![.deviceUnavailable, .timedOut, .noSuchDevice, .daemonNotRunning].contains(error.code) {
                    set(.refused(error))
                }
            }
            rest()
        }
        shared.withLock { $0.stream }?.stop()
        if !isStopped { log("The host asked for no picture, so the camera's stream is closed.") }
    }

    private func rest() {
        var entry = pollfd(fd: -1, events: 0, revents: 0)
        let end = clinux_monotonic_ns() + Self.pause
        // In short steps: whoever stops waits for nothing, this thread ends by itself.
        while !isStopped, clinux_monotonic_ns() < end { _ = clinux_poll(&entry, 0, 50_000_000) }
    }

    /// Until the stream ends.
    private func read(_ stream: FrameStream) throws(ClientError) {
        while !isStopped, !isForgotten {
            switch try stream.next(timeout: .seconds(1)) {
            case .event(.frame(let frame)): take(frame)
            case .event(.driverFailed(let message)), .event(.deviceAbsent(let message)), .event(.supervisorLost(let message)):
                log(message)
            case .event, .timedOut: break
            case .ended(let reason):
                if let reason, !reason.isEmpty, !isStopped { log("The camera's stream has ended: \(reason)") }
                return
            }
        }
        stream.stop()
    }

    private func take(_ frame: Frame) {
        // As uvcvideo does it: what is damaged is left out.
        guard !frame.isDamaged, frame.byteCount > 0, fits(frame) else { return }
        shared.withLock { shared in
            guard !shared.isStopped else { return }
            if shared.frames.count >= Self.mostFrames {
                shared.frames.removeFirst()
                shared.passedOver += 1
            }
            shared.frames.append(frame)
        }
        isNews()
    }

    private func fits(_ frame: Frame) -> Bool {
        guard choice.format.isCompressed ? frame.byteCount <= choice.byteCount : frame.byteCount == choice.byteCount else { return false }
        guard let stream = frame.stream else { return true }
        return stream.width == choice.frame.width && stream.height == choice.frame.height && stream.format == choice.format.name
    }
}
