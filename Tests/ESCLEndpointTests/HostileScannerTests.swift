// What a scanner, or a driver that it has taken over, says of itself.

import ScannerClient
import ScannerInterface
import Testing

struct HostileScannerTests {
    @Test func `sizes without end fit no sum`() {
        #expect(!PaperSize.names(fitting: ScannerCapabilities.Size(width: .max, height: .max)).isEmpty)
        #expect(PaperSize.names(fitting: ScannerCapabilities.Size(width: .min, height: .min)).isEmpty)
        #expect(PaperSize.names(fitting: ScannerCapabilities.Size(width: 0, height: .max)).isEmpty)
    }

    @Test(arguments: [Int.min, -1, 0, 1_000_001, .max]) func `no page has such a number`(number: Int) {
        #expect(ScannedPage.counted(number) == nil)
    }

    @Test func `pages are counted from one`() {
        #expect(ScannedPage.counted(1) == 1 && ScannedPage.counted(1_000_000) == 1_000_000 && ScannedPage.counted(nil) == nil)
    }
}
