// The emulated scanner: a USB printer-class device in software that speaks IPP over USB.

import CLinux
import Pictures
import Synchronization
import Threads
public import USB
public import USBEmulation

/// A scanner with a platen and a duplex feeder, behind interfaces for IPP over USB: each pair of
/// endpoints is one connection of HTTP/1.1, on which it answers eSCL (`/eSCL`) and a little of IPP
/// (`/ipp/print`). Serve it with an emulation server.
///
/// Like a real one it keeps its state whoever is at the other end: the feeder depletes; a sheet that
/// was fed and not read to its end is gone; a job that nobody closes stays open; and what a host has
/// left unread in a pipe the next one reads first.
public final class EmulatedScanner: EmulatedDevice {
    public let descriptors: EmulatedDescriptors
    public let options: EmulatedScannerOptions
    private let deviceID: [UInt8]
    private let pageStore = PageStore()
    private let log: (@Sendable (String) -> Void)?

    private let state: Mutex<ScannerState>

    /// `log` is told what the scanner does and suffers, in full sentences, from any thread.
    public init(options: EmulatedScannerOptions = .init(), log: (@Sendable (String) -> Void)? = nil) {
        precondition((1...4).contains(options.pairs), "1 to 4 interfaces")
        precondition((0...100_000).contains(options.sheets), "a feeder of up to 100,000 sheets")
        self.options = options
        self.log = log
        descriptors = ScannerDescriptors(options: options).all
        deviceID = ScannerDescriptors(options: options).deviceID
        state = Mutex(
            ScannerState(
                machine: ScanMachine(options), printer: IPPPrinter(options), pipes: Self.pipes(options, stale: 0)))
    }

    private static func pipes(_ options: EmulatedScannerOptions, stale count: Int) -> [ScannerPipe] {
        (0..<options.pairs).map { index in
            var pipe = ScannerPipe(index, options)
            if count > 0 {
                // The middle of a JPEG, as a host leaves it that died while it read one.
                var random = SplitMix(seed: UInt64(index) + 7)
                let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                pipe.start(OutgoingAnswer(FramedAnswer(bytes: bytes)))
            }
            return pipe
        }
    }

    // MARK: What a person does and sees

    /// Sheets that lie in the feeder.
    public var sheetsLeft: Int { state.withLock { $0.machine.feeder.sheets } }

    /// Puts sheets under those that lie in the feeder.
    public func load(sheets: Int) {
        precondition(sheets >= 0)
        state.withLock { $0.machine.feeder.sheets += sheets }
    }

    /// The pages that were scanned, in order, also those that no host has read.
    public var scannedPages: [ScannedPage] { state.withLock { $0.machine.pages } }

    /// Jobs that are open: 0 or 1.
    public var openJobs: Int { state.withLock { $0.machine.openJob == nil ? 0 : 1 } }

    /// What else is to go wrong from now on.
    public func add(_ faults: ScannerFaults) { state.withLock { $0.machine.faults.faults += faults.faults } }

    /// What a page is sent as, by all that makes it: for judging what came.
    /// - Parameters:
    ///   - sheet: from 1 in the order in which sheets leave the feeder; 0 for the platen's.
    ///   - job: from 1 in the order in which jobs are opened.
    public static func page(sheet: Int, side: PageSide = .front, job: Int, settings: ScanSettings) throws -> [UInt8] {
        try PageFile.encoded(PageOrder(job: job, sheet: sheet, side: side, settings: settings))
    }

    // MARK: Life on the bus

    public func attached(now: UInt64, signal: any EmulationSignal) {
        state.withLock { state in
            state.signal = signal
            state.isSilent = false
            // A reset empties the endpoints; paper and jobs stay. What was left in the pipes is there
            // once.
            let stale = state.machine.faults.number(.stale)
            state.machine.faults.remove(.stale, stale)
            state.pipes = Self.pipes(options, stale: stale ?? 0)
            state.settings = [UInt8](repeating: 0, count: options.pairs)
            state.lostPages()
        }
    }

    public func detached() { state.withLock { $0.signal = nil } }

    public func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {
        state.withLock { state in
            guard state.settings.indices.contains(Int(interface)) else { return }
            state.settings[Int(interface)] = alternateSetting
        }
    }

    public func haltCleared(endpoint: EndpointAddress, now: UInt64) {
        state.withLock { state in
            guard endpoint.direction == .in, state.pipes.indices.contains(Int(endpoint.number) - 1) else { return }
            state.pipes[Int(endpoint.number) - 1].clearHalt()
        }
    }

