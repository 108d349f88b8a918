// Whether a page is whole.

import ESCL
import Testing

@Suite struct PageTests {
    private static let jpeg: [UInt8] = [0xff, 0xd8, 0xff, 0xe0] + [UInt8](repeating: 7, count: 3000) + [0xff, 0xd9]
    private static let png: [UInt8] =
        [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] + [UInt8](repeating: 7, count: 50) + [
            0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
        ]
    private static let pdf = Array("%PDF-1.4\n".utf8) + [UInt8](repeating: 7, count: 50) + Array("\n%%EOF\n".utf8)

    private func defect(_ bytes: [UInt8], pieces: Int, cut: Int? = nil) -> String? {
        var contents = PageContents()
        var start = 0
        while start < bytes.count {
            let end = min(start + pieces, bytes.count)
            contents.take(bytes[start..<end])
            start = end
            if let kept = PageContents(checkpoint: contents.checkpoint) {
                #expect(kept == contents, "what is kept is all there is")
                contents = kept
            } else {
                Issue.record("its own state is refused")
            }
        }
        return contents.defect
    }

    @Test(arguments: [1, 3, 8, 512, 100_000]) func aWholePageIsWholeInPiecesOfAnySize(pieces: Int) {
        for page in [Self.jpeg, Self.png, Self.pdf] {
            #expect(defect(page, pieces: pieces) == nil)
            #expect(defect(page + [UInt8](repeating: 0, count: 100), pieces: pieces) == nil, "padding")
            #expect(defect(Array(page.prefix(page.count / 2)), pieces: pieces) != nil)
            #expect(defect(Array(page.prefix(5)), pieces: pieces) != nil)
            #expect(defect(page + [UInt8](repeating: 0, count: 5000), pieces: pieces) != nil, "the end is not at the end")
        }
        #expect(defect([], pieces: 1) == "it is empty")
        #expect(defect([1, 2, 3, 4, 5, 6, 7, 8, 9], pieces: pieces) == nil, "nothing tells the end of what is unknown")
    }

    @Test func theEndOfAThumbnailIsNotTheEnd() {
        let thumbnail: [UInt8] = [0xff, 0xd8, 0xff, 0xe1, 0xff, 0xd8, 0xff, 0xd9]
        #expect(defect(thumbnail + [UInt8](repeating: 7, count: 5000), pieces: 512) != nil)
    }

    @Test(arguments: [1, 3, 8, 100]) func anEndWithinTheFirstBytesIsSeenInPiecesOfAnySize(pieces: Int) {
        #expect(defect([0xff, 0xd8, 0xff, 0xe0, 0xff, 0xd9, 1, 2, 3, 4], pieces: pieces) == nil)
    }

    @Test func theFormatIsToldByTheBytes() {
        #expect(PageFormat(opening: Self.jpeg) == .jpeg && PageFormat(opening: Self.png) == .png && PageFormat(opening: Self.pdf) == .pdf)
        #expect(PageFormat(opening: [0x49, 0x49, 0x2a, 0]) == .tiff && PageFormat(opening: []) == .other)
    }

    @Test func aStateThatIsNoneIsRefused() {
        #expect(PageContents(checkpoint: []) == nil)
        #expect(PageContents(checkpoint: [UInt8](repeating: 0xff, count: PageContents.checkpointLength)) == nil)
    }
}
