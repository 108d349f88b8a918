// The control side of a stream: a Watch connection, kept up by a thread of its own, that brings rings and news.

import CLinux
import FileDescriptors
import FrameRing
import Glibc
import Synchronization
import Wire

/// A ring that the daemon has handed over.
struct OpenedRing: Sendable {
    /// The memory itself: a ring that is handed over again goes on, whatever it is called.
    struct Memory: Hashable, Sendable {
        let device: UInt
        let inode: UInt

        init(_ descriptor: Int32) {
            var status = stat()
            let isKnown = fstat(descriptor, &status) == 0
            device = isKnown ? UInt(status.st_dev) : 0
            inode = isKnown ? UInt(status.st_ino) : 0
        }
    }

    let memory: Memory
    let reader: FrameRingReader
    let description: StreamDescription?
    /// The ring is new: it is read from its first frame, not from now on.
    let startsAtFirst: Bool
    /// The stream will go on in it, or does already, where the ring before it ends.
    let follows: Bool
}

/// When a ring is read that has come after the one that is being read.
enum RingTurn: Sendable {
    /// It is the one that is read, or the one before it, told of once more.
    case same
    case now
    /// Once the one before is read to its end.
    case soon
    /// When the one before says that it ends, if it ever does.
    case unknown
}

/// One reply of `Watch`, understood.
struct WatchReply: Sendable {
    var event: String
    var device: String
    var generation: UInt32
    var restarts: Int
    var message: String
    var ring: OpenedRing?
    var description: StreamDescription?
    var continues: Bool

    /// Takes over the descriptors: they are closed when this returns or throws.
    init(_ reply: VarlinkReply, _ numbers: [Int32]) throws(ClientError) {
        let descriptors = OwnedDescriptors(numbers)
        let parameters = try DaemonConnection.result(reply)
        guard let event = parameters["event"]?.stringValue else { throw UserDriverClient.malformed("Watch") }
        self.event = event
        device = parameters["device"]?.stringValue ?? ""
        generation = UInt32(clamping: parameters["generation"]?.intValue ?? 0)
        restarts = max(0, parameters["restarts"]?.intValue ?? 0)
        message = parameters["message"]?.stringValue ?? ""
        description = StreamDescription(parameters["description"])
        continues = reply.continues
        guard let facts = parameters["ring"], facts != .null else { return }
        guard let capacity = facts["capacity"]?.intValue, let slotCount = facts["slotCount"]?.intValue,
            let geometry = FrameRingGeometry(capacity: capacity, slotCount: slotCount), let descriptor = descriptors.first
        else { throw UserDriverClient.malformed("Watch") }
        do throws(FrameRingError) {
            let page = facts["report"]?.boolValue == true ? descriptors.numbers.dropFirst().first : nil
            let reader = try FrameRingReader(descriptor: descriptor, geometry: geometry, report: page)
            ring = OpenedRing(
                memory: .init(descriptor), reader: reader, description: description, startsAtFirst: event == "changed",
                follows: parameters["follows"]?.boolValue ?? false)
        } catch {
            throw ClientError(.malformedReply, "The daemon's frame ring can't be used: \(error).")
        }
    }
}

/// Keeps a stream's Watch connection: opens it, passes on what it brings, opens it again after the daemon was away.
final class StreamWatch: Sendable {
    enum News: Sendable {
        case ring(OpenedRing)
        case event(FrameEvent)
    }
    enum End: Sendable {
        case reason(String?)
        case failure(ClientError)
    }
    private struct State {
        var news: [News] = []
        var isStopped = false
        var end: End?

        /// See `take(turn:)`.
        mutating func firstDue(_ turn: (OpenedRing) -> RingTurn) -> Int? {
            var first: Int?
            for index in news.indices {
                guard case .ring(let ring) = news[index] else { return index }
                let its = turn(ring)
                if its == .same { return index }
                guard let following = first, case .ring(let earlier) = news[following] else {
                    if its == .now { return index }
                    guard ring.follows else { return nil }
                    first = index
                    continue
                }
                guard !ring.follows else { continue }
                // The stream was opened in another way. What was to follow is waited for where it has begun, and was given up otherwise.
                guard turn(earlier) == .unknown else { return nil }
                news = news[..<index].filter { if case .event = $0 { true } else { false } } + news[index...]
                return firstDue(turn)
            }
            return nil
        }
    }

