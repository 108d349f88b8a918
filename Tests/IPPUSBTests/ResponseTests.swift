// HTTP responses in pieces of any size, and what devices get wrong in them.

import IPPUSB
import Testing

@Suite struct ResponseTests {
    /// All that the bytes say, given in pieces of that size.
    private func read(_ text: String, pieces: Int = .max) throws -> (status: Int?, body: String, isOver: Bool, foreign: Int) {
        try read(Array(text.utf8), pieces: pieces)
    }

    private func read(_ bytes: [UInt8], pieces: Int) throws -> (status: Int?, body: String, isOver: Bool, foreign: Int) {
        var parser = HTTPResponseParser()
        var body: [UInt8] = []
        var start = 0
        while start < bytes.count, !parser.isOver {
            let piece = Array(bytes[start...].prefix(pieces))
            start += piece.count
            var position = 0
            while let event = try parser.next(in: piece, at: &position) {
                if case .body(let range) = event { body += piece[range] }
            }
        }
        return (parser.status, String(decoding: body, as: UTF8.self), parser.isOver, parser.foreignBytes)
    }

    private static let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;name=x\r\nHello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"

    @Test(arguments: [1, 2, 3, 7, 64, 1000]) func piecesOfAnySizeSayTheSame(size: Int) throws {
        let result = try read(Self.chunked, pieces: size)
        #expect(result.status == 200 && result.body == "Hello world" && result.isOver && result.foreign == 0)
        let counted = try read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello", pieces: size)
        #expect(counted.body == "Hello" && counted.isOver)
    }

    @Test func whatFollowsBelongsToAnother() throws {
        var parser = HTTPResponseParser()
        let bytes = Array("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200".utf8)
        var position = 0
        while let event = try parser.next(in: bytes, at: &position), event != .end {}
        #expect(parser.isOver && position == bytes.count - "HTTP/1.1 200".utf8.count)
    }

    @Test func interimResponsesArePassedOver() throws {
        let result = try read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
        #expect(result.status == 201 && result.isOver)
    }

    @Test func aCreatedJobWithoutALengthHasNoBody() throws {
        let result = try read("HTTP/1.1 201 Created\r\nLocation: /eSCL/ScanJobs/1\r\n\r\nx")
        #expect(result.status == 201 && result.isOver && result.body.isEmpty)
    }

    @Test func aPageWithoutALengthEndsWhenNothingMoreComes() throws {
        var parser = HTTPResponseParser()
        let bytes = Array("HTTP/1.1 200 OK\r\n\r\npage".utf8)
        var position = 0
        while try parser.next(in: bytes, at: &position) != nil {}
        #expect(!parser.isOver && parser.mayBeOver)
        let isFinished = parser.finish()
        #expect(isFinished && parser.isOver)
        var counted = HTTPResponseParser()
        position = 0
        let other = Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npage".utf8)
        while try counted.next(in: other, at: &position) != nil {}
        let isDone = counted.finish()
        #expect(!isDone, "half of a body that has a length is not over")
    }

    @Test func theLastEmptyLineMayBeMissing() throws {
        var parser = HTTPResponseParser()
        let bytes = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n".utf8)
        var position = 0
        while try parser.next(in: bytes, at: &position) != nil {}
        #expect(!parser.isOver && parser.mayBeOver)
        let isFinished = parser.finish()
        #expect(isFinished)
    }

    @Test func bytesOfAnOldPageAreLeftOut() throws {
        var stale = [UInt8](repeating: 0, count: 165_000)
        for place in stale.indices { stale[place] = UInt8(truncatingIfNeeded: place &* 2_654_435_761 >> 7) }
        let result = try read(stale + Array(Self.chunked.utf8), pieces: 512)
        #expect(result.body == "Hello world" && result.foreign > 160_000)
        // Its last bytes may look like the beginning.
        #expect(throws: HTTPSyntaxError.header) { try read("HTTHTTP/1.HTTP/1.1 204 x\n\n") }
        #expect(try read("HTTHTTP/1.1 204 x\n\n").isOver)
    }

    @Test func lineEndsWithoutReturnAndFoldedHeadersAreRead() throws {
        var parser = HTTPResponseParser()
        let bytes = Array("HTTP/1.1 200\nX-A: one\n  two\nContent-Type: Image/JPEG; a=b\nContent-Length: 1\n\nx".utf8)
        var position = 0
        guard case .head(let head) = try parser.next(in: bytes, at: &position) else {
            Issue.record("no head")
            return
        }
        #expect(head["x-a"] == "one two" && head.mediaType == "image/jpeg")
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", HTTPSyntaxError.contentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", .contentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", .contentLength),
        ("HTTP/1.1 20 OK\r\n\r\n", .header), ("HTTP/1.1 200 OK\r\n: x\r\n\r\n", .header),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", .chunk),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\n", .chunk),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n", .chunk),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", .chunk),
    ]) func whatIsWrongIsSaid(text: String, error: HTTPSyntaxError) {
        #expect(throws: error) { try read(text, pieces: 3) }
    }

    @Test func headsAreBounded() {
        #expect(throws: HTTPSyntaxError.headTooLarge) {
            try read("HTTP/1.1 200 OK\r\n" + String(repeating: "X: y\r\n", count: 20_000), pieces: 4096)
        }
    }

    /// A process that dies leaves the checkpoint of the last byte it was done with.
    @Test func anotherGoesOnAtAnyByteOfABody() throws {
        let bytes = Array(Self.chunked.utf8)
        for cut in bytes.indices {
            var first = HTTPResponseParser()
            var body: [UInt8] = []
            var position = 0
            let before = Array(bytes[..<cut])
            while let event = try first.next(in: before, at: &position) { if case .body(let range) = event { body += before[range] } }
            guard let checkpoint = first.checkpoint else { continue }
            #expect(checkpoint.count == HTTPResponseParser.checkpointLength)
            var second = try HTTPResponseParser(checkpoint: checkpoint)
            let after = Array(bytes[cut...])
            position = 0
            while let event = try second.next(in: after, at: &position) { if case .body(let range) = event { body += after[range] } }
            #expect(second.isOver && second.status == 200 && body == Array("Hello world".utf8), "cut at \(cut)")
        }
    }

    @Test func aCheckpointThatIsNoneIsRefused() {
        #expect(throws: HTTPSyntaxError.checkpoint) { try HTTPResponseParser(checkpoint: [1, 2, 3]) }
        #expect(throws: HTTPSyntaxError.checkpoint) { try HTTPResponseParser(checkpoint: [UInt8](repeating: 0xff, count: 48)) }
    }
}
