// A daemon for tests: speaks Varlink on a real socket, hands out real rings, and can be made to fail in every way.

import CLinux
import FileDescriptors
public import FrameRing
import Glibc
import Synchronization
import Threads
public import UserDriverClient
public import Wire

/// Answers calls as it is told to, on threads of its own.
public final class FakeDaemon: Sendable {
    public typealias Answer = @Sendable (VarlinkCall, VarlinkSocket) throws -> Void

    private struct State {
        var listener: Int32 = -1
        var connections: [VarlinkSocket] = []
        var watchers: [VarlinkSocket] = []
        public var calls: [VarlinkCall] = []
        /// Calls that `answer` is through with.
        public var answered = 0
    }
    public let directory: RuntimeDirectory
    private let state = Mutex(State())
    private let answer: Answer
    /// Rung for each call that has come.
    private let arrivals = ReaderAlarm()

    public init(answer: @escaping Answer) throws {
        let template = Array("/tmp/userdriver-test-XXXXXX".utf8CString)
        let path = template.withUnsafeBufferPointer { template in
            var copy = Array(template)
            _ = mkdtemp(&copy)
            return String(decoding: copy.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        directory = RuntimeDirectory(path)
        self.answer = answer
        try start()
    }

    deinit {
        stop()
        rmdir(directory.path)
    }

    public var client: UserDriverClient { UserDriverClient(runtimeDirectory: directory) }
    public var calls: [VarlinkCall] { state.withLock { $0.calls } }

    public func start() throws {
        let listener = try VarlinkSocket.listen(path: directory.socketPath).handOver()
        clinux_set_nonblocking(listener, 0)
        state.withLock { $0.listener = listener }
        TestThread.start { [weak self] in
            while true {
                let accepted = accept(listener, nil, nil)
                guard accepted >= 0, let self else { break }
                let socket = VarlinkSocket(OwnedDescriptor(accepted))
                self.state.withLock { $0.connections.append(socket) }
                TestThread.start { [weak self] in
                    while let call = try? socket.receive(VarlinkCall.self)?.message {
                        guard let self else { return }
                        self.state.withLock { $0.calls.append(call) }
                        try? self.answer(call, socket)
                        self.state.withLock { $0.answered += 1 }
                        self.arrivals.ring()
                    }
                }
            }
            close(listener)
        }
    }

    /// Dies: every connection ends, the socket goes.
    public func stop() {
        let (listener, connections) = state.withLock { state in
            defer { state = State(calls: state.calls, answered: state.answered) }
            return (state.listener, state.connections)
        }
        unlink(directory.socketPath)
        if listener >= 0 { shutdown(listener, Int32(SHUT_RDWR)) }
        for connection in connections { connection.shutdown() }
    }

    /// Remembers who watches; what is told goes to them.
    public func watched(by socket: VarlinkSocket) { state.withLock { $0.watchers.append(socket) } }

    public func tell(_ reply: VarlinkReply, descriptors: [Int32] = []) throws {
        for watcher in state.withLock({ $0.watchers }) { try watcher.send(reply, descriptors: descriptors) }
    }

    /// Waits until `count` calls have come and been answered: who watches is known then.
    public func waitForCalls(_ count: Int) {
        while true {
            let seen = arrivals.count
            if state.withLock({ $0.answered }) >= count { return }
            arrivals.wait(seen: seen, until: nil)
        }
    }
}

/// A camera's stream as a daemon offers it.
public final class FakeStream: Sendable {
    public let memory: FrameRingMemory
    /// The page of the one who watches, where it gets one.
    public let page: ReportMemory?
    private let writer: Mutex<FrameRingWriter>

    /// - Parameter reports: whoever watches (no more than one) tells how far it is.
    public init(slotCount: Int = 4, capacity: Int = 4096, generation: UInt32 = 1, reports: Bool = false) throws {
        let memory = try FrameRingMemory(geometry: FrameRingGeometry(capacity: capacity, slotCount: slotCount)!)
        self.memory = memory
        page = reports ? try ReportMemory() : nil
        let pages = page.map { [$0.descriptor] } ?? []
        writer = Mutex(
            try FrameRingWriter(descriptor: memory.descriptor, geometry: memory.geometry, generation: generation, reports: pages))
    }

    /// Another incarnation of the driver takes up the ring.
    public func restart(generation: UInt32) throws {
        let (descriptor, geometry) = (memory.descriptor, memory.geometry)
        try writer.withLock { $0 = try FrameRingWriter(descriptor: descriptor, geometry: geometry, generation: generation) }
    }

    public func publish(_ bytes: [UInt8], flags: FrameFlags = []) {
        writer.withLock { writer in
            writer.begin().bytes.copyBytes(from: bytes)
            writer.publish(length: bytes.count, captured: clinux_monotonic_ns(), flags: flags)
        }
    }

    public func skip(_ count: UInt64, _ cause: GapCause) { writer.withLock { $0.skip(count: count, cause: cause) } }

    /// What comes from now on lies in another stream's ring, and that one's writer goes on.
    public func move(to other: FakeStream) throws {
        try writer.withLock { writer in
            try writer.offer(descriptor: other.memory.descriptor, geometry: other.memory.geometry) {}
            writer.move()
        }
        try other.restart(generation: 1)
    }

    public static let description: JSONValue = ["format": "yuy2", "width": 32, "height": 8, "fps": 30.0]

    public func reply(_ event: String, generation: Int64 = 1, restarts: Int64 = 0, description: JSONValue = FakeStream.description)
        -> VarlinkReply
    {
        VarlinkReply(
            [
                "event": .string(event), "device": "1d6b:0104:A", "generation": .int(generation), "restarts": .int(restarts),
                "ring": [
                    "capacity": .int(Int64(memory.geometry.capacity)), "slotCount": .int(Int64(memory.geometry.slotCount)),
                    "report": .bool(page != nil),
                ],
                "description": description,
            ], continues: true)
    }

    public func send(_ event: String, to socket: VarlinkSocket, generation: Int64 = 1, restarts: Int64 = 0) throws {
        let descriptor = try memory.readOnlyDescriptor()
        let descriptors = [descriptor.number] + (page.map { [$0.descriptor] } ?? [])
        try socket.send(reply(event, generation: generation, restarts: restarts), descriptors: descriptors)
    }

    public func tell(
        _ event: String, by daemon: FakeDaemon, description: JSONValue = FakeStream.description, follows: Bool = false
    ) throws {
        let descriptor = try memory.readOnlyDescriptor()
        var reply = reply(event, description: description)
        if follows, case .object(var members) = reply.parameters {
            members["follows"] = true
            reply.parameters = .object(members)
        }
        try daemon.tell(reply, descriptors: [descriptor.number])
    }
}

/// News without a ring.
public func news(_ event: String, generation: Int64 = 1, restarts: Int64 = 0, message: String = "", continues: Bool = true) -> VarlinkReply
{
    VarlinkReply(
        [
            "event": .string(event), "device": "1d6b:0104:A", "generation": .int(generation), "restarts": .int(restarts),
            "message": .string(message),
        ], continues: continues)
}

public enum TestThread {
    public static func start(_ work: @escaping @Sendable () -> Void) {
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "test", work)
        } catch {
            preconditionFailure("a test needs its threads: \(error)")
        }
    }
}