    let alarm = ReaderAlarm()
    let opening: WatchReply
    private let directory: RuntimeDirectory
    private let request: JSONValue
    private let options: FrameStream.Options
    private let cancellation: Cancellation
    private let first: DaemonConnection
    private let state = Mutex(State())
    /// Beyond this many unread news the oldest events go, and then rings: nobody reads, and memory stays bounded.
    private static let maximumNews = 1000
    /// A connection that lasted so long was one.
    private static let settled: UInt64 = 1_000_000_000
    /// The same for rings that follow one another: the daemon has emptied the oldest of so many long ago.
    private static let maximumRings = 8

    /// Opens the stream, on the caller's thread.
    init(
        directory: RuntimeDirectory, selector: String?, request: CameraRequest, options: FrameStream.Options, cancellation: Cancellation
    ) throws(ClientError) {
        self.directory = directory
        self.options = options
        self.cancellation = cancellation
        do {
            self.request = try JSONValue(encoding: request)
        } catch {
            throw ClientError(.invalidParameter, "The request can't be written as JSON: \(error).")
        }
        let deadline = clinux_monotonic_ns() + options.openTimeout.clientNanoseconds
        let comeback = Comeback(directory, cancellation: cancellation)
        var retriable: Set<ClientError.Code> = [.driverRestarted, .connectionLost]
        if options.waitsForDevice { retriable.formUnion([.noSuchDevice, .deviceUnavailable, .daemonNotRunning]) }
        var awaited: ClientError?
        while true {
            do throws(ClientError) {
                (first, opening) = try Self.open(directory, selector, self.request, deadline, cancellation)
                return
            } catch {
                if error.code == .timedOut {
                    throw awaited ?? Self.reasonOfTimeout(directory, selector, options.openTimeout, cancellation) ?? error
                }
                guard retriable.contains(error.code), !cancellation.isCancelled else { throw error }
                // The last try would come too late to be answered: what was waited for is the reason.
                awaited = ClientError(
                    error.code, "Waited \(Self.seconds(options.openTimeout)) s. \(error.message)", systemError: error.systemError)
                guard clinux_monotonic_ns() < deadline else { throw options.waitsForDevice ? awaited ?? error : error }
                comeback.wait(until: deadline)
                if cancellation.isCancelled { throw ClientError(.stopped, "The stream was cancelled before it was open.") }
                guard clinux_monotonic_ns() < deadline else { throw options.waitsForDevice ? awaited ?? error : error }
            }
        }
    }

    /// Why a stream did not open in time, where the daemon answers and it is the device that did not. `nil`: the daemon does not answer either.
    private static func reasonOfTimeout(
        _ directory: RuntimeDirectory, _ selector: String?, _ limit: Duration, _ cancellation: Cancellation
    ) -> ClientError? {
        do throws(ClientError) {
            let connection = try DaemonConnection(directory)
            cancellation.enter(connection)
            let parameters: JSONValue = selector.map { ["device": .string($0)] } ?? [:]
            let reply = try connection.call(
                "\(ManagementInterface.name).Status", parameters, deadline: clinux_monotonic_ns() + 2_000_000_000)
            let devices = try UserDriverClient.decode([DeviceStatus].self, reply["devices"], of: "Status")
            let fitting = devices.filter { $0.state != .absent && !$0.driver.isEmpty }
            guard let device = fitting.first ?? devices.first else { return nil }
            let reason = device.reason.map { " (\($0.hasSuffix(".") ? String($0.dropLast()) : $0))" } ?? ""
            return ClientError(
                .timedOut,
                "\(device.id) did not start streaming within \(seconds(limit)) s: it is \(device.state.rawValue)\(reason). "
                    + "Give it more time with --timeout, or see `userdriver stack \(device.id)`.")
        } catch {
            return nil
        }
    }

