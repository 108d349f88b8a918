// A machine that draws too slowly: what it has got is sent, and nobody waits for it.

import Pictures
import Testing
import Threads
import USB

@testable import EmulatedWebcam

/// A camera whose drawing thread waits for the test before it makes its first frame.
private final class SlowCamera: VideoStreamOwner {
    private let gate = Monitored(false)
    private let readyFrames = Monitored(0)
    let parameters = StreamNegotiation(formats: EmulatedWebcamOptions().formats, variant: .isochronous).probed
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 3072, alignment: 64)

    deinit { memory.deallocate() }

    func faults(from first: UInt64, through last: UInt64) -> Set<FaultPlan.Kind>? { [] }
    func hasFault(_ kind: FaultPlan.Kind) -> Bool { false }
    func settings(at time: UInt64) -> PictureSettings { PictureSettings() }

    func pipeline(drawsAhead: Bool = true) -> FramePipeline {
        let (gate, readyFrames, parameters) = (gate, readyFrames, parameters)
        return FramePipeline(
            capacity: FrameMaker.capacity(parameters.mode), drawsAhead: drawsAhead, log: nil, ready: { readyFrames.change { $0 += 1 } },
            prepare: { () throws(PictureError) in
                let _: Void? = gate.wait { $0 ? () : nil }
                return try FrameMaker(parameters, options: EmulatedWebcamOptions(), file: nil, scenes: SceneStore(), stream: 1)
            })
    }

    func letDraw() { gate.change { $0 = true } }

    func waitForFrame(_ count: Int = 1) {
        let _: Void? = readyFrames.wait { $0 >= count ? () : nil }
    }

    /// The packets of one frame's time.
    func packets(_ stream: IsochronousStream, of number: UInt64) -> [Packet] {
        stride(from: stream.begin(of: number), to: stream.begin(of: number + 1), by: 125_000).compactMap { time in
            let count = stream.packet(time: time, into: memory)
            return count > 0 ? Packet(time: time, bytes: Array(memory[..<count])) : nil
        }
    }
}

@Suite struct LateFrameTests {
    @Test func aFrameThatWasDrawnTooLateIsSentInTheNextOnesTime() {
        let camera = SlowCamera()
        let stream = IsochronousStream(
            camera.parameters, packetSize: 3072, first: 0, wallClockOffset: 0, pipeline: camera.pipeline(), owner: camera)
        // As if a frame had been sent: what is left out before the first does not count.
        stream.tally.sent = 1
        for number in UInt64(0)..<5 { #expect(camera.packets(stream, of: number).allSatisfy { $0.data.isEmpty }) }
        camera.letDraw()
        camera.waitForFrame()
        let packets = camera.packets(stream, of: 5)
        #expect(packets.filter(\.isEnd).count == 1)
        #expect(TestBus.frames(packets.filter { !$0.data.isEmpty }).compactMap { wholeNumber($0) }.count == 1)
        #expect("\(stream.tally)" == "1 frames were sent, 5 not drawn in time, 0 not fetched in time")
        stream.stop()
    }

    /// Who looks for the cause of a missing frame learns from the camera whose it was.
    @Test func framesThatNobodyFetchedAreNotThoseThatWereDrawnTooLate() {
        let camera = SlowCamera()
        camera.letDraw()
        let stream = IsochronousStream(
            camera.parameters, packetSize: 3072, first: 0, wallClockOffset: 0, pipeline: camera.pipeline(drawsAhead: false), owner: camera)
        for number in UInt64(0)..<3 { #expect(!camera.packets(stream, of: number).isEmpty) }
        // Three and four are not looked at, and of five the beginning is.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 3072, alignment: 64)
        defer { memory.deallocate() }
        #expect(stream.packet(time: stream.begin(of: 5), into: memory) > 0)
        for number in UInt64(6)..<8 { #expect(!camera.packets(stream, of: number).isEmpty) }
        _ = stream.packet(time: stream.begin(of: 8), into: memory)
        #expect("\(stream.tally)" == "5 frames were sent, 0 not drawn in time, 3 not fetched in time")
        stream.stop()
    }

    /// What the first long frame takes is the machine's hiccup; what the second does too is its pace.
    @Test(.timeLimit(.minutes(10))) func aMachineThatStandsStillOnceDoesNotDrawSlowly() {
        let camera = SlowCamera()
        let pipeline = camera.pipeline()
        func draw(_ number: UInt64) {
            pipeline.request(FrameJob(number: number, captureTime: 0, seconds: 0, settings: PictureSettings()))
        }
        draw(1)
        camera.letDraw()
        camera.waitForFrame(1)
        #expect(pipeline.drawingTime == 0)
        draw(2)
        camera.waitForFrame(2)
        #expect(pipeline.drawingTime > 0)
        pipeline.stop()
    }

    @Test(.timeLimit(.minutes(10))) func aBusThatWaitsGetsPastAFrameThatCannotBeMade() {
        let failures = Monitored(0)
        let camera = SlowCamera()
        let parameters = camera.parameters
        let pipeline = FramePipeline(
            capacity: 64, drawsAhead: true, log: nil, ready: { failures.change { $0 += 1 } },
            prepare: { () throws(PictureError) in
                _ = try Picture(png: [])
                return try FrameMaker(parameters, options: EmulatedWebcamOptions(), file: nil, scenes: SceneStore(), stream: 1)
            })
        let stream = IsochronousStream(
            parameters, packetSize: 3072, first: 0, wallClockOffset: 0, pipeline: pipeline, owner: camera)
        for number in UInt64(0)..<3 {
            let end = stream.begin(of: number + 1)
            var seen = 0
            while !stream.isReady(until: end) { seen = failures.wait { [seen] in $0 > seen ? $0 : nil } ?? seen }
            #expect(camera.packets(stream, of: number).allSatisfy { $0.data.isEmpty })
        }
        stream.stop()
    }

    @Test func stoppingDoesNotWaitForAFrameInTheMaking() {
        let camera = SlowCamera()
        let stream = IsochronousStream(
            camera.parameters, packetSize: 3072, first: 0, wallClockOffset: 0, pipeline: camera.pipeline(), owner: camera)
        // It would never return: the drawing thread waits for what comes after.
        stream.stop()
        camera.letDraw()
    }
}
