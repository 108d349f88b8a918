// Who closes a descriptor: its owner, of whom there is one, when the owner goes.

import Glibc

/// An open file of this process. It has one owner at a time, and is closed when the owner goes: at the end of a scope, with an object, when something
/// else is put in its place. Owning is moved (`consuming`), never copied.
///
/// Closing may wait for whoever else has a hand in the file. What a stranger can make wait is not closed by its owner's going but given away, to a
/// thread that may wait.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// Lent to a system call, or to whoever outlives the owner in no case.
    public let number: Int32

    /// Owns an open descriptor from here on.
    public init(_ number: Int32) {
        precondition(number >= 0, "a descriptor's number is not negative")
        self.number = number
    }

    /// Owns what a system call has opened. `nil` where that is negative: it has failed, and `errno` is still the call's.
    public init?(opened number: Int32) {
        guard number >= 0 else { return nil }
        self.number = number
    }

    /// A second descriptor of the same open file, closed on exec. `nil` where there is no descriptor to be had: `errno` tells why.
    public init?(duplicating number: Int32) { self.init(opened: fcntl(number, F_DUPFD_CLOEXEC, 3)) }

    deinit { close(number) }

    /// Gives it away, open: to be closed by whoever takes the number.
    public consuming func handOver() -> Int32 {
        let number = number
        discard self
        return number
    }
}

extension Optional where Wrapped == OwnedDescriptor {
    /// Lent, as `OwnedDescriptor.number` is.
    public var number: Int32? {
        switch self {
        case .some(let descriptor): descriptor.number
        case .none: nil
        }
    }
}
