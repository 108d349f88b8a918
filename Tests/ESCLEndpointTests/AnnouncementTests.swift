// What DNS-SD is told of a scanner, whatever the scanner says of itself.

import Glibc
import ScannerClient
import Testing

@testable import ESCLEndpoint

@Suite struct AnnouncementTests {
    private func announcement(_ scanner: ScannerCapabilities) -> Announcement {
        Announcement(scanner, identity: "01234567", port: 8742, name: Announcement.base(scanner) + " (USB)")
    }

    @Test func `a record has what clients look for`() {
        let announcement = announcement(SettingsTests.scanner)
        #expect(announcement.name == "Scanner & Sons (USB)")
        #expect(
            announcement.strings == [
                "txtvers=1", "ty=Scanner & Sons", "rs=eSCL", "vers=2.63", "pdl=image/jpeg,image/png", "cs=color,grayscale",
                "is=platen,adf", "duplex=T", "UUID=01234567",
            ])
        #expect(
            announcement.line.hasPrefix("announce\t_uscan._tcp\t8742\tScanner & Sons (USB)\ttxtvers=1\t")
                && announcement.line.hasSuffix("67\n"))
    }

    @Test(arguments: [
        String(repeating: "ä", count: 5000), "a\tb\nwithdraw\t_uscan._tcp\t8742\n\u{0}\u{1b}[2J\u{202e}x", "", "   \t", "\u{ffff}\u{feff}",
        String(repeating: "a\u{300}", count: 300),
    ])
    func `no name and no format breaks a line or a limit`(text: String) {
        var scanner = SettingsTests.scanner
        scanner.name = text
        for index in scanner.sources.indices { scanner.sources[index].formats += (0..<100).map { "image/\(text)\($0)" } }
        let announcement = announcement(scanner)
        #expect((1...63).contains(announcement.name.utf8.count))
        for name in Announcement.names(Announcement.base(scanner)) { #expect(name.utf8.count <= 63) }
        #expect(announcement.strings.allSatisfy { $0.utf8.count <= 255 && $0.contains("=") })
        let fields = announcement.line.split(separator: "\t", omittingEmptySubsequences: false)
        #expect(fields.count == 4 + announcement.strings.count && announcement.line.utf8.count <= 8192)
        #expect(announcement.line.unicodeScalars.dropLast().allSatisfy { $0 == "\t" || $0.value >= 0x20 })
    }

    @Test func `twins keep their names, whichever comes first`() throws {
        let path = "/tmp/udt-book-\(UInt64.random(in: .min ... .max))"
        defer { unlink(path) }
        let names = Announcement.names("Twin")
        let book = EndpointBook(path) { Issue.record("\($0)") }
        #expect(book.name(of: "a", from: names) == "Twin (USB)")
        #expect(book.name(of: "b", from: names) == "Twin (USB 2)")
        #expect(book.name(of: "c", from: Announcement.names("Other")) == "Other (USB)")
        let next = EndpointBook(path) { Issue.record("\($0)") }
        #expect(next.name(of: "b", from: names) == "Twin (USB 2)")
        #expect(next.name(of: "a", from: names) == "Twin (USB)")
        // One that calls itself otherwise from now on lets go of its name.
        #expect(next.name(of: "a", from: Announcement.names("Other")) == "Other (USB 2)")
        #expect(next.name(of: "d", from: names) == "Twin (USB)")
    }
}
