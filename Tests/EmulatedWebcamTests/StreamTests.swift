// The stream goes by the clock: start-up, pace, frames that nobody fetched.

import Pictures
import Testing
import USB
import USBEmulation
import UVC

@testable import EmulatedWebcam

@Suite struct IsochronousStreamTests {
    @Test func theFirstPayloadComesAfterTheStartup() throws {
        let bus = try TestBus()
        let start = bus.now
        bus.start()
        let packets = bus.packets(for: 400 * TestBus.millisecond)
        #expect(packets.first?.time == start + 300 * TestBus.millisecond)
    }

    @Test(arguments: [(UInt8(1), "mjpeg"), (2, "yuy2"), (3, "nv12")])
    func everyFrameFetchedInTimeIsWhole(format: UInt8, name: String) throws {
        let bus = try TestBus { $0.startupMilliseconds = 0 }
        bus.start(format: format)
        let frames = TestBus.frames(bus.packets(for: 10 * 33_333_300))
        #expect(frames.map { wholeNumber($0, name) } == (0..<10).map { UInt64($0) })
    }

    @Test func aFrameIsSpreadOverNineTenthsOfItsTime() throws {
        let bus = try TestBus { $0.startupMilliseconds = 0 }
        bus.start(format: 2, frame: 3)
        let start = bus.now
        let packets = bus.packets(for: 33_333_300)
        let total = packets.reduce(0) { $0 + $1.data.count }
        #expect(total == 640 * 480 * 2)
        let middle = packets.filter { $0.time < start + 15_000_000 }.reduce(0) { $0 + $1.data.count }
        #expect(Double(middle) / Double(total) > 0.48 && Double(middle) / Double(total) < 0.53)
        #expect(packets.filter(\.isEnd).count == 1)
        #expect(packets.last?.isEnd == true)
        // No payload beyond what was negotiated, header included.
        #expect(packets.allSatisfy { $0.bytes.count <= 2688 })
    }

    @Test func whatNobodyFetchedIsLostByNumber() throws {
        let bus = try TestBus { $0.startupMilliseconds = 0 }
        bus.start()
        var packets = bus.packets(for: 2 * 33_333_300)
        bus.now += 5 * 33_333_300
        packets += bus.packets(for: 2 * 33_333_300)
        #expect(TestBus.frames(packets).compactMap { wholeNumber($0) } == [0, 1, 7, 8])
    }

    @Test func slotsMissedInAFrameLeaveAHoleInIt() throws {
        let bus = try TestBus { $0.startupMilliseconds = 0 }
        bus.start(format: 2)
        var packets = bus.packets(for: 10 * TestBus.millisecond)
        bus.now += 4 * TestBus.millisecond
        packets += bus.packets(for: 52 * TestBus.millisecond)
        let frames = TestBus.frames(packets)
        #expect(frames.count == 2)
        guard case .torn(let found) = stamp(frames[0], "yuy2") else { Issue.record("the hole is not noticed"); return }
        #expect(found?.number == 0)
        #expect(wholeNumber(frames[1], "yuy2") == 1)
    }

    @Test func frameIdentifiersTogglePerFrame() throws {
        let bus = try TestBus { $0.startupMilliseconds = 0 }
        bus.start()
        let ends = bus.packets(for: 6 * 33_333_300).filter(\.isEnd)
        #expect(ends.map(\.frameID) == [false, true, false, true, false, true])
    }

