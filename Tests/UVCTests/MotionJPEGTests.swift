// Frames without Huffman tables become JPEGs; nothing else is touched.
import Testing
import UVC

@Suite struct MotionJPEGTests {
    /// SOI, DQT (empty), SOS (length 2), data, EOI
    private let bare: [UInt8] = [0xff, 0xd8, 0xff, 0xdb, 0, 2, 0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0xd9]

    @Test func tablesAreInsertedBeforeTheScan() {
        let whole = MotionJPEG.withHuffmanTables(bare)
        #expect(whole.count == bare.count + 420)
        #expect(Array(whole[..<6]) == Array(bare[..<6]))
        #expect(Array(whole[6..<10]) == [0xff, 0xc4, 0x01, 0xa2])  // DHT, 418 bytes with its length
        #expect(Array(whole[426...]) == Array(bare[6...]))
        // Four tables whose counts add up to their values: 12, 162, 12, 162.
        var offset = 10
        var sizes: [Int] = []
        while offset < 426 {
            let count = whole[(offset + 1)...(offset + 16)].reduce(0) { $0 + Int($1) }
            sizes.append(count)
            #expect(Set(whole[(offset + 17)..<(offset + 17 + count)]).count == count)  // each symbol once
            offset += 17 + count
        }
        #expect(sizes == [12, 162, 12, 162] && offset == 426)
        #expect(MotionJPEG.withHuffmanTables(whole) == whole)
    }

    @Test func paddingIsCut() {
        #expect(MotionJPEG.withHuffmanTables(bare + [UInt8](repeating: 0, count: 100)).count == bare.count + 420)
    }

    @Test func framesWithTablesStayAsTheyAre() {
        let complete = Array(bare[..<6]) + [0xff, 0xc4, 0, 2] + Array(bare[6...])
        #expect(MotionJPEG.withHuffmanTables(complete) == complete)
    }

    @Test func framesThatAreCutOffAnywhereAreHarmless() {
        for bytes in [bare, MotionJPEG.withHuffmanTables(bare)] {
            for count in bytes.indices { #expect(MotionJPEG.withHuffmanTables(Array(bytes.prefix(count))).count <= count + 420) }
        }
    }

    @Test(
        arguments: [
            [], [0xff], [0xff, 0xd8], [0xff, 0xd8, 0xff], [0xff, 0xd8, 0xff, 0xda], [1, 2, 3, 4, 5, 6], [0xff, 0xd8, 0xff, 0xdb, 0, 0],
            [0xff, 0xd8, 0xff, 0xdb, 0xff, 0xff, 0xff, 0xda], [0xff, 0xd8, 0xff, 0xff, 0xff, 0xff], [0xff, 0xd8, 1, 2, 3, 4],
            [0xff, 0xd8, 0xff, 0xd9, 0, 0], [0xff, 0xd8, 0xff, 0x00, 0xff, 0xda],
        ] as [[UInt8]])
    func hostileBytesAreHarmless(bytes: [UInt8]) {
        let result = MotionJPEG.withHuffmanTables(bytes)
        #expect(result.count <= bytes.count + 420)
    }
}
