// The device's default pipe: it carries one request at a time, and what a stream needs goes before
// what controls ask.

public import USB
public import UserDriver

/// Two ways to one device. A request that the device leaves hanging holds up every request behind
/// it (USB 2.0 §5.5) while their time-outs run. So requests for controls take turns, each timed
/// from when the pipe is free; and a stream's request does not wait long for them.
public final class ControlPipe: Sendable {
    /// How long a stream waits for a control's request, which is cancelled then and made again
    /// afterwards.
    private static let grace = Duration.milliseconds(250)
    /// After a stream's request another one is likely: controls wait for so long, or each of those
    /// would find one of theirs in its way.
    fileprivate static let pause = Duration.milliseconds(50)

    private let device: any USBDeviceHandle
    private let turns = PipeTurns()

    public init(_ device: any USBDeviceHandle) { self.device = device }

    /// For streams.
    public var ahead: any USBDeviceHandle { PipeLane(device, pipe: self, goesAhead: true) }
    /// For controls.
    public var inTurn: any USBDeviceHandle { PipeLane(device, pipe: self, goesAhead: false) }

    /// Makes a request that is no other's way.
    fileprivate func goAhead<Value: Sendable>(
        _ request: @Sendable () async throws(USBError) -> Value
    ) async throws(USBError) -> Value {
        await turns.clear(grace: Self.grace)
        do throws(USBError) {
            let value = try await request()
            await turns.leave()
            return value
        } catch {
            await turns.leave()
            throw error
        }
    }

    /// Makes a request when it is its turn, again if a stream took the pipe meanwhile. Each of them
    /// can be made twice: what is read is read, and what is set is a value and no step.
    fileprivate func takeTurn(
        _ request: @escaping @Sendable () async throws(USBError) -> [UInt8]
    ) async throws(USBError) -> [UInt8] {
        while true {
            await turns.take()
            let task = Task { () -> Result<[UInt8], USBError> in
                do throws(USBError) {
                    return .success(try await request())
                } catch {
                    return .failure(error)
                }
            }
            await turns.carry { task.cancel() }
            let outcome = await task.value
            let gaveWay = await turns.pass()
            if case .failure(let error) = outcome, error.code == .cancelled, gaveWay { continue }
            return try outcome.get()
        }
    }
}

/// Whose turn it is.
private actor PipeTurns {
    private var isTaken = false
    /// Requests of streams that are on their way.
    private var ahead = 0
    /// Counts the pauses after them; `pausing` is the one that goes on.
    private var pauses = 0
    private var pausing: Int?
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var clearing: [CheckedContinuation<Void, Never>] = []
    private var cancel: (@Sendable () -> Void)?
    private var givesWay = false

    /// Returns when the pipe is the caller's.
    func take() async {
        guard isTaken || ahead > 0 || pausing != nil else {
            isTaken = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// How the request that has the turn is cancelled.
    func carry(_ cancel: @escaping @Sendable () -> Void) {
        self.cancel = cancel
        if givesWay { cancel() }
    }

    /// The turn is over. Whether its request was told to give way.
    func pass() -> Bool {
        defer {
            isTaken = false
            givesWay = false
            cancel = nil
            for stream in clearing { stream.resume() }
            clearing = []
            next()
        }
        return givesWay
    }

    private func next() {
        guard !isTaken, ahead == 0, pausing == nil, !waiting.isEmpty else { return }
        isTaken = true
        waiting.removeFirst().resume()
    }

    /// Returns when no control's request is in the pipe. None gets in before `leave`.
    func clear(grace: Duration) async {
        ahead += 1
        guard isTaken else { return }
        let limit = Task {
            do { try await Task.sleep(for: grace) } catch { return }
            self.hurry()
        }
        await withCheckedContinuation { clearing.append($0) }
        limit.cancel()
    }

    private func hurry() {
        guard isTaken, !clearing.isEmpty else { return }
        givesWay = true
        cancel?()
    }

    func leave() {
        ahead -= 1
        guard ahead == 0 else { return }
        pauses += 1
        pausing = pauses
        Task { [pauses] in
            // Nobody cancels this task.
            do { try await Task.sleep(for: ControlPipe.pause) } catch {}
            self.endPause(pauses)
        }
    }

    private func endPause(_ number: Int) {
        guard pausing == number else { return }
        pausing = nil
        next()
    }
}

/// One of the two ways. What is no request on the default pipe goes straight to the device.
private final class PipeLane: USBDeviceHandle {
    private let device: any USBDeviceHandle
    private let pipe: ControlPipe
    private let goesAhead: Bool

    init(_ device: any USBDeviceHandle, pipe: ControlPipe, goesAhead: Bool) {
        self.device = device
        self.pipe = pipe
        self.goesAhead = goesAhead
    }

    var information: USBDeviceInformation { device.information }

    func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        let device = device
        if goesAhead {
            return try await pipe.goAhead { () async throws(USBError) in try await device.control(setup, sending: data, timeout: timeout) }
        }
        return try await pipe.takeTurn { () async throws(USBError) in try await device.control(setup, sending: data, timeout: timeout) }
    }

    func setAlternateSetting(interface: UInt8, to alternateSetting: UInt8) async throws(USBError) {
        let device = device
        try await pipe.goAhead { () async throws(USBError) in
            try await device.setAlternateSetting(interface: interface, to: alternateSetting)
        }
    }

    func clearHalt(endpoint: EndpointAddress) async throws(USBError) {
        let device = device
        try await pipe.goAhead { () async throws(USBError) in try await device.clearHalt(endpoint: endpoint) }
    }

    func claim(interface: UInt8) async throws(USBError) { try await device.claim(interface: interface) }
    func release(interface: UInt8) async throws(USBError) { try await device.release(interface: interface) }
    func reset() async throws(USBError) { try await device.reset() }
    func transferQueue(endpoint: EndpointAddress, type: TransferType) throws(USBError) -> any TransferQueue {
        try device.transferQueue(endpoint: endpoint, type: type)
    }
    func close() { device.close() }
}

extension DriverContext {
    /// The same with another way to the device.
    public func replacing(device: any USBDeviceHandle) -> DriverContext {
        DriverContext(
            deviceID: deviceID, device: device, generation: generation, configuration: configuration, record: record, streams: streams,
            interruption: interruption, takeover: takeover, supervisor: supervisor, progress: progress)
    }
}
