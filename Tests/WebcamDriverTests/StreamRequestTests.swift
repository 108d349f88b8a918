// What is asked of a camera's stream and what it turns out to be.

import Testing
import Wire

@testable import WebcamDriver

@Suite struct StreamRequestTests {
    @Test func whatIsLeftOpenIsMetByAnything() {
        let stream = StreamRequest(format: "mjpeg", width: 640, height: 480, fps: 29.97)
        #expect(StreamRequest().allows(stream))
        #expect(StreamRequest(format: "mjpeg", fps: 30).allows(stream))
        #expect(!StreamRequest(format: "h264").allows(stream))
        #expect(!StreamRequest(width: 1280, height: 720).allows(stream))
        #expect(!StreamRequest(fps: 15).allows(stream))
    }

    @Test func membersOfTheWrongTypeAreTheCallersMistake() {
        #expect(throws: CallError.self) { try StreamRequest(["width": "wide"]) }
    }
}
