// The thread that sends a conversation's bytes, and the tasks that wait for it.

import CLinux
import Synchronization
import Threads
import USB

final class ConversationSender: Sendable {
    /// Where it stands, for others than its thread.
    struct Position: Sendable {
        var handed: UInt64 = 0
        var acknowledged: UInt64 = 0
        var note: ConversationNote = []
        var undecided: UInt64 = 0
        var isInherited = false
    }

    private enum Work {
        case send([UInt8], ConversationNote, isEnd: Bool)
        /// Until nothing is left.
        case finish
        case goOn
        case abandon
    }

    private struct Waiter {
        let number: UInt64
        let work: Work
        /// `nil`: its task has been cancelled and waits no more.
        var continuation: CheckedContinuation<Void, any Error>?
    }

    private struct State {
        var position = Position()
        var isSettled = false
        var settling: [CheckedContinuation<Void, Never>] = []
        /// What is being done for somebody.
        var active: Waiter?
        var queue: [Waiter] = []
        var numbers: UInt64 = 0
        var isEnding = false
        /// What ended the thread.
        var failure: (any Error)?
        var thread: WorkerThread?
    }

    private let monitor = Monitored(State())
    /// The thread's, once it runs. Let go of at its end, and with it the memory.
    private let bytes: Mutex<Unchecked<OutgoingBytes>?>
    private let capacity: Int
    private let emptyPacketAfter: Int?
    private let progressed: @Sendable () -> Void
    private let faulted: @Sendable (ConversationFault, UInt64) -> Void

    init(
        _ bytes: OutgoingBytes, zeroLengthPacketAfter: Int?, progressed: @escaping @Sendable () -> Void,
        faulted: @escaping @Sendable (ConversationFault, UInt64) -> Void
    ) {
        capacity = bytes.capacity
        self.bytes = Mutex(Unchecked(bytes))
        emptyPacketAfter = zeroLengthPacketAfter
        self.progressed = progressed
        self.faulted = faulted
    }

    func start(patience: Duration) throws(WorkerThread.StartFailure) {
        let thread = try WorkerThread(name: "bytes-out") { [self] in run(patience: patience) }
        monitor.withLock { $0.thread = thread }
    }

    var acknowledged: UInt64 { monitor.withLock { $0.position.acknowledged } }

