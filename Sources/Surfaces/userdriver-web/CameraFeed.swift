// One camera's stream as JPEG pictures, shared by all browsers that watch it.

import Pictures
import Synchronization
import UVC
import UserDriverClient

/// A picture, ready for a socket. All who watch share its bytes.
struct FeedPicture: Sendable {
    let number: UInt64
    /// The picture with the head of its part of a multipart answer, and the boundary behind it.
    let part: [UInt8]
    /// Where the picture itself lies in it.
    let jpeg: Range<Int>

    static let boundary = "userdriver-frame"
    /// What a multipart answer begins with.
    static let opening = "--\(boundary)\r\n"
    /// A browser shows a part once it has seen the next one's boundary: so that goes with each picture, not before the next.
    private static let tail = Array("\r\n\(opening)".utf8)

    /// `fill` appends `length` bytes.
    init(number: UInt64, length: Int, fill: (inout [UInt8]) -> Void) {
        var part: [UInt8] = []
        let head = Array("Content-Type: image/jpeg\r\nContent-Length: \(length)\r\n\r\n".utf8)
        part.reserveCapacity(head.count + length + Self.tail.count)
        part += head
        fill(&part)
        jpeg = head.count..<max(head.count, part.count)
        part += Self.tail
        self.number = number
        self.part = part
    }
}

/// Runs while somebody watches. The newest picture only is kept: who is slow gets fewer.
final class CameraFeed: Sendable {
    private struct State {
        var latest: FeedPicture?
        var count: UInt64 = 0
        var waiting: [UInt64: (after: UInt64, continuation: CheckedContinuation<FeedPicture?, Never>)] = [:]
        var nextWaiter: UInt64 = 0
        var end: (any Error)?
        var isOver = false
        var task: Task<Void, Never>?
    }

    private let state = Mutex(State())
    /// JPEG quality of pictures that the camera does not send as JPEG.
    private static let quality = 85

    init(client: UserDriverClient, device: String, request: CameraRequest) {
        let task = Task { await self.run(client.camera(device), request) }
        state.withLock { $0.task = task }
    }

    /// Why it is over; `nil` while it goes on.
    var end: (any Error)? { state.withLock { $0.isOver ? $0.end ?? WebError("The stream has ended.", status: 502) : nil } }

    func stop() {
        state.withLock { $0.task }?.cancel()
        finish(nil)
    }

    /// The newest picture, if it is newer than that.
    func newest(after number: UInt64) -> FeedPicture? { state.withLock { $0.latest.flatMap { $0.number > number ? $0 : nil } } }

    /// The newest picture after this number, as soon as there is one. `nil` when the stream is over, and when the task is cancelled.
    func next(after number: UInt64) async -> FeedPicture? {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: FeedPicture?? = state.withLock { state in
                    if let latest = state.latest, latest.number > number { return .some(latest) }
                    if state.isOver || Task.isCancelled { return .some(nil) }
                    state.waiting[id] = (number, continuation)
                    return .none
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.continuation.resume(returning: nil)
        }
    }

    private func run(_ camera: Camera, _ request: CameraRequest) async {
        do {
            for try await event in camera.frames(request) {
                if case .frame(let frame) = event, !frame.isDamaged { take(frame) }
            }
            finish(nil)
        } catch {
            finish(error)
        }
    }

    private func take(_ frame: Frame) {
        let number = state.withLock { state in
            state.count += 1
            return state.count
        }
        guard let picture = Self.picture(of: frame, number: number) else { return }
        let ready = state.withLock { state in
            state.latest = picture
            defer { state.waiting = [:] }
            return state.waiting.values.map(\.continuation)
        }
        for continuation in ready { continuation.resume(returning: picture) }
    }

    private func finish(_ why: (any Error)?) {
        let left = state.withLock { state in
            if !state.isOver { state.end = why }
            state.isOver = true
            defer { state.waiting = [:] }
            return state.waiting.values.map(\.continuation)
        }
        for continuation in left { continuation.resume(returning: nil) }
    }

    /// `nil` for a frame that was overwritten meanwhile or is no picture.
    private static func picture(of frame: Frame, number: UInt64) -> FeedPicture? {
        guard let stream = frame.stream else { return nil }
        if stream.format == "mjpeg" {
            // One copy, from the ring, for all who watch.
            if let picture = copied(frame, number: number) { return picture }
            return frame.copy().flatMap { wrapped(MotionJPEG.withHuffmanTables($0), number: number) }
        }
        guard let format = RawFormat(rawValue: stream.format), let bytes = frame.copy() else { return nil }
        let encoded = try? bytes.withUnsafeBytes { bytes in
            try Picture(format: format, width: stream.width, height: stream.height, bytes: bytes).encoded(as: .jpeg(quality: quality))
        }
        return encoded.flatMap { wrapped($0, number: number) }
    }

    private static func copied(_ frame: Frame, number: UInt64) -> FeedPicture? {
        var isComplete = false
        var isWhole = false
        let picture = FeedPicture(number: number, length: frame.byteCount) { part in
            isWhole = frame.withBytes { bytes in
                isComplete = !MotionJPEG.lacksHuffmanTables(bytes)
                if isComplete { part += bytes }
            }
        }
        return isWhole && isComplete ? picture : nil
    }

    private static func wrapped(_ jpeg: [UInt8], number: UInt64) -> FeedPicture {
        FeedPicture(number: number, length: jpeg.count) { $0 += jpeg }
    }
}
