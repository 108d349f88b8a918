// The thread that takes a conversation's answer as it comes, and the task that reads it.

import CLinux
import Synchronization
import Threads
import USB

final class ConversationReceiver: Sendable {
    private struct State {
        /// What counts of what has come.
        var received: UInt64 = 0
        var ends: UInt64 = 0
        /// How far it has been read here.
        var read: UInt64 = 0
        var endsRead: UInt64 = 0
        var consumed = IncomingBytes.Consumption()
        /// Changes with each discard.
        var discards: UInt64 = 0
        var fault: ConversationFault?
        /// The fault is to be forgotten.
        var goesOn = false
        /// Nothing more comes before something is discarded.
        var isFull = false
        var isEnding = false
        var failure: (any Error)?
        var readers: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var numbers: UInt64 = 0
        var thread: WorkerThread?
    }

    private let monitor: Monitored<State>
    /// The thread's; what counts of it and `discard` are for others as well. Let go of when the
    /// conversation is.
    private let bytes: Mutex<Unchecked<IncomingBytes>?>
    private let isInherited: Bool
    private let progressed: @Sendable () -> Void
    private let faulted: @Sendable (ConversationFault, UInt64) -> Void
    let inherited: (answer: Range<UInt64>, note: ConversationNote, isInherited: Bool)

    init(
        _ bytes: IncomingBytes, progressed: @escaping @Sendable () -> Void,
        faulted: @escaping @Sendable (ConversationFault, UInt64) -> Void
    ) throws(ConversationFault) {
        isInherited = try bytes.resume()
        let consumed = bytes.consumed
        inherited = (consumed.offset..<bytes.state.received, consumed.note, isInherited)
        monitor = Monitored(
            State(
                received: bytes.state.received, ends: bytes.state.ends, read: consumed.offset, endsRead: consumed.ends, consumed: consumed))
        self.bytes = Mutex(Unchecked(bytes))
        self.progressed = progressed
        self.faulted = faulted
    }

    func start() throws(WorkerThread.StartFailure) {
        let thread = try WorkerThread(name: "bytes-in") { [self] in run() }
        monitor.withLock { $0.thread = thread }
    }

    // MARK: Reading

    func receive() async throws -> Conversation.Chunk {
        while true {
            if let chunk = try take() { return chunk }
            await wait()
            try Task.checkCancellation()
        }
    }

    /// Bytes that have come and were not read, up to the next end of a message.
    private func take() throws -> Conversation.Chunk? {
        try bytes.withLock { bytes in
            guard let line = bytes?.value else { throw ConversationFault.closed }
            return try monitor.withLock { state in
                var end = state.received
                var endsMessage = false
                if state.endsRead < state.ends {
                    // What a predecessor wrote is not trusted to lie within.
                    end = min(max(line.end(state.endsRead), state.read), state.received)
                    endsMessage = true
                }
                if endsMessage || end > state.read {
                    let range = state.read..<end
                    state.read = end
                    if endsMessage { state.endsRead += 1 }
                    return Conversation.Chunk(bytes: line.bytes(range), end: end, endsMessage: endsMessage)
                }
                if let failure = state.failure { throw failure }
                if let fault = state.fault { throw fault }
                if state.isEnding { throw ConversationFault.closed }
                if state.isFull { throw ConversationFault.answerTooLarge }
                return nil
            }
        }
    }

    /// Until something has changed.
    private func wait() async {
        let number = monitor.withLock { state in
            state.numbers += 1
            return state.numbers
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let mayWait = monitor.withLock { state in
                    let hasNews =
                        state.received > state.read || state.ends > state.endsRead || state.failure != nil || state.fault != nil
                        || state.isEnding || state.isFull || Task.isCancelled
                    if !hasNews { state.readers[number] = continuation }
                    return !hasNews
                }
                if !mayWait { continuation.resume() }
            }
        } onCancel: {
            monitor.withLock { $0.readers.removeValue(forKey: number) }?.resume()
        }
    }

    func discard(upTo end: UInt64?, note: ConversationNote) {
        bytes.withLock { bytes in
            guard let line = bytes?.value else { return }
            monitor.change { state in
                let offset = min(max(end ?? state.read, state.consumed.offset), state.read)
                var ends = state.consumed.ends
                while ends < state.endsRead, line.end(ends) <= offset { ends += 1 }
                let consumption = IncomingBytes.Consumption(
                    offset: offset, ends: ends, note: Array(note.prefix(OutgoingBytes.largestNote)))
                line.discard(consumption)
                state.consumed = consumption
                state.discards += 1
                state.isFull = false
            }
        }
    }

    // MARK: Its thread

    private func run() {
        guard let line = bytes.withLock({ $0?.value }) else { return }
        do {
            if !isInherited { try line.begin() }
            var told: ConversationFault?
            while true {
                let (isEnding, consumed, discards, goesOn) = monitor.withLock { state in
                    defer { state.goesOn = false }
                    return (state.isEnding, state.consumed, state.discards, state.goesOn)
                }
                if isEnding { break }
                line.consumed = consumed
                if goesOn, line.fault != nil {
                    // A halt ends what was in flight, or holds it up: what it has ended is of the
                    // fault that is dealt with.
                    while try line.step(timeout: .milliseconds(20)) == .received {}
                    line.goOn()
                    publish(line)
                }
                if let fault = line.fault, fault != told { faulted(fault, 0) }
                told = line.fault
                switch try line.step(timeout: .seconds(5)) {
                case .received:
                    publish(line)
                    progressed()
                case .nothing: break
                case .paused: pause(line, discards)
                }
            }
            drain(line)
            end(with: ConversationFault.closed)
        } catch {
            end(with: error)
        }
    }

    /// No transfer is in flight, until somebody discards, or deals with the fault.
    private func pause(_ line: IncomingBytes, _ discards: UInt64) {
        publish(line, isFull: line.fault == nil)
        _ = monitor.wait { state -> Bool? in
            state.isEnding || state.goesOn || state.discards != discards && line.fault == nil ? true : nil
        }
    }

    private func drain(_ line: IncomingBytes) {
        line.isEnding = true
        do throws(USBError) {
            line.cancel()
            while try line.step(timeout: .seconds(2)) == .received {}
        } catch {
            // The device is gone, and with it what was in flight.
        }
    }

    private func publish(_ line: IncomingBytes, isFull: Bool = false) {
        let readers = monitor.withLock { state in
            state.received = line.state.received
            state.ends = line.state.ends
            state.fault = state.goesOn ? nil : line.fault
            // Somebody may have discarded since the thread looked.
            state.isFull = isFull && line.consumed == state.consumed
            defer { state.readers = [:] }
            return state.readers.values
        }
        for reader in readers { reader.resume() }
    }

    private func end(with error: any Error) {
        let readers = monitor.change { state in
            state.failure = error
            defer { state.readers = [:] }
            return state.readers.values
        }
        for reader in readers { reader.resume() }
    }

    func goOn() {
        monitor.change { state in
            state.goesOn = state.fault != nil
            state.fault = nil
        }
    }

    // MARK: Ends

    func end() {
        monitor.change { $0.isEnding = true }
        bytes.withLock { $0?.value }?.cancel()
    }

    /// The memory is let go of.
    func join() {
        let thread = monitor.withLock { state in
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
        bytes.withLock { $0 = nil }
    }
}
