// Hears of the forbidden calls of a sandboxed process.

import CLinux
import CSeccomp
package import FileDescriptors
import Glibc

/// A system call that a sandbox has stopped. It is never made; the thread that tried waits in the kernel until its process ends, or the call is
/// refused.
public struct ForbiddenCall: Hashable, Sendable, CustomStringConvertible {
    /// `"socket"`, or `"system call 999"` where it has no name.
    public var name: String
    /// As they were in the registers; how many of them mean something is the call's business.
    public var arguments: [UInt64]
    public var thread: Int32
    /// Which stop it is.
    fileprivate var id: UInt64

    public var description: String {
        "\(name)(" + arguments.prefix(4).map { "0x" + String($0, radix: 16) }.joined(separator: ", ") + ", …)"
    }
}

/// The supervisor's end of a sandboxed process's filter.
public final class CallListener: Sendable {
    /// For poll and epoll: readable when a call was stopped, hung up when the process has ended.
    public var descriptor: Int32 { listener.number }
    private let listener: OwnedDescriptor

    package init(_ listener: consuming OwnedDescriptor) { self.listener = listener }

    /// Lets the thread go on, as if the kernel did not know the call (ENOSYS). For a process that is still loading: a library of a newer
    /// release than the policies were made on makes a call at its start that it can do without on older kernels. This grants nothing.
    public func refuse(_ call: ForbiddenCall) { _ = clinux_refuse_stopped_call(descriptor, call.id, ENOSYS) }

    /// The call that was stopped; `nil` if the thread has ended in the meantime. Call it when the descriptor is readable.
    public func next() -> ForbiddenCall? {
        var call = clinux_stopped_call()
        guard clinux_take_stopped_call(descriptor, &call) == 0 else { return nil }
        var name = "system call \(call.number)"
        if let known = seccomp_syscall_resolve_num_arch(call.architecture, call.number) {
            name = String(cString: known)
            free(known)
        }
        let arguments = withUnsafeBytes(of: call.arguments) { Array($0.bindMemory(to: UInt64.self)) }
        return ForbiddenCall(name: name, arguments: arguments, thread: Int32(bitPattern: call.thread), id: call.id)
    }
}
