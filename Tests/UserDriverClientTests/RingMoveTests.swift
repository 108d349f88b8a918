// A stream that goes on in another ring: the client goes over by itself, and nobody notices.

import FakeDaemon
import FrameRing
import Testing
import UserDriverClient
import Wire

@Suite(.serialized, .timeLimit(.minutes(2))) struct RingMoveTests {
    /// `"1"` for frame 1, the event's name otherwise.
    private func words(_ stream: FrameStream) throws -> String {
        switch try FrameStreamTests.event(stream) {
        case .frame(let frame):
            #expect(frame.copy() == [UInt8(frame.sequence)] && frame.epoch == 0)
            return "\(frame.sequence)"
        case .gap(let first, let count, let cause): return "gap \(first) \(count) \(cause)"
        case .changed: return "changed"
        case .notice(let message): return message
        default: return "another"
        }
    }

    /// The notice comes after everything that was told before it.
    private func settle(_ daemon: FakeDaemon, _ stream: FrameStream) throws {
        try daemon.tell(news("notice", message: "mark"))
        #expect(try words(stream) == "mark")
    }

    @Test func framesGoOnWithoutAGapOrANotice() throws {
        let rings = try (0..<4).map { _ in try FakeStream() }
        let daemon = try FrameStreamTests.daemon(rings[0])
        let stream = try daemon.client.camera().openStream()
        var number: UInt8 = 0
        func publish(_ ring: FakeStream) {
            number += 1
            ring.publish([number])
        }
        for index in 1..<rings.count {
            publish(rings[index - 1])
            #expect(try words(stream) == "\(number)")
            try rings[index].tell("changed", by: daemon, follows: true)
            // Other news do not wait until it is used.
            try settle(daemon, stream)
            publish(rings[index - 1])
            publish(rings[index - 1])
            try rings[index - 1].move(to: rings[index])
            publish(rings[index])
            for seen in number - 2...number { #expect(try words(stream) == "\(seen)") }
        }
        #expect(number == 12)
    }

    @Test func aRingThatComesLateIsWaitedFor() throws {
        let (first, second) = (try FakeStream(), try FakeStream())
        let daemon = try FrameStreamTests.daemon(first)
        let stream = try daemon.client.camera().openStream()
        first.publish([1])
        try first.move(to: second)
        second.publish([2])
        #expect(try words(stream) == "1")
        guard case .timedOut = try stream.next(timeout: .milliseconds(5)) else { throw FrameStreamTests.Unexpected() }
        // Whatever it is called: that it follows can be seen from the rings.
        try second.tell("opened", by: daemon)
        #expect(try words(stream) == "2")
    }

    @Test func aRingThatIsToldOfAgainKeepsTheOneThatFollows() throws {
        let (first, second) = (try FakeStream(), try FakeStream())
        let daemon = try FrameStreamTests.daemon(first)
        let stream = try daemon.client.camera().openStream()
        try second.tell("changed", by: daemon, follows: true)
        try first.tell("changed", by: daemon)
        #expect(try words(stream) == "changed")
        first.publish([1])
        try first.move(to: second)
        second.publish([2])
        #expect(try words(stream) == "1")
        #expect(try words(stream) == "2")
        // The daemon did not know yet that the stream had gone on.
        try first.tell("changed", by: daemon)
        #expect(try words(stream) == "changed")
        second.publish([3])
        #expect(try words(stream) == "3")
    }

    @Test func aRingThatNeverFollowedIsForgotten() throws {
        let (first, second, third) = (try FakeStream(), try FakeStream(), try FakeStream(capacity: 8192))
        let daemon = try FrameStreamTests.daemon(first)
        let stream = try daemon.client.camera().openStream()
        try second.tell("changed", by: daemon, follows: true)
        try settle(daemon, stream)
        first.publish([1])
        third.publish([1])
        try third.tell("changed", by: daemon)
        #expect(try words(stream) == "1")
        #expect(try words(stream) == "changed")
        guard case .frame(let frame) = try FrameStreamTests.event(stream) else { throw FrameStreamTests.Unexpected() }
        #expect(frame.epoch == 1 && frame.sequence == 1)
    }

    /// Who does not read holds a few rings at most, and is told what it has missed.
    @Test func ringsThatNobodyReadsAreLetGo() throws {
        let rings = try (0..<20).map { _ in try FakeStream() }
        let daemon = try FrameStreamTests.daemon(rings[0])
        let stream = try daemon.client.camera().openStream()
        rings[0].publish([1])
        #expect(try words(stream) == "1")
        for index in 1..<rings.count {
            try rings[index].tell("changed", by: daemon, follows: true)
            try rings[index - 1].move(to: rings[index])
            rings[index].publish([UInt8(index + 1)])
        }
        try daemon.tell(news("notice", message: "mark"))
        var seen: [String] = []
        while seen.last != "20" { seen.append(try words(stream)) }
        seen.removeAll { $0 == "mark" }
        #expect(seen.suffix(7) == ["14", "15", "16", "17", "18", "19", "20"])
        // As many as the watching thread had to let go of before they were read, and no more.
        #expect(seen.allSatisfy { Int($0) != nil || $0.hasPrefix("gap") }, "\(seen)")
    }

    /// Somebody comes to a ring in which the stream is not yet.
    @Test func whoComesFirstSeesWhatComesFromThenOn() throws {
        let (first, second) = (try FakeStream(), try FakeStream())
        for number: UInt8 in 1...3 { first.publish([number]) }
        let daemon = try FrameStreamTests.daemon(second)
        let stream = try daemon.client.camera().openStream()
        first.publish([4])
        try first.move(to: second)
        guard case .timedOut = try stream.next(timeout: .milliseconds(5)) else { throw FrameStreamTests.Unexpected() }
        second.publish([5])
        #expect(try words(stream) == "5")
    }
}
