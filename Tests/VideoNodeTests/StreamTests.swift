import CLinux
import FakeDaemon
import FrameRing
import Synchronization
import Testing
import USB
import USBEmulation
import USBIPHost
import UVC
import UserDriverClient
import Wire

@testable import VideoNode

@Suite(.timeLimit(.minutes(2))) struct StreamTests {
    @Test func framesReachTheHostByteForByte() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        let stream = try await bench.commit("yuy2", 160, 120)
        #expect(stream.parameters.maxPayloadTransferSize == 160 * 120 * 2 + 12)
        let reader = try HostReader(bench, stream)
        var identifiers: [UInt8] = []
        for seed in UInt8(1)...20 {
            let frame = pattern(160 * 120 * 2, seed)
            bench.stream.publish(frame)
            let got = try #require(try reader.frame())
            #expect(got.bytes == frame)
            // End of frame, and no error.
            #expect(got.header[1] & 0x42 == 0x02)
            identifiers.append(got.header[1] & 1)
        }
        #expect(zip(identifiers, identifiers.dropFirst()).allSatisfy { $0 != $1 })
    }

    /// Also those whose last piece fills a packet or a transfer, or is the whole of it.
    @Test(arguments: [1, 500, 499 + 1, 512 - 12, 1024 - 12, 16384 - 12, 16384 - 11, 32768 - 12, 16384 * 3 - 12, 128 << 10])
    func picturesOfAnyLengthEndWhereTheyEnd(count: Int) async throws {
        let bench = try NodeBench()
        try await bench.configure()
        let stream = try await bench.commit("mjpeg", 320, 240)
        #expect(stream.parameters.maxVideoFrameSize >= 128 << 10)
        let reader = try HostReader(bench, stream)
        for seed in UInt8(1)...3 {
            let frame = pattern(count, seed)
            bench.stream.publish(frame)
            #expect(try #require(try reader.frame()).bytes == frame)
        }
    }

    @Test func framesOfAFrameBasedFormatAreUnchanged() async throws {
        let formats = [CameraFormat(format: "h264", width: 320, height: 240, fps: [30])]
        var behaviour = NodeBench.Behaviour()
        behaviour.formats = formats
        var facts = FakeCamera.facts
        facts.formats = NodeFormats(formats)
        let bench = try NodeBench(behaviour, facts: facts)
        try await bench.configure()
        let reader = try HostReader(bench, try await bench.commit("h264", 320, 240))
        for count in [1, 2048, 700, 16384 - 12, 128 << 10] {
            let frame = pattern(count, 3)
            bench.stream.publish(frame)
            #expect(try #require(try reader.frame()).bytes == frame)
        }
        let request = try #require(bench.daemon.calls.first { $0.methodName == "Watch" }?.parameters["request"])
        #expect(request["format"] == "h264" && request["width"] == 320)
    }

    @Test func damagedAndOversizeFramesAreLeftOut() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        let stream = try await bench.commit("yuy2", 64, 48)
        let reader = try HostReader(bench, stream)
        bench.stream.publish(pattern(64 * 48 * 2, 1), flags: .damaged)
        bench.stream.publish(pattern(64 * 48 * 2 - 1, 2))
        bench.stream.publish(pattern(64 * 48 * 2 + 1, 3))
        bench.stream.publish(pattern(64 * 48 * 2, 4))
        #expect(try #require(try reader.frame()).bytes == pattern(64 * 48 * 2, 4))
    }

    @Test func theCameraStreamsOnlyWhileTheHostHasIt() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        #expect(!bench.node.isStreaming)
        let reader = try HostReader(bench, try await bench.commit("yuy2", 64, 48))
        #expect(bench.node.isStreaming)
        bench.stream.publish(pattern(64 * 48 * 2, 1))
        _ = try reader.frame()
        // As uvcvideo stops: it takes its transfers back. What it says to the endpoint then is another way of saying it.
        reader.queue.cancelAll()
        await until { !bench.node.isStreaming }
        try await bench.host.clearHalt(endpoint: NodeInterface.endpoint)
        for _ in 0..<reader.submitted { _ = try reader.queue.next(timeout: .seconds(5)) }
        // And again, in another size.
        _ = try await bench.commit("yuy2", 160, 120)
        #expect(bench.node.isStreaming)
        #expect(bench.daemon.calls.filter { $0.methodName == "Watch" }.count == 2)
    }

    @Test func aCameraThatIsInUseInAnotherFormIsRefusedAtCommit() async throws {
        let bench = try NodeBench(NodeBench.Behaviour(refusesToStream: "Busy"))
        try await bench.configure()
        let parameters = StreamingParameters(formatIndex: 2, frameIndex: 1, frameInterval: 333_333).encoded(length: 34)
        try await bench.set(VideoSelector.probe, entity: 0, interface: NodeInterface.streaming, parameters)
        await #expect { try await bench.set(VideoSelector.commit, entity: 0, interface: NodeInterface.streaming, parameters) } throws: {
            ($0 as? USBError)?.code == .stall
        }
        #expect(try await bench.requestError() == RequestError.notReady)
        #expect(!bench.node.isStreaming)
        // Once nobody else has it, it streams.
        bench.behaviour.withLock { $0.refusesToStream = nil }
        let reader = try HostReader(bench, try await bench.commit("yuy2", 64, 48))
        bench.stream.publish(pattern(64 * 48 * 2, 9))
        #expect(try #require(try reader.frame()).bytes == pattern(64 * 48 * 2, 9))
    }

    @Test func aFormatThatThereIsNotIsRefusedAtCommit() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        for (format, frame) in [(0, 1), (3, 1), (255, 255), (1, 0), (2, 3)] as [(UInt8, UInt8)] {
            let parameters = StreamingParameters(formatIndex: format, frameIndex: frame, frameInterval: 0).encoded(length: 34)
            await #expect { try await bench.set(VideoSelector.commit, entity: 0, interface: NodeInterface.streaming, parameters) } throws: {
                ($0 as? USBError)?.code == .stall
            }
            #expect(try await bench.requestError() == RequestError.outOfRange)
        }
        await #expect(throws: USBError.self) {
            try await bench.set(VideoSelector.commit, entity: 0, interface: NodeInterface.streaming, [1, 2, 3])
        }
        #expect(!bench.node.isStreaming)
    }

    @Test func probeAnswersWithTheNearest() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        let wanted = StreamingParameters(formatIndex: 200, frameIndex: 200, frameInterval: 1).encoded(length: 34)
        try await bench.set(VideoSelector.probe, entity: 0, interface: NodeInterface.streaming, wanted)
        let bytes = try await bench.get(.getCur, VideoSelector.probe, entity: 0, interface: NodeInterface.streaming, length: 34)
        let got = try #require(StreamingParameters(bytes: bytes))
        #expect((got.formatIndex, got.frameIndex, got.frameInterval) == (2, 2, 333_333))
        #expect(got.maxVideoFrameSize == 160 * 120 * 2)
        // Of 26 bytes, as a host of UVC 1.0 sends them.
        try await bench.set(VideoSelector.probe, entity: 0, interface: NodeInterface.streaming, Array(wanted.prefix(26)))
    }

    /// The driver's death is nothing that a node sees; the daemon's is a pause.
    @Test func framesGoOnAfterDriverAndDaemon() async throws {
        let bench = try NodeBench()
        try await bench.configure()
        let reader = try HostReader(bench, try await bench.commit("yuy2", 64, 48))
        bench.stream.publish(pattern(64 * 48 * 2, 1))
        #expect(try #require(try reader.frame()).bytes == pattern(64 * 48 * 2, 1))
        try bench.stream.restart(generation: 2)
        bench.stream.publish(pattern(64 * 48 * 2, 2))
        #expect(try #require(try reader.frame()).bytes == pattern(64 * 48 * 2, 2))
        bench.daemon.stop()
        try bench.daemon.start()
        await until { bench.daemon.calls.filter { $0.methodName == "Watch" }.count == 2 }
        // The new ring is read from now on: frames come until one arrives.
        let isDone = ReaderAlarm()
        let writer = Task.detached {
            var seed: UInt8 = 3
            while isDone.count == 0 {
                bench.stream.publish(pattern(64 * 48 * 2, seed))
                seed &+= 1
                try? await Task.sleep(for: .milliseconds(5))
            }
        }
        #expect(try #require(try reader.frame()).bytes.count == 64 * 48 * 2)
        isDone.ring()
        await writer.value
        #expect(bench.node.isStreaming)
    }

    /// What a slow host gets is whole, and never what has been written over.
    @Test func aHostThatIsSlowGetsWholeFrames() async throws {
        let bench = try NodeBench(slots: 4)
        try await bench.configure()
        let reader = try HostReader(bench, try await bench.commit("yuy2", 160, 120), count: 0)
        try reader.submit()
        let count = 160 * 120 * 2
        for seed in UInt8(1)...200 {
            bench.stream.publish([UInt8](repeating: seed, count: count))
            guard seed % 20 == 0 else { continue }
            let frame = try #require(try reader.frame()).bytes
            #expect(frame.count == count && frame.allSatisfy { $0 == frame[0] })
        }
    }
}
