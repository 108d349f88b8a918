// What server and attacher say to each other: eight bytes there, eight bytes and perhaps a socket back.

import CLinux
import FileDescriptors
import Glibc
public import USB

/// The one thing that a server can ask its attacher for: one more node.
struct AttachRequest: Equatable {
    static let byteCount = 8
    static let magic: [UInt8] = Array("UDnode1".utf8)

    /// High speed or SuperSpeed.
    var isSuper: Bool

    var bytes: [UInt8] { Self.magic + [isSuper ? 5 : 3] }

    init(isSuper: Bool) { self.isSuper = isSuper }

    /// `nil` for anything else.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount, bytes.starts(with: Self.magic), let speed = bytes.last, speed == 3 || speed == 5 else {
            return nil
        }
        isSuper = speed == 5
    }
}

/// Why there is not one more node. The raw value is the reply's last byte; 0 stands for a socket.
public enum AttachRefusal: UInt8, Error, Hashable, Sendable, CustomStringConvertible {
    /// The kernel has no `vhci_hcd`.
    case noController = 1
    /// Every port of that speed is taken.
    case noPort = 2
    /// There are as many nodes as there may be.
    case tooMany = 3
    /// Too many in too short a time.
    case tooOften = 4
    /// The kernel refused.
    case refused = 5
    /// The attacher is gone, or does not speak this language.
    case noAnswer = 6

    public var description: String {
        switch self {
        case .noController: "the kernel has no vhci_hcd (modprobe vhci_hcd)"
        case .noPort: "every port of vhci_hcd is taken"
        case .tooMany: "the maximum number of nodes is reached (\(AttacherLimits.mostNodes))"
        case .tooOften: "too many nodes were asked for in a short time; it will be tried again a little later"
        case .refused: "the kernel refused to attach it"
        case .noAnswer: "the process that attaches nodes is gone"
        }
    }
}

enum AttacherLimits {
    static let mostNodes = 16
    /// So many at once, and then one each `interval`.
    static let burst = 16
    static let interval: UInt64 = 2_000_000_000
}

/// Where nodes' sockets come from.
public protocol NodeSockets: Sendable {
    /// A socket at whose other end a host has just begun to look at a new device. The caller closes it. Blocks.
    func attach(_ speed: USBSpeed) throws(AttachRefusal) -> Int32
}

/// The server's end. Used from one thread at a time.
public final class AttacherLink: NodeSockets, Sendable {
    private let channel: Int32

    /// The descriptor stays the caller's.
    public init(channel: Int32) { self.channel = channel }

    public func attach(_ speed: USBSpeed) throws(AttachRefusal) -> Int32 {
        let request = AttachRequest(isSuper: speed >= .super)
        guard clinux_send(channel, request.bytes, UInt(AttachRequest.byteCount), nil, 0, 0) == AttachRequest.byteCount else {
            throw .noAnswer
        }
        var bytes = [UInt8](repeating: 0, count: AttachRequest.byteCount)
        var descriptors = [Int32](repeating: -1, count: Int(CLINUX_MAX_DESCRIPTORS))
        var (count, truncated): (Int32, Int32) = (0, 0)
        let got = clinux_receive(channel, &bytes, UInt(bytes.count), &descriptors, &count, &truncated, 0)
        var received = OwnedDescriptors(Array(descriptors.prefix(Int(max(0, count)))))
        guard got == AttachRequest.byteCount, bytes.starts(with: AttachRequest.magic), truncated == 0 else { throw .noAnswer }
        if bytes[7] == 0, received.count == 1, let socket = received.takeFirst() { return socket.handOver() }
        throw AttachRefusal(rawValue: bytes[7]) ?? .noAnswer
    }
}
