// What a camera's nodes offer.

import Testing
import UserDriverClient

@testable import PipeWireNodes

struct NodePlanTests {
    @Test(arguments: [(30.0, 30, 1), (29.97, 30000, 1001), (7.5, 15, 2), (59.94, 60000, 1001), (24.9994, 25, 1), (12.346, 6173, 500)])
    func `a rate is the fraction that is meant`(rate: Double, numerator: Int, denominator: Int) throws {
        let made = try #require(NodeRate(rate))
        #expect(Int(made.numerator) == numerator && Int(made.denominator) == denominator)
        #expect(made.framesPerSecond == rate)
    }

    @Test(arguments: [0, -1, .nan, .infinity, 1e9]) func `what is no rate is left out`(rate: Double) {
        #expect(NodeRate(rate) == nil)
    }

    @Test func `uncompressed formats are offered as they are, and what only MJPEG has decoded`() {
        let plan = NodePlan([
            CameraFormat(format: "mjpeg", width: 1280, height: 720, fps: [30, 60]),
            CameraFormat(format: "mjpeg", width: 640, height: 480, fps: [30]),
            CameraFormat(format: "yuy2", width: 640, height: 480, fps: [30, 15]),
            CameraFormat(format: "yuy2", width: 1280, height: 720, fps: [10]),
            CameraFormat(format: "h264", width: 1920, height: 1080, fps: [30]),
        ])
        #expect(plan.raw.map { "\($0.format) \($0.width) \($0.isDecoded)" } == ["yuy2 640 false", "i420 1280 true", "yuy2 1280 false"])
        #expect(plan.jpeg.map(\.width) == [1280, 640])
        #expect(plan.h264.map { "\($0.format) \($0.width)x\($0.height)" } == ["h264 1920x1080"])
        // Who asks for no rate gets thirty.
        #expect(plan.raw[1].rates.map(\.numerator) == [30, 60])
        #expect(plan.raw[1].request(plan.raw[1].rates[0]) == CameraRequest(format: "mjpeg", width: 1280, height: 720, fps: 30))
        #expect(plan.raw[0].request(plan.raw[0].rates[1]) == CameraRequest(format: "yuy2", width: 640, height: 480, fps: 15))
    }

    @Test func `a camera with MJPEG only has an uncompressed node all the same`() {
        let plan = NodePlan([CameraFormat(format: "mjpeg", width: 640, height: 480, fps: [30])])
        #expect(plan.raw.map(\.format) == ["i420"] && plan.raw[0].isDecoded)
        #expect(plan.raw[0].byteCount == 460_800)
        #expect(plan.jpeg.count == 1 && plan.h264.isEmpty)
    }

    @Test func `the nearest rate is taken, and any where none is asked for`() throws {
        let plan = NodePlan([CameraFormat(format: "yuy2", width: 640, height: 480, fps: [60, 29.97, 15])])
        let offer = try #require(plan.raw.first)
        #expect(offer.rate(numerator: 30, denominator: 1)?.framesPerSecond == 29.97)
        #expect(offer.rate(numerator: 0, denominator: 1)?.framesPerSecond == 29.97)
        #expect(offer.rate(numerator: 60000, denominator: 1001)?.framesPerSecond == 60)
        #expect(offer.rate(numerator: 1, denominator: 0)?.framesPerSecond == 29.97)
    }

    @Test func `what a hostile camera says is bounded`() {
        var formats = (0..<4000).map { CameraFormat(format: "yuy2", width: 2 + $0 * 2, height: 480, fps: [30]) }
        formats += [
            CameraFormat(format: "yuy2", width: -4, height: 480, fps: [30]),
            CameraFormat(format: "yuy2", width: .max, height: .max, fps: [30]),
            CameraFormat(format: "i420", width: 642, height: 480, fps: [30]),
            CameraFormat(format: "mjpeg", width: 641, height: 481, fps: [30]),
            CameraFormat(format: "nv12", width: 640, height: 480, fps: []),
            CameraFormat(format: "nv12", width: 640, height: 482, fps: (1...900).map(Double.init)),
        ]
        let plan = NodePlan(formats)
        #expect(plan.raw.count == 128)
        #expect(plan.raw.allSatisfy { $0.byteCount <= 64 << 20 && $0.rates.count <= 32 })
        // A JPEG of any size is passed on, and decoded where its planes have whole rows.
        #expect(plan.jpeg.map(\.width) == [641])
        #expect(!plan.raw.contains { $0.isDecoded })
    }
}

struct CameraFactsTests {
    private let facts = CameraFacts(id: "1209:0001:EMU 0001/2", name: "Webcam", vendor: "1209", product: "0001", plan: NodePlan([]))

    @Test func `a node's name is made of the camera's id`() {
        #expect(facts.nodeName(of: .raw) == "userdriver.1209_0001_EMU_0001_2")
        #expect(facts.nodeName(of: .jpeg) == "userdriver.1209_0001_EMU_0001_2.mjpeg")
        #expect(facts.nodeName(of: .h264) == "userdriver.1209_0001_EMU_0001_2.h264")
    }

    @Test func `lists of cameras have one node of a camera's`() {
        func role(_ kind: NodeKind) -> String? { facts.properties(of: kind).first { $0.0 == "media.role" }?.1 }
        #expect(role(.raw) == "Camera")
        #expect(role(.jpeg) == nil && role(.h264) == nil)
    }
}
