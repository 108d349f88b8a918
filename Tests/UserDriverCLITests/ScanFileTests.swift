// Where pages go, and PDFs of them.

import ArgumentParser
import Foundation
import Pictures
import Testing

@testable import UserDriverCLI

@Suite struct ScanFileTests {
    @Test func aNameSaysWhatIsWritten() throws {
        let numbered = try ScanDestination(path: "out/page-%03d.png", format: nil)
        #expect(numbered.path(of: 7) == "out/page-007.png" && numbered.format == .png && !numbered.isForOnePage)
        #expect(try ScanDestination(path: "book.pdf", format: nil) == .book("book.pdf"))
        #expect(try ScanDestination(path: "photo.jpeg", format: nil).isForOnePage)
        #expect(try ScanDestination(path: "-", format: nil) == .standardOutput(.jpeg))
        #expect(try ScanDestination(path: "page-%d.pdf", format: nil).wantedType == "image/jpeg")
        for (path, format) in [("", nil), ("page", nil), ("a.txt", nil), ("a-%d-%d.jpg", nil), ("a.jpg", PageFileFormat.png)] {
            #expect(throws: ValidationError.self, "\(path)") { try ScanDestination(path: path, format: format) }
        }
    }

    @Test func paperHasASize() {
        #expect(PaperSize(argument: "A4").map { [$0.width, $0.height] } == [2480, 3508])
        #expect(PaperSize(argument: "letter").map { [$0.width, $0.height] } == [2550, 3300])
        #expect(PaperSize(argument: "254x25.4").map { [$0.width, $0.height] } == [3000, 300])
        for text in ["", "A9", "0x0", "10", "x", "1e9x5", "nanx5"] { #expect(PaperSize(argument: text) == nil, "\(text)") }
    }

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
        try book.add(jpeg: try picture(40, 30), resolution: 100)
        try book.add(jpeg: try picture(10, 20), resolution: 75)
        let bytes = Data(book.finish())
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.hasPrefix("%PDF-1.4\n") && text.hasSuffix("%%EOF\n"))
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
        #expect(text.contains("/Count 2") && text.contains("/MediaBox [0 0 28.8 21.6]") && text.contains("/MediaBox [0 0 9.6 19.2]"))
        #expect(throws: (any Error).self) { try book.add(jpeg: [1, 2, 3], resolution: 100) }
    }
}
