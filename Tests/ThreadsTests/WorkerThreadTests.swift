// Threads: names, ends, signals.

import CLinux
import Glibc
import Testing
import Threads

@Suite struct WorkerThreadTests {
    /// The signals that the calling thread blocks.
    private static func blocked() -> Set<Int32> {
        var set = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &set)
        return Set((1..<32).filter { sigismember(&set, $0) == 1 })
    }

    @Test func itRunsUnderItsNameOnAThreadOfItsOwn() throws {
        let seen = Monitored("")
        let caller = pthread_self()
        let thread = try WorkerThread(name: "a name of more than 15 bytes") {
            var name = [UInt8](repeating: 0, count: 32)
            let file = open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC)
            let count = read(file, &name, name.count)
            close(file)
            let text = String(decoding: name.prefix(max(0, count)), as: UTF8.self)
            seen.change { $0 = pthread_equal(caller, pthread_self()) == 0 ? text : "the caller's" }
        }
        thread.join()
        #expect(seen.withLock { $0 } == "a name of more \n")
    }

    @Test func joiningWaitsForTheEndAndAgainDoesNothing() throws {
        let isBegun = Monitored(false)
        let isEnded = Monitored(false)
        let thread = try WorkerThread(name: "waits") {
            _ = isBegun.wait { $0 ? true : nil }
            isEnded.change { $0 = true }
        }
        #expect(!isEnded.withLock { $0 })
        isBegun.change { $0 = true }
        thread.join()
        #expect(isEnded.withLock { $0 })
        thread.join()
    }

    @Test func whatTheClosureHeldIsGoneAfterJoining() throws {
        final class Held: Sendable {}
        weak var watched: Held?
        let thread: WorkerThread
        do {
            let held = Held()
            watched = held
            thread = try WorkerThread(name: "holds") { withExtendedLifetime(held) {} }
        }
        thread.join()
        #expect(watched == nil)
    }

    @Test func itRunsOnWhenItsOwnerLetsGo() throws {
        let state = Monitored(0)
        do {
            _ = try WorkerThread(name: "alone") {
                _ = state.wait { $0 == 1 ? true : nil }
                state.change { $0 = 2 }
            }
        }
        state.change { $0 = 1 }
        #expect(state.wait { $0 == 2 ? true : nil } == true)
    }

    @Test func itKnowsItself() throws {
        let box = Monitored<WorkerThread?>(nil)
        let answer = Monitored<Bool?>(nil)
        let thread = try WorkerThread(name: "itself") {
            let me = box.wait { $0 }
            answer.change { $0 = me?.isCurrent }
        }
        box.change { $0 = thread }
        #expect(answer.wait { $0 } == true)
        #expect(!thread.isCurrent)
        thread.join()
        #expect(!thread.isCurrent)
    }

    @Test func oneThatTakesNoSignalsBlocksAllButItsOwnFaults() throws {
        let before = Self.blocked()
        let seen = Monitored<Set<Int32>>([])
        let thread = try WorkerThread(name: "deaf", takesSignals: false) { seen.change { $0 = Self.blocked() } }
        thread.join()
        let blocked = seen.withLock { $0 }
        #expect(blocked.isSuperset(of: [SIGHUP, SIGINT, SIGTERM, SIGCHLD, SIGUSR1]))
        #expect(blocked.subtracting(before).isDisjoint(with: [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS]))
        #expect(Self.blocked() == before)
    }

    @Test func itHasASignalStackThatGoesWithIt() throws {
        let stack = Monitored<UInt>(0)
        let thread = try WorkerThread(name: "stack") {
            var old = stack_t()
            sigaltstack(nil, &old)
            stack.change { $0 = old.ss_flags & Int32(SS_DISABLE) == 0 ? UInt(bitPattern: old.ss_sp) : 0 }
        }
        thread.join()
        #expect(stack.withLock { $0 } != 0)
    }
}