    /// Once it is known what became of what the predecessor was sending.
    func settled() async throws -> Position {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isSettled = monitor.withLock { state in
                if !state.isSettled { state.settling.append(continuation) }
                return state.isSettled
            }
            if isSettled { continuation.resume() }
        }
        return try monitor.withLock { state in
            if let failure = state.failure { throw failure }
            return state.position
        }
    }

    // MARK: What is asked of it

    func send(_ bytes: [UInt8], note: ConversationNote, endsMessage: Bool) async throws {
        guard bytes.count <= capacity, note.count <= OutgoingBytes.largestNote else {
            throw USBError(
                .invalidArgument, operation: "send", detail: "\(bytes.count) bytes and a note of \(note.count), for \(capacity) and 256")
        }
        try await ask(.send(bytes, note, isEnd: endsMessage))
    }

    func finish() async throws { try await ask(.finish) }
    func goOn() async throws { try await ask(.goOn) }
    func abandon() async throws { try await ask(.abandon) }

    private func ask(_ work: Work) async throws {
        let number = monitor.withLock { state in
            state.numbers += 1
            return state.numbers
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let failure: (any Error)? = monitor.change { state in
                    if let failure = state.failure { return failure }
                    if state.isEnding { return ConversationFault.closed }
                    if Task.isCancelled { return CancellationError() }
                    state.queue.append(Waiter(number: number, work: work, continuation: continuation))
                    return nil
                }
                if let failure { continuation.resume(throwing: failure) }
            }
        } onCancel: {
            let continuation: CheckedContinuation<Void, any Error>? = monitor.withLock { state in
                // What was not begun is not done; what was is gone on with.
                if let index = state.queue.firstIndex(where: { $0.number == number }) { return state.queue.remove(at: index).continuation }
                guard state.active?.number == number else { return nil }
                defer { state.active?.continuation = nil }
                return state.active?.continuation
            }
            continuation?.resume(throwing: CancellationError())
        }
    }

    // MARK: Its thread

    private func run(patience: Duration) {
        guard let line = bytes.withLock({ $0?.value }) else { return }
        do {
            let isInherited = try line.resume()
            if isInherited { try line.settle(patience: patience) } else { try line.begin() }
            publish(line) {
                $0.position.isInherited = isInherited
                $0.isSettled = true
            }
            try go(round: line)
            end(with: ConversationFault.closed)
        } catch {
            end(with: error)
        }
        bytes.withLock { $0 = nil }
    }

    private enum Turn {
        case begin(Work)
        case step
        case end
    }

    private func go(round line: OutgoingBytes) throws {
        var told: ConversationFault?
        while true {
            if let fault = line.fault, fault != told { faulted(fault, line.state.undecided) }
            told = line.fault
            let isIdle = !line.isInFlight && (line.isDone || line.fault != nil)
            if isIdle { finishActive(line.fault) }
            let turn: Turn? = monitor.wait { state in
                if state.isEnding { return .end }
                if !isIdle { return .step }
                guard !state.queue.isEmpty else { return nil }
                let first = state.queue.removeFirst()
                state.active = first
                return .begin(first.work)
            }
            switch turn {
            case .begin(let work):
                begin(work, line)
                publish(line)
            case .step:
                // Looked at again now and then: what is closed in the instant of a submission was
                // not there to be cancelled.
                guard try line.step(timeout: .seconds(5)) else { continue }
                publish(line)
                progressed()
            case .end, nil: return drain(line)
            }
        }
    }

    private func begin(_ work: Work, _ line: OutgoingBytes) {
        switch work {
        case .send(let bytes, let note, let isEnd):
            // Where there is a fault it is told as this one's outcome.
            guard line.fault == nil else { return }
            let isMultiple = emptyPacketAfter.map { $0 > 0 && bytes.count % $0 == 0 } ?? false
            line.hand(bytes, note: note, endsWithEmptyPacket: isEnd && isMultiple)
        case .finish: break
        case .goOn:
            if case .undecided? = line.fault { return }
            if line.fault != nil { line.goOn() }
            finishActive(nil)
        case .abandon:
            line.abandon()
            finishActive(nil)
        }
    }

    private func finishActive(_ fault: ConversationFault?) {
        let active = monitor.withLock { state in
            defer { state.active = nil }
            return state.active
        }
        // Its task may have been cancelled meanwhile.
        guard let continuation = active?.continuation else { return }
        if let fault { continuation.resume(throwing: fault) } else { continuation.resume() }
    }

    private func drain(_ line: OutgoingBytes) {
        guard line.isInFlight else { return }
        line.cancel()
        do throws(USBError) { _ = try line.step(timeout: .seconds(2)) } catch {
            // The device is gone, and with it what was in flight.
        }
    }

    private func publish(_ line: OutgoingBytes, _ change: (inout State) -> Void = { _ in }) {
        let settling = monitor.change { state in
            state.position.handed = line.state.handed
            state.position.acknowledged = line.state.acknowledged
            state.position.note = line.note
            state.position.undecided = line.state.undecided
            change(&state)
            guard state.isSettled else { return [CheckedContinuation<Void, Never>]() }
            defer { state.settling = [] }
            return state.settling
        }
        for continuation in settling { continuation.resume() }
    }

    private func end(with error: any Error) {
        let (waiters, settling) = monitor.change { state in
            state.failure = error
            state.isSettled = true
            defer { (state.queue, state.active, state.settling) = ([], nil, []) }
            return (state.queue + (state.active.map { [$0] } ?? []), state.settling)
        }
        for waiter in waiters { waiter.continuation?.resume(throwing: error) }
        for continuation in settling { continuation.resume() }
    }

    // MARK: Ends

    func end() {
        monitor.change { $0.isEnding = true }
        // It may wait for a transfer that the device does not take.
        bytes.withLock { $0?.value }?.cancel()
    }

    func join() {
        let thread = monitor.withLock { state in
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
    }
}

/// What one thread uses at a time, by the rules of whoever holds it.
struct Unchecked<Value>: @unchecked Sendable {
    // Sendable: see above.
    let value: Value
    init(_ value: Value) { self.value = value }
}
