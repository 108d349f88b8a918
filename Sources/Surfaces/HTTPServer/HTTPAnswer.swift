// Answers: a status, headers, and bytes that are there or come bit by bit.

import CLinux
import Glibc

public struct HTTPAnswer: Sendable {
    public enum Body: Sendable {
        case bytes([UInt8])
        /// With its length where that is known.
        case stream(any HTTPStream, length: Int?)
    }
    public var status: UInt32
    public var headers: [(name: String, value: String)]
    public var body: Body

    public init(_ status: UInt32, type: String, _ bytes: [UInt8]) {
        self.init(status, [("Content-Type", type)], .bytes(bytes))
    }

    public init(_ status: UInt32, _ headers: [(name: String, value: String)], _ body: Body) {
        (self.status, self.headers, self.body) = (status, headers, body)
    }

    public static func text(_ status: UInt32, _ text: String, type: String = "text/plain; charset=utf-8") -> HTTPAnswer {
        HTTPAnswer(status, type: type, Array((text + "\n").utf8))
    }
}

/// A body that arrives bit by bit. Read by the server's thread, which never waits: if there is
/// nothing to send yet, it is notified when there is.
public protocol HTTPStream: Sendable {
    /// Fills the buffer with what comes next. `prepare` is called before a `later`, and `wake`, once,
    /// after it.
    func read(into buffer: UnsafeMutableRawBufferPointer, prepare: () -> Void, wake: @escaping @Sendable () -> Void) -> HTTPPiece
    /// The same, with the client: what was read before this call has been handed to the kernel. Called
    /// in place of the other.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, for client: borrowing HTTPClient, prepare: () -> Void,
        wake: @escaping @Sendable () -> Void
    ) -> HTTPPiece
    /// The request is over, once. `isSent`: every byte of the answer was handed to the kernel.
    func close(isSent: Bool)
}

extension HTTPStream {
    public func read(
        into buffer: UnsafeMutableRawBufferPointer, for client: borrowing HTTPClient, prepare: () -> Void,
        wake: @escaping @Sendable () -> Void
    ) -> HTTPPiece { read(into: buffer, prepare: prepare, wake: wake) }
}

/// The other end of a connection, as long as a stream is being read for it.
public struct HTTPClient: ~Copyable {
    /// What of the bytes that were sent its process has read.
    public enum Reading: Hashable, Sendable {
        case all
        /// So many are left.
        case left(Int)
        /// It has closed the connection, or ended.
        case gone
        /// It is not on this machine, or the kernel does not say.
        case unknown
    }

    private let socket: Int32
    init(socket: Int32) { self.socket = socket }

    public var reading: Reading {
        guard socket >= 0 else { return .unknown }
        switch clinux_peer_unread(socket) {
        case 0: return .all
        case let count where count > 0: return .left(Int(count))
        case Int(-ENOENT): return .gone
        default: return .unknown
        }
    }

    /// It has closed the connection: nobody reads what is sent. Of a client on another machine that is known only when it says so.
    var hasGone: Bool {
        var entry = pollfd(fd: socket, events: 0, revents: 0)
        if socket >= 0, poll(&entry, 1, 0) > 0, entry.revents & Int16(POLLHUP | POLLERR) != 0 { return true }
        return reading == .gone
    }
}

public enum HTTPPiece: Sendable {
    /// So many bytes were put into the buffer.
    case bytes(Int)
    /// `wake` will be called, once.
    case later
    case end
    /// What was sent is not to be believed: the connection is cut, so that the client can tell.
    case failed
}

/// Answers requests.
public protocol HTTPSite: Sendable {
    var interests: HTTPInterests { get }
    /// On every answer.
    var headers: [(name: String, value: String)] { get }
    /// The task is cancelled where the client goes away meanwhile.
    func answer(_ request: HTTPRequest) async -> HTTPAnswer
    /// Who takes the request's body as it comes, in place of `answer`; `nil` for a request that is answered
    /// as a whole. Asked once, by the server's thread, which does not wait.
    func upload(_ request: HTTPRequest) -> (any HTTPUpload)?
}

extension HTTPSite {
    public func upload(_ request: HTTPRequest) -> (any HTTPUpload)? { nil }
}

/// Takes a request's body as it arrives, of any length.
public protocol HTTPUpload: Sendable {
    /// The next bytes. Nothing more is read from the client until it returns. False for a body that is not wanted: its client may not be slow,
    /// and not much more of it is read. The task is cancelled where the client goes away meanwhile.
    func take(_ bytes: [UInt8]) async -> Bool
    /// The body is over. The same of its task.
    func answer() async -> HTTPAnswer
    /// The client has gone before the body was over; or with its answer, before it had all of it.
    func abandon()
}

public struct HTTPError: Error, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