    /// Requests of the printer class (§4.2): GET_DEVICE_ID, GET_PORT_STATUS, SOFT_RESET.
    public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        let (answer, notes) = state.withLock { state -> (ControlAnswer, [String]) in
            if state.isSilent { return (.silence, []) }
            switch (setup.requestType, setup.request) {
            case (0xa1, 0):
                // wIndex has the interface in its high byte.
                return (Int(setup.index >> 8) < state.pipes.count && setup.value == 0 ? .data(deviceID) : .stall, [])
            case (0xa1, 1): return (Int(setup.index) < state.pipes.count ? .data([0x18]) : .stall, [])
            case (0x21, 2), (0x23, 2):
                let index = Int(setup.index & 0xff)
                guard state.pipes.indices.contains(index) else { return (.stall, []) }
                let lost = state.pipes[index].answer?.page
                state.pipes[index] = ScannerPipe(index, options)
                state.signal?.flush(endpoint: ScannerInterface.in(index))
                if let lost { state.machine.lost(lost) }
                return (.accepted, ["Pair \(index + 1) was reset by SOFT_RESET."])
            default: return (.stall, [])
            }
        }
        notes.forEach { log?($0) }
        return answer
    }

    // MARK: Data

    public func takesOut(endpoint: EndpointAddress, now: UInt64) -> UInt64? {
        state.withLock { state in
            let index = Int(endpoint.number) - 1
            guard state.pipes.indices.contains(index) else { return nil }
            if state.isSilent { return now + 1_000_000_000 }
            let pipe = state.pipes[index]
            if pipe.doneAt > now { return pipe.doneAt }
            return pipe.isAnswering && pipe.parser.waiting >= ScannerPipe.inputLimit ? now + 1_000_000 : nil
        }
    }

    public func dataOut(endpoint: EndpointAddress, now: UInt64, data: UnsafeRawBufferPointer) -> TransferStatus {
        change { state in
            let index = Int(endpoint.number) - 1
            guard state.pipes.indices.contains(index) else { return .stall }
            state.pipes[index].takes(data.count, now: now)
            // The old protocol has what is printed, and no answers.
            guard state.speaksHTTP(index, options.layout) else { return .completed }
            state.pipes[index].parser.take(data)
            state.pump(index, now: now, options)
            return .completed
        }
    }

    public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        change { state in
            let index = Int(endpoint.number) - 1
            guard state.pipes.indices.contains(index) else { return .stall }
            guard !state.isSilent, state.speaksHTTP(index, options.layout) else { return .later(at: nil) }
            state.expire(now: now, options)
            let (answer, event) = state.pipes[index].send(now: now, into: buffer)
            if let page = state.pipes[index].answer?.page, case .data(let count, _) = answer, count > 0 {
                state.machine.touch(page.job, now: now)
            }
            switch event {
            case .none: break
            case .sent(let page):
                if let page { state.machine.sent(page, now: now) }
                state.pump(index, now: now, options)
            case .struck(let kind, let page): state.strike(kind, page)
            }
            return answer
        }
    }

    /// Changes the state; then tells what has happened, and has pages drawn.
    private func change<Result: Sendable>(_ body: (inout ScannerState) -> Result) -> Result {
        let (result, notes, orders, following, signal, plugsAgain) = state.withLock { state in
            let result = body(&state)
            defer {
                state.machine.notes = []
                state.orders = []
                state.following = nil
                state.isUnplugging = false
            }
            return (
                result, state.machine.notes, state.orders, state.following, state.isUnplugging ? state.signal : nil, state.plugsAgain
            )
        }
        notes.forEach { log?($0) }
        for entry in orders {
            pageStore.request(entry.order) { [weak self] bytes in self?.drawn(entry.pipe, entry.order, bytes) }
        }
        // Drawn while the host reads the one before.
        if let following { pageStore.request(following) { _ in } }
        if let signal {
            signal.unplug()
            if plugsAgain { Self.plug(signal, after: 1_000_000_000) }
        }
        return result
    }

    private func drawn(_ pipe: Int, _ order: PageOrder, _ bytes: [UInt8]?) {
        change { state in
            state.arrive(pipe, order, bytes, now: clinux_monotonic_ns(), options)
        }
    }

    private static func plug(_ signal: any EmulationSignal, after nanoseconds: UInt64) {
        let moment = clinux_monotonic_ns() + nanoseconds
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "scanner replug") {
                let never = Monitored(())
                let _: Void? = never.wait(until: moment) { _ in nil }
                signal.plug()
            }
        } catch {
            // Better too early than never.
            signal.plug()
        }
    }
}
