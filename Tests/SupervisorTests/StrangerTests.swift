// What a stranger may cost the supervisor and everybody else: turns, quotas, and shortages that are nobody's fault.

import CLinux
import FileDescriptors
import Glibc
import Testing

@testable import Supervisor
@testable import Wire

@Suite(.timeLimit(.minutes(10))) struct TurnTests {
    /// What one client sends takes as many turns as it takes; another one's call is answered in between.
    @Test @SupervisorActor func aClientThatFloodsLeavesOthersTheirTurn() async throws {
        var order: [String] = []
        var all: CheckedContinuation<Void, Never>?
        func connect() -> (connection: ClientConnection, theirs: Int32) {
            var pair: [Int32] = [-1, -1]
            #expect(clinux_stream_pair(&pair) == 0)
            let connection = ClientConnection(
                socket: VarlinkSocket(OwnedDescriptor(pair[0]), otherEnd: .stranger), peer: .init(processID: 1, userID: 1, groupID: 1),
                idleLimit: .seconds(300)
            ) { call in
                order.append(call.call.method)
                call.succeed()
                if order.count == 4 { all?.resume() }
            } closed: { _, _ in
            }
            return (connection, pair[1])
        }
        let (first, second) = (connect(), connect())
        defer { for client in [first, second] { client.connection.close() } }
        let large = Array(#"{"method":"a.Large","parameters":{"x":""#.utf8) + [UInt8](repeating: 0x78, count: 40_000) + Array("\"}}\0".utf8)
        for _ in 0..<3 { #expect(clinux_send(first.theirs, large, UInt(large.count), nil, 0, Int32(MSG_DONTWAIT)) == large.count) }
        let small = Array("{\"method\":\"a.Small\"}\0".utf8)
        #expect(clinux_send(second.theirs, small, UInt(small.count), nil, 0, 0) == small.count)
        await withCheckedContinuation { all = $0 }
        // One turn of the first client's is one of its messages.
        #expect((order.firstIndex(of: "a.Small") ?? 9) <= 1, "\(order)")
        for client in [first, second] { close(client.theirs) }
    }

    /// An alarm that is set for now from an alarm comes after what else has happened.
    @Test @SupervisorActor func alarmsLeaveOthersTheirTurn() async {
        let event = clinux_eventfd()
        eventfd_write(event, 1)
        var alarms = 0
        var isReady = false
        var done: CheckedContinuation<Void, Never>?
        let token = Reactor.shared.watch(event, for: .readable) { _ in
            var value: UInt64 = 0
            eventfd_read(event, &value)
            isReady = true
        }
        func next() {
            alarms += 1
            if isReady || alarms == 1000 { done?.resume() } else { _ = Reactor.shared.schedule(at: 0) { next() } }
        }
        _ = Reactor.shared.schedule(at: 0) { next() }
        await withCheckedContinuation { done = $0 }
        Reactor.shared.forget(token, event)
        #expect(alarms < 1000)
        close(event)
    }

    @Test func whoPassesDescriptorsIsToldAndCutOff() async throws {
        let bench = try await Bench()
        let client = try bench.client()
        let text = Array("{\"method\":\"org.varlink.service.GetInfo\"}\0".utf8)
        #expect(clinux_send(client.socket.descriptor, text, UInt(text.count), [0], 1, 0) == text.count)
        #expect(try await client.receive()?.reply.error == "io.userdriver.NotSupported")
        #expect(try await client.receive() == nil)
        #expect(try await bench.status().isEmpty)
        await bench.stop()
    }
}

/// A client that reads as slowly as a test likes.
@SupervisorActor private final class FakeLine {
    var backlog = 0
    var told: [String] = []
}

@Suite(.timeLimit(.minutes(10))) struct QuotaTests {
    @Test func fillsAsTimeGoesBy() {
        let second: UInt64 = 1_000_000_000
        var quota = Quota(Quota.Rates(bytes: 1000, count: 10), now: 0)
        func admitted(_ count: Int, of size: Int, at now: UInt64) -> Int { (0..<count).count { _ in quota.admits(size, now: now) } }
        // Four seconds' worth at once.
        #expect(admitted(5, of: 1000, at: 0) == 4)
        #expect(quota.omitted == 1)
        #expect(admitted(2, of: 500, at: second / 2) == 1)
        #expect(quota.takeOmitted() == 2)
        #expect(quota.omitted == 0)
        // By count.
        quota = Quota(Quota.Rates(bytes: 1000, count: 10), now: 0)
        #expect(admitted(100, of: 1, at: 0) == 40)
        // A long time fills no more than it holds, and a clock that goes back nothing.
        #expect(admitted(100, of: 1, at: 1000 * second) == 40)
        #expect(admitted(100, of: 1, at: 0) == 0)
        quota.spend(1 << 30)
        let isExhausted = [1000, 1001].map { quota.isExhausted(now: $0 * second) }
        #expect(isExhausted == [true, false])
    }

    /// A driver that says as much as it can costs an honest listener nothing but those events.
    @Test func whatADriverSaysTooMuchIsLeftOutAndSaid() async throws {
        let bench = try await Bench {
            $0.limits.events = Quota.Rates(bytes: 32 << 10, count: 10)
            $0.limits.logLines = Quota.Rates(bytes: 4096, count: 5)
            $0.limits.backlogBytes = 300_000
        }
        let listener = try await bench.listener()
        try await bench.drive()
        let client = try bench.client()
        _ = try await client.call("io.userdriver.camera.GetControl", ["name": "talk"])
        var events = 0
        while true {
            let event = try await listener.event("device", "notice")
            if event["event"] == "notice" {
                #expect(event["message"]?.stringValue?.contains("log lines were dropped") == true, "\(event)")
                break
            }
            events += 1
        }
        #expect(1...50 ~= events)
        // It is one listener still, and hears what comes next.
        bench.source.unplug("1-1")
        _ = try await listener.event("absent")
        await bench.stop()
    }

    @Test @SupervisorActor func whoDoesNotKeepUpIsToldHowMuchWasLeftOut() throws {
        let line = FakeLine()
        let call = ClientCall(VarlinkCall(method: "io.userdriver.Events", more: true), peer: .init(processID: 1, userID: 1, groupID: 1)) {
            reply, _ in
            line.told.append(reply.parameters["message"]?.stringValue ?? "")
        } backlog: {
            line.backlog
        }
        let listener = EventListener(call, tolerance: 1000)
        let saying = DeviceSaying(name: "temperature", parameters: ["celsius": 21])
        listener.tell(device: "d", event: "device", message: "one", saying: saying)
        line.backlog = 1001
        for _ in 0..<3 { listener.tell(device: "d", event: "device", message: "two", saying: saying) }
        listener.tell(device: "d", event: "died", message: "three", saying: nil)
        line.backlog = 0
        listener.tell(device: "d", event: "device", message: "four", saying: saying)
        #expect(line.told == ["one", "three", "3 events were dropped: they were not read in time.", "four"])
        listener.stop()
    }

    /// Its channel is not read faster than its quota, however fast it talks, and it is not a death
    /// of anybody else's.
    @Test func aDriverThatTalksWithoutEndIsThrottled() async throws {
        let bench = try await Bench("chatty") { $0.limits.driverTalk = Quota.Rates(bytes: 16 << 10, count: 100) }
        try await bench.drive()
        let client = try bench.client()
        for _ in 0..<20 { _ = try await client.call("org.varlink.service.GetInfo") }
        await bench.stop()
    }
}

@Suite(.timeLimit(.minutes(10))) struct ShortageTests {
    /// However long it lasts: no death, no open circuit; and the reason is named.
    @Test func aShortageIsWaitedOutAndNamed() async throws {
        let bench = try await Bench()
        bench.source.failOpening(with: .shortage("open(/dev/bus/usb/001/002): Too many open files"))
        let listener = try await bench.listener()
        bench.source.plug(makeDevice())
        _ = try await listener.event("backoff")
        // More often than deaths would open the circuit.
        while bench.source.opens < 12 { try await Task.sleep(for: .milliseconds(1)) }
        let waiting = try #require(try await bench.status().first)
        #expect([.backoff, .starting].contains(waiting.state))
        bench.source.failOpening(with: nil)
        _ = try await listener.event("running")
        let status = try #require(try await bench.status().first)
        #expect(status.state == .running && status.restarts == 0 && status.reason == nil)
        #expect(try await bench.client().call("io.userdriver.Crashes")["crashes"] == [])
        await bench.stop()
    }

    @Test func shortagesAreToldApart() {
        #expect(Shortage(SystemFailure(operation: "memfd_create", errno: EMFILE))?.text.contains("memfd_create") == true)
        #expect(Shortage(SystemFailure(operation: "open", errno: EACCES)) == nil)
        #expect(Shortage(WireError(.shortage, operation: "sendmsg")) != nil)
        #expect(Shortage(WireError(.backlog, operation: "sendmsg")) == nil)
        for number in [EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, ETOOMANYREFS] { #expect(Shortage.isOne(number)) }
    }

    @Test func fewDescriptorsMeanFewClients() {
        var limits = SupervisorConfiguration.Limits()
        limits.fit(descriptors: 1 << 20)
        #expect(limits.clients == 256 && limits.clientsPerUser == 64)
        limits.fit(descriptors: 1024)
        #expect(limits.clients * (1 + limits.unreadDescriptors) < 1024 && limits.clientsPerUser < limits.clients)
    }
}
