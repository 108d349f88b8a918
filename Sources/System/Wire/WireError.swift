// Why messages could not be sent or received: one error type for channel and Varlink, whose code can grow without breaking anybody.

import Glibc

/// A failed exchange of messages.
public struct WireError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case disconnected = "the other end is gone"
            case oversize = "a message is larger than the limit"
            case truncated = "a message or its descriptors were cut off"
            case malformed = "a message is not the JSON that is expected here"
            case descriptors = "descriptors arrived that nobody asked for"
            case shortage = "the system is short of resources"
            case backlog = "the other end does not read what it is sent"
            case system = "the system call failed"
        }
        private var kind: Kind

        public static let disconnected = Code(kind: .disconnected)
        public static let oversize = Code(kind: .oversize)
        public static let truncated = Code(kind: .truncated)
        public static let malformed = Code(kind: .malformed)
        /// The bounded queue of messages that wait for the other end is full.
        public static let backlog = Code(kind: .backlog)
        /// The other end attached descriptors where none are taken.
        public static let descriptors = Code(kind: .descriptors)
        /// Descriptors, memory or the like are used up for the moment: neither end's fault.
        public static let shortage = Code(kind: .shortage)
        public static let system = Code(kind: .system)

        public var description: String { kind.rawValue }
    }

    public var code: Code
    /// `"sendmsg"`, `"decoding MessageToDriver"`
    public var operation: String
    /// What the system or the decoder said.
    public var detail: String?

    public init(_ code: Code, operation: String, detail: String? = nil) {
        self.code = code
        self.operation = operation
        self.detail = detail
    }

    /// From a system call's negated errno.
    init(errno number: Int32, operation: String) {
        switch number {
        case EPIPE, ECONNRESET, ENOTCONN, ESHUTDOWN: self.init(.disconnected, operation: operation)
        case EMSGSIZE: self.init(.oversize, operation: operation)
        case EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, ETOOMANYREFS:
            self.init(.shortage, operation: operation, detail: String(cString: strerror(number)))
        default: self.init(.system, operation: operation, detail: String(cString: strerror(number)))
        }
    }

    public var description: String { "\(operation): \(code)" + (detail.map { " (\($0))" } ?? "") }
}
