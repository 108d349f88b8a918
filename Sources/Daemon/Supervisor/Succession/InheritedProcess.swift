// A driver process that an earlier supervisor left streaming.

import CLinux
import FileDescriptors
import Glibc

/// Somebody else's child: it can be ended and its end be waited for, and nothing more.
@SupervisorActor
final class InheritedProcess {
    let processID: Int32
    private let pidfd: OwnedDescriptor
    private var token: UInt64?
    private var waiting: [@SupervisorActor () -> Void] = []
    private var hasEnded = false

    init(processID: Int32, pidfd: consuming OwnedDescriptor) {
        self.processID = processID
        self.pidfd = pidfd
    }

    /// Ends it with SIGKILL. `then` is called once it has ended and holds nothing any more.
    func end(then: @escaping @SupervisorActor () -> Void = {}) {
        if hasEnded { return then() }
        waiting.append(then)
        guard token == nil else { return }
        guard clinux_pidfd_kill(pidfd.number, SIGKILL) == 0 else { return ended() }
        // It stays alive here until it has ended.
        token = Reactor.shared.watch(pidfd.number, for: .readable) { _ in self.ended() }
    }

    private func ended() {
        if let token { Reactor.shared.forget(token, pidfd.number) }
        token = nil
        hasEnded = true
        DriverKeepers.collect(group: processID, isOurs: false)
        let all = waiting
        waiting = []
        for work in all { work() }
    }
}
