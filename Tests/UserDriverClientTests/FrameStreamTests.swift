// Streams: frames, gaps, restarts, absence, and daemons that die and come back.

import FileDescriptors
import FakeDaemon
import FrameRing
import Glibc
import Synchronization
import Testing
import UserDriverClient
import Wire

@Suite(.serialized, .timeLimit(.minutes(2))) struct FrameStreamTests {
    /// A daemon with one stream, which it opens for whoever watches.
    static func daemon(_ stream: FakeStream) throws -> FakeDaemon {
        let box = Mutex<FakeDaemon?>(nil)
        let shared = Shared(box)
        let daemon = try FakeDaemon { call, socket in
            guard call.methodName == "Watch" else { return }
            shared.box.withLock { $0 }?.watched(by: socket)
            try stream.send("opened", to: socket)
        }
        shared.box.withLock { $0 = daemon }
        return daemon
    }

    /// Lets a daemon's answer know its daemon.
    final class Shared: Sendable {
        let box: Mutex<FakeDaemon?>
        init(_ box: consuming sending Mutex<FakeDaemon?>) { self.box = box }
    }

    static func event(_ stream: FrameStream) throws -> FrameEvent {
        guard case .event(let event) = try stream.next(timeout: .seconds(30)) else { throw Unexpected() }
        return event
    }

    static func frame(_ stream: FrameStream) throws -> Frame {
        guard case .frame(let frame) = try event(stream) else { throw Unexpected() }
        return frame
    }

    struct Unexpected: Error {}

    @Test func framesComeWithTheirFactsAndBytes() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        source.publish([9])  // before anybody watched: not part of the stream
        let stream = try daemon.client.camera("A").openStream(CameraRequest(format: "yuy2", width: 32, height: 8, fps: 30))
        #expect(stream.deviceID == "1d6b:0104:A")
        source.publish([1, 2, 3])
        let first = try Self.frame(stream)
        #expect(first.sequence == 2 && first.generation == 1 && first.byteCount == 3 && !first.isDamaged)
        #expect(first.stream == StreamDescription(format: "yuy2", width: 32, height: 8, fps: 30))
        #expect(first.copy() == [1, 2, 3])
        source.publish([4], flags: .damaged)
        #expect(try Self.frame(stream).isDamaged)
        #expect(
            daemon.calls.map(\.parameters) == [
                ["device": "A", "reports": true, "request": ["format": "yuy2", "width": 32, "height": 8, "fps": 30]]
            ])
    }

    @Test func whatIsReadAndNotInUseIsToldToTheDriver() throws {
        let source = try FakeStream(reports: true)
        let page = try #require(source.page)
        func told() -> UInt64 {
            var word: UInt64 = 0
            #expect(pread(page.descriptor, &word, 8, 0) == 8)
            return word
        }
        let daemon = try Self.daemon(source)
        source.publish([9])
        let stream = try daemon.client.camera("A").openStream(CameraRequest())
        source.publish([1])
        var held: Frame? = try Self.frame(stream)
        #expect(held?.sequence == 2)
        #expect(told() == 1)
        source.publish([2])
        #expect(try Self.frame(stream).sequence == 3)
        #expect(told() == 1, "one is in somebody's hands still")
        #expect(held?.copy() == [1])
        held = nil
        #expect(told() == 3)
        source.skip(2, .damaged)
        guard case .gap = try Self.event(stream) else {
            Issue.record("a gap")
            return
        }
        #expect(told() == 5)
    }

    @Test func theRingIsReadOnlyToClients() throws {
        let source = try FakeStream()
        let owned = try source.memory.readOnlyDescriptor()
        let descriptor = owned.number
        #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) == MAP_FAILED)
    }

    @Test func aFrameThatWasOverwrittenSaysSo() throws {
        let source = try FakeStream(slotCount: 2)
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        source.publish([1])
        let frame = try Self.frame(stream)
        #expect(frame.isWhole)
        source.publish([2])
        source.publish([3])
        source.publish([4])
        #expect(!frame.isWhole && frame.copy() == nil)
        let isWhole = frame.withBytes { _ in }
        #expect(!isWhole)
    }

    @Test func gapsAreToldByNumberWithTheirCause() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        source.publish([1])
        source.skip(10, .driverRestarted)
        source.publish([2])
        #expect(try Self.frame(stream).sequence == 1)
        guard case .gap(first: 2, count: 10, cause: .driverRestarted) = try Self.event(stream) else { throw Unexpected() }
        #expect(try Self.frame(stream).sequence == 12)
    }

    @Test func aClientThatIsTooSlowIsTold() throws {
        let source = try FakeStream(slotCount: 4)
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        for number in UInt8(1)...20 { source.publish([number]) }
        guard case .gap(first: 1, let count, cause: .tooSlow) = try Self.event(stream) else { throw Unexpected() }
        #expect(count >= 16)
        #expect(try Self.frame(stream).sequence == count + 1)
    }

    @Test func aRestartOfTheDriverIsToldAndTheRingGoesOn() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        source.publish([1])
        _ = try Self.frame(stream)
        try source.restart(generation: 2)
        try daemon.tell(news("restarted", generation: 2, restarts: 1, message: "SIGKILL"))
        guard case .driverRestarted(generation: 2, restarts: 1, message: "SIGKILL") = try Self.event(stream) else { throw Unexpected() }
        source.publish([2])
        let frame = try Self.frame(stream)
        #expect(frame.generation == 2 && frame.sequence == 2 && frame.epoch == 0)
    }

    @Test func absenceFailureAndNoticesAreTold() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        for event in ["absent", "back", "failed", "notice"] { try daemon.tell(news(event, message: "why")) }
        guard case .deviceAbsent("why") = try Self.event(stream) else { throw Unexpected() }
        guard case .deviceBack(generation: 1, message: "why") = try Self.event(stream) else { throw Unexpected() }
        guard case .driverFailed("why") = try Self.event(stream) else { throw Unexpected() }
        guard case .notice("why") = try Self.event(stream) else { throw Unexpected() }
    }

    @Test func aChangedStreamIsReadToItsEndBeforeTheNewRing() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        source.publish([1])
        source.publish([2])
        let other = try FakeStream(capacity: 8192)
        other.publish([3])
        try other.tell("changed", by: daemon, description: ["format": "nv12", "width": 64, "height": 8, "fps": 15])
        try daemon.tell(news("notice", message: "mark"))
        var seen: [String] = []
        while seen.count < 5 {
            switch try Self.event(stream) {
            case .frame(let frame): seen.append("\(frame.epoch):\(frame.sequence) \(frame.stream?.format ?? "")")
            case .changed(let description): seen.append("changed \(description?.format ?? "")")
            case .notice(let message): seen.append(message)
            default: throw Unexpected()
            }
        }
        #expect(seen.filter { $0 != "mark" } == ["0:1 yuy2", "0:2 yuy2", "changed nv12", "1:1 nv12"])
        #expect(stream.description?.format == "nv12")
    }

    @Test func aRingThatIsHandedOverAgainGoesOn() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        source.publish([1])
        #expect(try Self.frame(stream).sequence == 1)
        try source.tell("changed", by: daemon, description: ["format": "nv12", "width": 64, "height": 8, "fps": 15])
        guard case .changed = try Self.event(stream) else { throw Unexpected() }
        source.publish([2])
        let frame = try Self.frame(stream)
        #expect(frame.sequence == 2 && frame.epoch == 0 && frame.stream?.format == "nv12")
    }

    @Test func aDeviceThatIsAbsentAtFirstIsWaitedFor() throws {
        let source = try FakeStream()
        let box = Mutex<FakeDaemon?>(nil)
        let shared = Shared(box)
        let daemon = try FakeDaemon { _, socket in
            shared.box.withLock { $0 }?.watched(by: socket)
            try socket.send(news("absent", message: "Not plugged in."))
        }
        shared.box.withLock { $0 = daemon }
        let stream = try daemon.client.camera().openStream()
        guard case .deviceAbsent("Not plugged in.") = try Self.event(stream) else { throw Unexpected() }
        try daemon.tell(news("back", generation: 2))
        guard case .deviceBack(generation: 2, message: _) = try Self.event(stream) else { throw Unexpected() }
        try source.tell("opened", by: daemon)
        try daemon.tell(news("notice", message: "mark"))
        guard case .notice = try Self.event(stream) else { throw Unexpected() }
        source.publish([7])
        #expect(try Self.frame(stream).copy() == [7])
    }

    @Test func aStreamThatEndsSaysWhy() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        source.publish([1])
        try daemon.tell(news("ended", message: "over", continues: false))
        #expect(try Self.frame(stream).sequence == 1)
        guard case .ended(reason: "over") = try stream.next(timeout: .seconds(30)) else { throw Unexpected() }
    }

    @Test func whenTheDaemonDiesTheClientWaitsAndGoesOn() throws {
        let sources = [try FakeStream(), try FakeStream()]
        let watches = ReaderAlarm()
        let daemon = try FakeDaemon { _, socket in
            watches.ring()
            try sources[min(Int(watches.count), 2) - 1].send("opened", to: socket)
        }
        let stream = try daemon.client.camera().openStream()
        sources[0].publish([1])
        #expect(try Self.frame(stream).epoch == 0)
        daemon.stop()
        guard case .supervisorLost = try Self.event(stream) else { throw Unexpected() }
        try daemon.start()
        guard case .supervisorBack(generation: 1) = try Self.event(stream) else { throw Unexpected() }
        sources[1].publish([2])
        let frame = try Self.frame(stream)
        #expect(frame.epoch == 1 && frame.sequence == 1 && frame.copy() == [2])
        // It asks for the device that it had, by its id.
        #expect(daemon.calls.map { $0.parameters["device"] } == [nil, "1d6b:0104:A"])
    }

    @Test func aFolderThatGoesAndComesBackIsNoObstacle() throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        let stream = try daemon.client.camera().openStream()
        daemon.stop()
        guard case .supervisorLost = try Self.event(stream) else { throw Unexpected() }
        #expect(rmdir(daemon.directory.path) == 0)
        #expect(mkdir(daemon.directory.path, 0o700) == 0)
        try daemon.start()
        guard case .supervisorBack = try Self.event(stream) else { throw Unexpected() }
    }

    @Test func aDaemonThatStaysAwayEndsTheStreamWhereThatIsWanted() throws {
        let daemon = try Self.daemon(FakeStream())
        let stream = try daemon.client.camera().openStream(options: .init(giveUpAfter: .milliseconds(30)))
        daemon.stop()
        guard case .supervisorLost = try Self.event(stream) else { throw Unexpected() }
        let error = try #require(throws: ClientError.self) { try stream.next(timeout: .seconds(30)) }
        #expect(error.code == .daemonNotRunning)
    }

    @Test func aDeviceThatIsNotThereIsAnErrorUnlessItIsWaitedFor() throws {
        let source = try FakeStream()
        let attempts = ReaderAlarm()
        let daemon = try FakeDaemon { _, socket in
            attempts.ring()
            if attempts.count < 3 {
                try socket.send(VarlinkReply(error: "io.userdriver.NoSuchDevice", parameters: ["message": "None."]))
            } else {
                try source.send("opened", to: socket)
            }
        }
        let error = try #require(throws: ClientError.self) { try daemon.client.camera().openStream() }
        #expect(error.code == .noSuchDevice)
        _ = try daemon.client.camera().openStream(options: .init(openTimeout: .seconds(30), waitsForDevice: true))
        #expect(attempts.count == 3)
    }

    @Test func aBusyCameraIsAnErrorAtOnce() throws {
        let daemon = try FakeDaemon { _, socket in
            try socket.send(VarlinkReply(error: "io.userdriver.Busy", parameters: ["message": "In use."]))
        }
        let error = try #require(throws: ClientError.self) { try daemon.client.camera().openStream() }
        #expect(error.code == .busy)
        #expect(daemon.calls.count == 1)
    }

    @Test(arguments: [0, 1, 2, 3]) func ringsThatCanNotBeAreRefused(_ kind: Int) throws {
        let source = try FakeStream()
        let daemon = try FakeDaemon { _, socket in
            let owned = try source.memory.readOnlyDescriptor()
            let descriptor = owned.number
            var reply = source.reply("opened")
            guard case .object(var members) = reply.parameters else { return }
            switch kind {
            case 0: members["ring"] = ["capacity": 1_000_000_000_000, "slotCount": 4]
            case 1: members["ring"] = ["capacity": 4_000_000, "slotCount": 4]  // larger than the memory
            case 2: members["ring"] = ["capacity": -1, "slotCount": 0]
            default: break
            }
            reply.parameters = .object(members)
            try socket.send(reply, descriptors: kind == 3 ? [] : [descriptor])
        }
        let error = try #require(throws: ClientError.self) { try daemon.client.camera().openStream() }
        #expect(error.code == .malformedReply)
    }

    @Test func stopEndsAWaitFromAnotherThread() throws {
        let daemon = try Self.daemon(FakeStream())
        let stream = try daemon.client.camera().openStream()
        TestThread.start { stream.stop() }
        guard case .ended(reason: nil) = try stream.next(timeout: .seconds(30)) else { throw Unexpected() }
    }

    @Test func stoppingClosesTheConnection() throws {
        let ended = ReaderAlarm()
        let source = try FakeStream()
        let daemon = try FakeDaemon { _, socket in
            try source.send("opened", to: socket)
            let gone: VarlinkCall? = (try? socket.receive(VarlinkCall.self))?.message
            if gone == nil { ended.ring() }
        }
        let stream = try daemon.client.camera().openStream()
        stream.stop()
        while ended.count == 0 { ended.wait(seen: 0, until: nil) }
    }

    @Test func aWaitEndsInTime() throws {
        let daemon = try Self.daemon(FakeStream())
        let stream = try daemon.client.camera().openStream()
        guard case .timedOut = try stream.next(timeout: .milliseconds(10)) else { throw Unexpected() }
        guard case .timedOut = try stream.next(timeout: .zero) else { throw Unexpected() }
    }

    @Test func framesComeAsAnAsynchronousSequence() async throws {
        let source = try FakeStream()
        let daemon = try Self.daemon(source)
        TestThread.start {
            daemon.waitForCalls(1)
            try? daemon.tell(news("notice", message: "open"))
        }
        var bytes: [[UInt8]] = []
        for try await event in daemon.client.camera().frames() {
            if case .notice = event { source.publish([1]) }
            guard case .frame(let frame) = event else { continue }
            bytes.append(frame.copy() ?? [])
            if bytes.count == 3 { break }
            source.publish([UInt8(bytes.count + 1)])
        }
        #expect(bytes == [[1], [2], [3]])
    }

    @Test func aCancelledTaskEndsTheSequence() async throws {
        let daemon = try Self.daemon(FakeStream())
        let client = daemon.client
        let task = Task {
            var count = 0
            for try await _ in client.camera().frames() { count += 1 }
            return count
        }
        daemon.waitForCalls(1)
        task.cancel()
        #expect(try await task.value == 0)
    }

    @Test func theSequenceThrowsWhatOpeningThrows() async throws {
        let client = UserDriverClient(runtimeDirectory: RuntimeDirectory("/nonexistent"))
        let error = await #expect(throws: ClientError.self) { for try await _ in client.camera().frames() {} }
        #expect(error?.code == .daemonNotRunning)
    }
}