    /// `"2"`, `"0.5"`.
    private static func seconds(_ duration: Duration) -> String {
        let milliseconds = duration.clientNanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)" : "\(Double(milliseconds) / 1000)"
    }

    private static func open(
        _ directory: RuntimeDirectory, _ selector: String?, _ request: JSONValue, _ deadline: UInt64, _ cancellation: Cancellation
    ) throws(ClientError) -> (DaemonConnection, WatchReply) {
        let connection = try DaemonConnection(directory)
        cancellation.enter(connection)
        var parameters: [String: JSONValue] = ["request": request, "reports": true]
        if let selector { parameters["device"] = .string(selector) }
        try connection.send("\(ManagementInterface.name).Watch", .object(parameters), more: true)
        let (reply, descriptors) = try connection.receive(deadline: deadline)
        return (connection, try WatchReply(reply, descriptors))
    }

    /// Begins to pass on news. Once only.
    func start() throws(ClientError) {
        try ClientThread.start("userdriver-watch") { self.run() }
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        cancellation.cancel()
        alarm.ring()
    }

    var isStopped: Bool { cancellation.isCancelled || state.withLock { $0.isStopped } }
    /// Set once nothing more will come.
    var end: End? { state.withLock { $0.end } }

    /// The oldest news whose turn it is, which is not kept any more. Until a ring's turn has come everything after it waits; but behind one that follows
    /// the ring that is read only other rings wait, as its turn may be long in coming.
    func take(turn: (OpenedRing) -> RingTurn) -> News? {
        state.withLock { state in state.firstDue(turn).map { state.news.remove(at: $0) } }
    }

    func hasNews(turn: (OpenedRing) -> RingTurn) -> Bool { state.withLock { $0.firstDue(turn) != nil } }

    /// All at once: a ring and what is said of it belong together.
    private func post(_ news: [News]) {
        guard !news.isEmpty else { return }
        state.withLock { state in
            state.news += news
            if state.news.count > Self.maximumNews {
                state.news.remove(at: state.news.firstIndex { if case .event = $0 { true } else { false } } ?? 0)
            }
            let rings = state.news.indices.filter { if case .ring(let ring) = state.news[$0] { ring.follows } else { false } }
            if rings.count > Self.maximumRings { state.news.remove(at: rings[0]) }
        }
        alarm.ring()
    }

    private func finish(_ end: End) {
        state.withLock { $0.end = end }
        alarm.ring()
    }

    private func run() {
        post(first: opening)
        var connection = first
        var opened = clinux_monotonic_ns()
        let comeback = Comeback(directory, cancellation: cancellation)
        while !isStopped {
            do throws(ClientError) {
                let (reply, descriptors) = try connection.receive()
                let news = try WatchReply(reply, descriptors)
                pass(news)
                guard news.continues, news.event != "ended" else { return finish(.reason(news.message)) }
            } catch {
                if isStopped { break }
                guard [.connectionLost, .malformedReply].contains(error.code) else { return finish(.failure(error)) }
                connection.stop()
                post([.event(.supervisorLost(error.message))])
                // A daemon that answers and hangs up, again and again, is asked less and less often.
                if clinux_monotonic_ns() &- opened < Self.settled { comeback.rest() } else { comeback.restart() }
                guard let next = reconnect() else { break }
                connection = next
                opened = clinux_monotonic_ns()
            }
        }
        state.withLock { if $0.end == nil { $0.end = .reason(nil) } }
        alarm.ring()
    }

    /// What the first reply says besides its ring, which the stream has taken itself.
    private func post(first reply: WatchReply) {
        var rest = reply
        rest.ring = nil
        pass(rest)
        if !reply.continues { finish(.reason(reply.message)) }
    }

    private func pass(_ reply: WatchReply, and last: FrameEvent? = nil) {
        var news: [News] = []
        if let ring = reply.ring { news.append(.ring(ring)) }
        switch reply.event {
        case "opened", "ended": break
        case "restarted":
            news.append(
                .event(.driverRestarted(generation: reply.generation, restarts: reply.restarts, message: reply.message)))
        case "absent": news.append(.event(.deviceAbsent(reply.message)))
        case "back": news.append(.event(.deviceBack(generation: reply.generation, message: reply.message)))
        case "failed": news.append(.event(.driverFailed(reply.message)))
        case "changed": if reply.ring?.follows != true { news.append(.event(.changed(reply.description))) }
        default: if !reply.message.isEmpty { news.append(.event(.notice(reply.message))) }
        }
        if let last { news.append(.event(last)) }
        post(news)
    }

    /// Looks for the daemon until it is back and has the device, or nobody wants the stream any more.
    private func reconnect() -> DaemonConnection? {
        let comeback = Comeback(directory, cancellation: cancellation)
        let giveUp = options.giveUpAfter.map { clinux_monotonic_ns() + $0.clientNanoseconds }
        while !isStopped {
            do throws(ClientError) {
                let deadline = min(giveUp ?? .max, clinux_monotonic_ns() + options.openTimeout.clientNanoseconds)
                let (connection, reply) = try Self.open(directory, opening.device, request, deadline, cancellation)
                guard reply.continues else {
                    finish(.reason(reply.message))
                    return nil
                }
                pass(reply, and: .supervisorBack(generation: reply.generation))
                return connection
            } catch {
                if isStopped { return nil }
                if [.notSupported, .invalidParameter].contains(error.code) {
                    finish(.failure(error))
                    return nil
                }
                if let giveUp, clinux_monotonic_ns() >= giveUp {
                    finish(.failure(error))
                    return nil
                }
                comeback.wait(until: giveUp ?? .max)
            }
        }
        return nil
    }
}
