// Frames as films and pictures.

import Pictures
import Testing
import UserDriverClient

@testable import UserDriverCLI

@Suite struct FilmTests {
    @Test func theHeaderTellsSizeRateAndColour() {
        #expect(Film.header(StreamDescription(format: "yuy2", width: 4, height: 2, fps: 30)) == "YUV4MPEG2 W4 H2 F30:1 Ip A1:1 C422\n")
        #expect(
            Film.header(StreamDescription(format: "nv12", width: 4, height: 2, fps: 29.97))
                == "YUV4MPEG2 W4 H2 F29970:1000 Ip A1:1 C420mpeg2\n")
    }

    @Test func packedFramesBecomePlanes() throws {
        // Two rows of two pairs: Y0 U Y1 V.
        let frame: [UInt8] = [1, 101, 2, 201, 3, 102, 4, 202, 5, 103, 6, 203, 7, 104, 8, 204]
        let planes = try Film.planes(frame, of: StreamDescription(format: "yuy2", width: 4, height: 2, fps: 30))
        #expect(planes == [1, 2, 3, 4, 5, 6, 7, 8, 101, 102, 103, 104, 201, 202, 203, 204])
        // U Y0 V Y1.
        let swapped: [UInt8] = [101, 1, 201, 2]
        #expect(try Film.planes(swapped, of: StreamDescription(format: "uyvy", width: 2, height: 1, fps: 30)) == [1, 2, 101, 201])
    }

    @Test func interleavedChromaIsTakenApart() throws {
        let frame: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 101, 201, 102, 202]
        #expect(
            try Film.planes(frame, of: StreamDescription(format: "nv12", width: 4, height: 2, fps: 30)) == [
                1, 2, 3, 4, 5, 6, 7, 8, 101, 102, 201, 202,
            ])
    }

    @Test func framesThatAreTooShortOrUnknownAreRefused() {
        #expect(throws: CommandFailure.self) {
            try Film.planes([1, 2, 3], of: StreamDescription(format: "yuy2", width: 4, height: 2, fps: 30))
        }
        #expect(throws: CommandFailure.self) {
            try Film.planes([1, 2, 3], of: StreamDescription(format: "h264", width: 4, height: 2, fps: 30))
        }
    }

    @Test func aJPEGFrameIsKeptAsItIs() throws {
        let jpeg = try Picture(width: 16, height: 16, red: 200, green: 10, blue: 10).encoded(as: .jpeg(quality: 90))
        let stream = StreamDescription(format: "mjpeg", width: 16, height: 16, fps: 30)
        #expect(try PictureOfFrame.encode(jpeg, stream: stream, as: .jpeg(quality: 90)) == jpeg)
        let png = try PictureOfFrame.encode(jpeg, stream: stream, as: .png)
        #expect(try Picture(png: png).width == 16)
        #expect(throws: PictureError.self) { try PictureOfFrame.encode([0xff, 0xd8, 0, 0], stream: stream, as: .jpeg(quality: 90)) }
    }
}
