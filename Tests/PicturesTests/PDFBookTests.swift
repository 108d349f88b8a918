// PDFs of scanned pages, to the byte.

import Foundation
import Testing

@testable import Pictures

@Suite struct PDFBookTests {
    private func picture(_ width: Int, _ height: Int) throws -> [UInt8] {
        try Picture(width: width, height: height, pixels: [UInt8](repeating: 90, count: width * height * 3)).encoded(as: .jpeg(quality: 80))
    }

    @Test func aJPEGSaysItsSize() throws {
        #expect(JPEGFrame(try picture(40, 30)).map { [$0.width, $0.height, $0.components] } == [40, 30, 3])
        let jpeg = try picture(8, 8)
        for count in 0..<jpeg.count { _ = JPEGFrame(Array(jpeg.prefix(count))) }
        #expect(JPEGFrame([]) == nil && JPEGFrame([0xff, 0xd8, 0xff, 0xc0, 0, 1]) == nil)
    }

    @Test func aBookIsSoundToTheByte() throws {
        var book = PDFBook()
        var bytes = Data(try book.page(jpeg: try picture(40, 30), resolution: 100))
        let second = try picture(10, 20)
        let text = book.page(try #require(JPEGFrame(second)), length: second.count, resolution: 75)
        bytes += text.before + second + text.behind
        bytes += book.end()
        let document = String(decoding: bytes, as: UTF8.self)
        #expect(document.hasPrefix("%PDF-1.4\n") && document.hasSuffix("%%EOF\n"))
        // What startxref names is the table, and what the table names are the objects.
        let start = try #require(bytes.range(of: Data("startxref\n".utf8)))
        let place = try #require(Int(String(decoding: bytes[start.upperBound...].prefix { $0 != 10 }, as: UTF8.self)))
        let table = String(decoding: bytes[place...], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(table[0] == "xref")
        let count = try #require(Int(table[1].split(separator: " ")[1]))
        for number in 1..<count {
            let entry = table[2 + number]
            #expect(entry.utf8.count == 19, "20 bytes with the line's end")
            let offset = try #require(Int(entry.prefix(10)))
            #expect(bytes[offset...].starts(with: Data("\(number) 0 obj\n".utf8)), "object \(number)")
        }
        #expect(document.contains("/Count 2") && document.contains("/MediaBox [0 0 28.80 21.60]"))
        #expect(document.contains("/MediaBox [0 0 9.60 19.20]"))
        #expect(throws: PictureError.self) { try book.page(jpeg: [1, 2, 3], resolution: 100) }
    }
}
