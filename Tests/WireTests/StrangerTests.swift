// Ends of a socket that mean harm: descriptors whose closing waits, and queues that are never read.

import CLinux
import FileDescriptors
import Glibc
import Testing

@testable import Wire

/// A TCP socket whose last closing waits for an hour: SO_LINGER, and data that the other end, which comes with it, does not fetch.
private func makeLingering() -> (socket: Int32, peer: Int32) {
    var port: UInt16 = 0
    let listener = clinux_tcp_listen("127.0.0.1", 0, &port)
    let socket = clinux_tcp_connect("127.0.0.1", port, 10_000)
    let peer = accept(listener, nil, nil)
    close(listener)
    var patience = linger(l_onoff: 1, l_linger: 3600)
    #expect(setsockopt(socket, SOL_SOCKET, SO_LINGER, &patience, socklen_t(MemoryLayout<linger>.size)) == 0)
    clinux_set_nonblocking(socket, 1)
    let bytes = [UInt8](repeating: 1, count: 1 << 16)
    while write(socket, bytes, bytes.count) > 0 {}
    return (socket, peer)
}

@Suite(.timeLimit(.minutes(5))) struct StrangerTests {
    private static let heartbeat = Array(#"{"heartbeat":{"_0":{"streams":{}}}}"#.utf8)

    @Test func closingThatWaitsIsInterrupted() {
        let closer = DescriptorCloser(maximumThreads: 1)
        let (lingering, peer) = makeLingering()
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        closer.close([lingering, ends[1]])
        // There is one thread: it comes to the pipe once it is through with the socket.
        var byte: UInt8 = 0
        #expect(read(ends[0], &byte, 1) == 0)
        for descriptor in [ends[0], peer] { close(descriptor) }
    }

    @Test func descriptorsOfStrangersAreNeitherReceivedNorWaitedFor() throws {
        let pair = try Channel.pair()
        let theirs = pair.theirs.number
        let (lingering, peer) = makeLingering()
        var server: Channel? = Channel(pair.ours, otherEnd: .stranger)
        for descriptors: [Int32] in [[], [lingering]] {
            let sent = clinux_send(theirs, Self.heartbeat, UInt(Self.heartbeat.count), descriptors, Int32(descriptors.count), 0)
            #expect(sent == Self.heartbeat.count)
        }
        // The one in the queue is the last reference now.
        close(lingering)
        guard case .message(.heartbeat, _)? = try server?.receiveNow(MessageFromDriver.self) else {
            Issue.record("a message without descriptors is not received")
            return
        }
        for _ in 0..<2 {
            let error = #expect(throws: WireError.self) { _ = try server?.receiveNow(MessageFromDriver.self) }
            #expect(error?.code == .descriptors)
        }
        // Closed elsewhere, with what is in it; the other end sees it in its time.
        server = nil
        var entry = pollfd(fd: theirs, events: Int16(POLLIN), revents: 0)
        while entry.revents & Int16(POLLHUP) == 0 { poll(&entry, 1, -1) }
        close(peer)
    }

    @Test func aStreamIsReadUpToTheFirstDescriptor() throws {
        var pair: [Int32] = [-1, -1]
        #expect(clinux_stream_pair(&pair) == 0)
        let server = VarlinkSocket(OwnedDescriptor(pair[0]), otherEnd: .stranger)
        let call = Array(#"{"method":"a.B"}"#.utf8) + [0]
        #expect(clinux_send(pair[1], call, UInt(call.count), nil, 0, 0) == call.count)
        guard case .message(let first, _) = try server.receiveNow(VarlinkCall.self) else {
            Issue.record("a message without descriptors is not received")
            return
        }
        #expect(first.method == "a.B")
        #expect(clinux_send(pair[1], call, UInt(call.count), nil, 0, 0) == call.count)
        #expect(clinux_send(pair[1], call, UInt(call.count), [pair[1]], 1, 0) == call.count)
        #expect(throws: WireError.self) { while case .message = try server.receiveNow(VarlinkCall.self) {} }
        close(pair[1])
    }

    @Test func whoReadsNothingHoldsSoManyDescriptors() throws {
        let pair = try Channel.pair()
        let (server, driver) = (Channel(pair.ours, otherEnd: .stranger), Channel(pair.theirs))
        let memory = clinux_memfd("test", 0)
        defer { close(memory) }
        let grant = MessageToDriver.ring(RingGrant(request: 1, name: "n", capacity: 4096, slotCount: 2))
        var sent = 0
        let error = #expect(throws: WireError.self) {
            while sent < 10_000 {
                try server.enqueue(grant, descriptors: [memory])
                sent += 1
            }
        }
        #expect(error?.code == .backlog)
        #expect(sent == 64)
        func read() throws {
            for descriptor in try driver.receive(MessageToDriver.self)?.descriptors ?? [] { close(descriptor) }
        }
        // One that reads is given as many as it likes.
        for _ in 0..<sent {
            try read()
            try server.flush()
        }
        for _ in 0..<200 {
            try server.enqueue(grant, descriptors: [memory])
            try read()
        }
    }

    @Test func whoReadsNothingHoldsSoManyMessages() throws {
        let pair = try Channel.pair()
        let server = Channel(pair.ours, otherEnd: .stranger)
        var sent = 0
        let error = #expect(throws: WireError.self) {
            while sent < 100_000 {
                try server.enqueue(MessageToDriver.stop)
                sent += 1
            }
        }
        #expect(error?.code == .backlog)
        #expect(sent < 5000)
    }

    @Test func aTurnIsCountedInBytes() {
        var budget = TurnBudget(bytes: 100, time: 1_000_000_000_000)
        for (count, isSpent) in [(0, false), (60, false), (60, true)] {
            budget.spend(count)
            #expect(budget.isSpent == isSpent)
        }
        #expect(budget.spent == 120)
        // Out of time before it began: one message all the same.
        var late = TurnBudget(bytes: 100, time: 0)
        #expect(!late.isSpent)
        late.spend(1)
        #expect(late.isSpent)
    }
}