    @Test func timeStampsFollowTheClock() throws {
        let bus = try TestBus { $0.startupMilliseconds = 0 }
        bus.start()
        let packets = bus.packets(for: 2 * 33_333_300)
        let presentation = packets.map { TestBus.number($0.bytes, 2, 4) }
        #expect(Set(presentation).count == 2)
        #expect((presentation.last ?? 0) - presentation[0] == 33_333_300 * 48 / 1000)
        for packet in packets { #expect(TestBus.number(packet.bytes, 10, 2) == Int(packet.time / 1_000_000 & 0x7ff)) }
    }

    @Test func alternateSettingZeroEndsTheStreamAndTheNextOneStartsAnew() throws {
        let bus = try TestBus()
        bus.start()
        #expect(!bus.packets(for: 400 * TestBus.millisecond).isEmpty)
        bus.webcam.alternateSettingChanged(interface: 1, to: 0, now: bus.now)
        #expect(bus.packets(for: 100 * TestBus.millisecond).isEmpty)
        bus.start()
        #expect(bus.packets(for: 299 * TestBus.millisecond).isEmpty)
        let frames = TestBus.frames(bus.packets(for: 40 * TestBus.millisecond))
        guard case .whole(let found) = stamp(frames[0]) else { Issue.record("no whole frame"); return }
        #expect((found.number, found.stream) == (0, 2))
    }

    @Test func stampsCanBeLeftOut() throws {
        let bus = try TestBus {
            $0.startupMilliseconds = 0
            $0.stampsFrames = false
        }
        bus.start()
        let frames = TestBus.frames(bus.packets(for: 33_333_300))
        #expect(stamp(frames[0]) == .none)
        #expect(try Picture(jpeg: frames[0]).width == 160)
    }

    @Test func framesWithoutHuffmanTablesAreWholeAndCanBeCompleted() throws {
        let bus = try TestBus {
            $0.startupMilliseconds = 0
            $0.omitsHuffmanTables = true
        }
        bus.start()
        let frame = TestBus.frames(bus.packets(for: 33_333_300))[0]
        #expect(wholeNumber(frame) == 0)
        let whole = try TestBus { $0.startupMilliseconds = 0 }
        whole.start()
        let complete = TestBus.frames(whole.packets(for: 33_333_300))[0]
        #expect(frame.count == complete.count - 432)  // libjpeg writes four segments where the standard's tables fit into one
        #expect(MotionJPEG.withHuffmanTables(complete) == complete)
        #expect(try Picture(jpeg: MotionJPEG.withHuffmanTables(frame)) == Picture(jpeg: complete))
    }

    /// A stream whose frames a thread draws, without a start-up.
    private func drawingAhead() throws -> TestBus {
        let bus = try TestBus {
            $0.startupMilliseconds = 0
            $0.drawsAhead = true
        }
        bus.start()
        return bus
    }

    @Test(.timeLimit(.minutes(10))) func aThreadDrawsEachFrameBeforeItIsDue() throws {
        let bus = try drawingAhead()
        let start = bus.now
        var packets: [Packet] = []
        for number in 0..<5 {
            bus.signal.wait(for: "ready endpoint 2 IN", times: number + 1)
            packets += bus.packets(for: start + UInt64(number + 1) * 33_333_300 - bus.now)
        }
        #expect(TestBus.frames(packets).prefix(5).map { wholeNumber($0) } == [0, 1, 2, 3, 4])
    }

    /// Time is virtual here, so drawing is always late: a bus that waits gets each frame all the same, and one that asks for two at once, too.
    @Test(.timeLimit(.minutes(10)), arguments: [UInt64(1), 2]) func noFrameIsLostOnABusThatWaits(step: UInt64) throws {
        let bus = try drawingAhead()
        let start = bus.now
        var packets: [Packet] = []
        var drawn = 0
        for number in stride(from: step, through: 8, by: Int(step)) {
            let end = start + number * 33_333_300
            if !bus.webcam.isReady(endpoint: WebcamInterface.streamingEndpoint, until: end) {
                drawn = Int(number)
                bus.signal.wait(for: "ready endpoint 2 IN", times: drawn)
            }
            #expect(bus.webcam.isReady(endpoint: WebcamInterface.streamingEndpoint, until: end))
            packets += bus.packets(for: end - bus.now)
        }
        #expect(drawn > 0)
        #expect(TestBus.frames(packets).map { wholeNumber($0) } == (0..<8).map { $0 })
    }
}

@Suite struct BulkStreamTests {
    func bus(_ change: (inout EmulatedWebcamOptions) -> Void = { _ in }) throws -> TestBus {
        try TestBus {
            $0.variant = .bulk
            $0.startupMilliseconds = 0
            change(&$0)
        }
    }

    @Test(arguments: [(UInt8(1), "mjpeg"), (2, "yuy2"), (3, "nv12")], [16384, 512, 1 << 20])
    func payloadsAreWholeFramesWhateverTheTransfersSize(kind: (UInt8, String), size: Int) throws {
        let bus = try bus()
        bus.start(format: kind.0)
        var frames: [[UInt8]] = []
        var current: [UInt8] = []
        for transfer in bus.transfers(for: 5 * 33_333_300, size: size) {
            current += transfer.bytes
            if transfer.bytes.count < size {
                #expect(current[0] == 12)
                #expect(current[1] & 0x02 != 0)
                frames.append(Array(current.dropFirst(12)))
                current = []
            }
        }
        #expect(frames.map { wholeNumber($0, kind.1) } == (0..<5).map { UInt64($0) })
    }

    @Test func aFramesBytesComeWhileItIsCaptured() throws {
        let bus = try bus()
        bus.start(format: 2, frame: 3)
        let start = bus.now
        let transfers = bus.transfers(for: 33_333_300, size: 16384)
        let half = transfers.filter { $0.time < start + 15_000_000 }.reduce(0) { $0 + $1.bytes.count }
        #expect(abs(Double(half) / Double(640 * 480 * 2) - 0.5) < 0.05)
    }

    @Test func aLateHostFindsTheTwoNewestFrames() throws {
        let bus = try bus()
        bus.start()
        var frames = bus.transfers(for: 2 * 33_333_300, size: 1 << 20).map { Array($0.bytes.dropFirst(12)) }
        bus.now += 5 * 33_333_300 + 1_000_000
        frames += bus.transfers(for: 2 * 33_333_300, size: 1 << 20).map { Array($0.bytes.dropFirst(12)) }
        #expect(frames.compactMap { wholeNumber($0) } == [0, 1, 6, 7, 8])
    }

    @Test func aStreamThatStartsAnewLeavesNothingOfTheOneBefore() throws {
        let bus = try bus()
        let flush = "flush \(WebcamInterface.streamingEndpoint)"
        bus.start()
        #expect(!bus.signal.all.contains(flush))
        bus.start()
        #expect(bus.signal.all.contains(flush))
    }

    @Test func clearingTheHaltAfterReadingStops() throws {
        let bus = try bus()
        bus.start()
        bus.webcam.haltCleared(endpoint: WebcamInterface.streamingEndpoint, now: bus.now)
        #expect(!bus.transfers(for: 40_000_000, size: 1 << 20).isEmpty)
        bus.webcam.haltCleared(endpoint: WebcamInterface.streamingEndpoint, now: bus.now)
        #expect(bus.transfers(for: 40_000_000, size: 1 << 20).isEmpty)
        bus.start()
        #expect(!bus.transfers(for: 40_000_000, size: 1 << 20).isEmpty)
    }
}
