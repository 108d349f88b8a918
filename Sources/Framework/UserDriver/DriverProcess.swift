// A driver's process: says hello, takes the device, answers calls, beats its heart, and ends with its supervisor.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Threads
import Wire

/// Runs a driver as the process that a supervisor started. A driver's `main` is this one call.
public enum DriverProcess {
    /// What the channel's thread passes on. Stream calls are answered in their order; others each by itself, so that one that takes long keeps none
    /// from being answered.
    private struct Inbox: Sendable {
        enum Item: Sendable {
            case call(DriverCall, [Int32])
            case cancel(UInt64)
        }
        let starts = AsyncStream.makeStream(of: (DriverStart, SupervisorLink, [Int32], [KeptRing]).self)
        let streamCalls = AsyncStream.makeStream(of: DriverCall.self)
        let calls = AsyncStream.makeStream(of: Item.self)
        let stops = AsyncStream.makeStream(of: Void.self)
    }

    /// Never returns: the main thread becomes the channel's reader, and with the channel ends the process.
    public static func run<D: Driver>(_ type: D.Type) -> Never {
        clinux_set_name(D.name)
        let channel = Channel(OwnedDescriptor(DriverContract.channelDescriptor))
        let progress: Progress
        do throws(CallError) {
            progress = try Progress(descriptor: DriverContract.progressDescriptor)
        } catch {
            complain("\(D.name) is started by userdriverd, not by hand: \(error)")
            _exit(2)
        }
        progress.installCrashHandler()
        // Nobody reads what is printed once the supervisor is gone.
        signal(SIGPIPE, SIG_IGN)
        let inbox = Inbox()
        tell(channel, .hello(DriverHello(driver: D.name, handover: D.supportsHandover, movesRings: true)))
        Task.detached { await serve(D.self, inbox: inbox, progress: progress) }
        listen(on: channel, inbox: inbox)
    }

    /// Waits for the device, drives it and answers calls.
    private static func serve<D: Driver>(_ type: D.Type, inbox: Inbox, progress: Progress) async {
        let running = RunningDriver<D>()
        Task {
            for await _ in inbox.stops.stream {
                running.watch.withLock { $0 }?.end()
                await running.driver.withLock { $0 }?.stop()
                _exit(0)
            }
        }
        var starts = inbox.starts.stream.makeAsyncIterator()
        guard let (start, link, descriptors, kept) = await starts.next() else { _exit(0) }
        if start.transport == .usbip, let socket = descriptors.first {
            running.watch.withLock {
                $0 = DeviceWatch(socket: socket) { link.fail("The device is gone: the server closed the connection.") }
            }
        }
        let driver: D
        do {
            let (device, recorder) = try HandedDevice.open(start, descriptors: OwnedDescriptors(descriptors))
            link.way.withLock { $0 = (device, recorder) }
            link.progress.withLock { $0 = progress }
            link.kept.take(kept, device)
            driver = try await D.start(
                DriverContext(
                    deviceID: start.deviceID, device: device, generation: start.generation, configuration: start.configuration,
                    record: start.record, streams: start.streams, interruption: start.interruption, takeover: start.takeover,
                    supervisor: link, progress: progress))
        } catch {
            link.fail(error)
        }
        running.driver.withLock { $0 = driver }
        link.send(.started(driver.facts))
        do throws(WorkerThread.StartFailure) {
            let heartbeat = Heartbeat {
                let statistics = driver.statistics()
                link.beat(statistics)
                return !statistics.streams.isEmpty
            }
            try heartbeat.start()
            running.heartbeat.withLock { $0 = heartbeat }
        } catch {
            link.fail("No thread can be started for this driver's heartbeat: \(error)")
        }
        let desk = CallDesk(driver: driver, link: link)
        Task {
            for await item in inbox.calls.stream {
                switch item {
                case .call(let call, let descriptors): desk.take(call, descriptors)
                case .cancel(let id): desk.cancel(id)
                }
            }
        }
        for await call in inbox.streamCalls.stream {
            let name = call.parameters["name"]?.stringValue ?? ""
            let reply = await answer(call) {
                if call.method == StreamCall.open {
                    try await driver.openStream(name: name, request: call.parameters["request"] ?? .object([:]))
                } else {
                    await driver.closeStream(name: name)
                }
                return .object([:])
            }
            link.send(.reply(reply))
        }
    }

    private final class RunningDriver<D: Driver>: Sendable {
        let driver = Mutex<D?>(nil)
        let watch = Mutex<DeviceWatch?>(nil)
        let heartbeat = Mutex<Heartbeat?>(nil)
    }

    /// Reads the channel until the supervisor is gone; with it goes the process, as nobody is left to drive a device for. If another supervisor
    /// follows, what streams goes on until that one ends this process, or until the time that was given for it is over.
    private static func listen(on channel: Channel, inbox: Inbox) -> Never {
        var link: SupervisorLink?
        var kept: [KeptRing] = []
        while let (message, numbers) = receive(channel) {
            // Of what no case takes, and what no case expects, nothing stays open.
            var descriptors = OwnedDescriptors(numbers)
            switch message {
            case .start(let start):
                guard link == nil, descriptors.count > 0 else { break }
                let started = SupervisorLink(channel: channel, generation: start.generation)
                link = started
                inbox.starts.continuation.yield((start, started, descriptors.handOver(), kept))
                kept = []
            case .ring(let grant): link?.granted(grant, descriptors: descriptors)
            case .moveRing(let grant): link?.move(grant, descriptors: descriptors)
            case .transfers(let grant): link?.granted(grant, descriptors: descriptors)
            case .kept(let grant):
                guard link == nil, kept.count < KeptRings.most, let memory = descriptors.takeFirst() else { break }
                kept.append(KeptRing(grant: grant, memory: memory.handOver()))
            case .conversation(let grant): link?.granted(grant, descriptors: descriptors)
            case .ringRefused(let request, let reason): link?.refused(request: request, reason: reason)
            case .call(let call):
                if call.method == StreamCall.open || call.method == StreamCall.close {
                    inbox.streamCalls.continuation.yield(call)
                } else {
                    inbox.calls.continuation.yield(.call(call, descriptors.handOver()))
                }
            case .cancel(let id): inbox.calls.continuation.yield(.cancel(id))
            case .memory(let grant): link?.granted(grant, descriptors: descriptors)
            case .object(let order): link?.take(order, descriptors: descriptors)
            case .survive(let seconds): link?.survive(seconds: seconds)
            case .stop: inbox.stops.continuation.yield()
            }
        }
        if link?.survivesSupervisor == true { while true { pause() } }
        _exit(0)
    }

    /// The next message; `nil` at the end of the channel, and for anything that is not a message of
    /// ours.
    private static func receive(_ channel: Channel) -> (MessageToDriver, [Int32])? {
        do {
            return try channel.receive(MessageToDriver.self)
        } catch {
            complain("Something unreadable came from the supervisor: \(error)")
            return nil
        }
    }

    private static func tell(_ channel: Channel, _ message: MessageFromDriver) {
        do { try channel.send(message) } catch { _exit(0) }
    }

    private static func answer(_ call: DriverCall, _ work: () async throws -> JSONValue) async -> DriverReply {
        do {
            return DriverReply(id: call.id, result: try await work())
        } catch {
            return DriverReply(id: call.id, error: CallError(describing: error))
        }
    }
}

/// Writes a line to standard error, of which the supervisor keeps the last ones.
func complain(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}
