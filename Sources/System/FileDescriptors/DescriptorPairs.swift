// Descriptors that come in twos: the ends of pipes and of pairs of sockets.

import CLinux
import Glibc

/// Both ends of a pipe, closed on exec. Frozen, so that each end can be moved to another owner.
@frozen public struct Pipe: ~Copyable, Sendable {
    public let reads: OwnedDescriptor
    public let writes: OwnedDescriptor

    /// `nil` if there are no descriptors left: see `errno`.
    public init?() {
        var ends: [Int32] = [-1, -1]
        guard clinux_pipe(&ends) == 0 else { return nil }
        reads = OwnedDescriptor(ends[0])
        writes = OwnedDescriptor(ends[1])
    }
}

/// Both ends of a pair of connected Unix sockets, closed on exec: one stays, the other goes to another process. Frozen, so that each end
/// can be moved to another owner.
@frozen public struct SocketPair: ~Copyable, Sendable {
    /// What goes over it.
    public enum Kind: Sendable {
        /// Bytes (SOCK_STREAM).
        case stream
        /// Packets (SOCK_SEQPACKET).
        case packets
    }

    public let ours: OwnedDescriptor
    public let theirs: OwnedDescriptor

    /// `nil` if there are no descriptors left: see `errno`.
    public init?(_ kind: Kind) {
        var ends: [Int32] = [-1, -1]
        let result =
            switch kind {
            case .stream: clinux_stream_pair(&ends)
            case .packets: clinux_seqpacket_pair(&ends)
            }
        guard result == 0 else { return nil }
        ours = OwnedDescriptor(ends[0])
        theirs = OwnedDescriptor(ends[1])
    }
}
