// Where pages go.

import ArgumentParser
import ScannerClient
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
}
