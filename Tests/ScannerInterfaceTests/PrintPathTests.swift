// Which paths of a printer's are passed on.

import ScannerInterface
import Testing

struct PrintPathTests {
    @Test(arguments: ["/ipp/print", "/ipp/faxout", "/ipp/print/job-1", "/ipp/print_2.x"]) func `names below ipp are`(path: String) {
        #expect(PrintPiece.isPath(path))
    }

    @Test(arguments: [
        "", "/", "/ipp", "/ipp/", "/ipp//print", "/ipp/.", "/ipp/..", "/ipp/../DevMgmt", "/ipp/print/..", "/ipp/%2e%2e", "/ipp/a?b",
        "/ipp/a#b",
        "/ipp/a b", "/ipp/a\r\nb", "/eSCL/ScanJobs", "ipp/print", "/x/ipp/print", "/ipp/" + String(repeating: "a", count: 240),
    ]) func `nothing else is`(path: String) { #expect(!PrintPiece.isPath(path)) }
}
