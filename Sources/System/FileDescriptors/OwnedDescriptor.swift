// Who closes a descriptor: its owner, of whom there is one, when the owner goes.

import Glibc

/// An open file descriptor. It has one owner at a time, and is closed when the owner goes: at the end of a scope, with an object, or when it is replaced.
/// Ownership is moved (`consuming`), never copied.
///
/// Closing may block if somebody else shares the file. A descriptor with which a stranger could block us is therefore handed over to a thread that may
/// block.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// Lent: not to be used once the owner has gone.
    public let number: Int32

    /// Owns an open descriptor from here on.
    public init(_ number: Int32) {
        precondition(number >= 0, "a descriptor's number is not negative")
        self.number = number
    }

    /// Owns what a system call has opened. `nil` if the number is negative: the call has failed, and `errno` is still its own.
    public init?(opened number: Int32) {
        guard number >= 0 else { return nil }
        self.number = number
    }

    /// A second descriptor of the same open file, closed on exec. `nil` if there is none left: see `errno`.
    public init?(duplicating number: Int32) { self.init(opened: fcntl(number, F_DUPFD_CLOEXEC, 3)) }

    deinit { close(number) }

    /// Gives it away open: whoever takes the number closes it.
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
