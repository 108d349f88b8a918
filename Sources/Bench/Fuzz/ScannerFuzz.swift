// Fuzzes the emulated scanner's web service: requests in any pieces, over one pipe.

import EmulatedScanner
import USB
import USBEmulation

enum ScannerFuzz: FuzzTarget {
    static let name = "scanner"

    private static let settings =
        "<s:ScanSettings><p:InputSource>Platen</p:InputSource><s:XResolution>75</s:XResolution><p:Width>100</p:Width></s:ScanSettings>"
    private static let job = "/eSCL/ScanJobs/5ca00000-0000-4000-8000-000000000001"

    /// The first byte says how long the pieces are.
    static let seeds: [[UInt8]] = [
        "\u{40}GET /eSCL/ScannerCapabilities HTTP/1.1\r\nHost: a\r\n\r\nGET /eSCL/ScannerStatus HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{07}POST /eSCL/ScanJobs HTTP/1.1\r\nHost: a\r\nContent-Length: \(settings.utf8.count)\r\n\r\n\(settings)"
            + "GET \(job)/NextDocument HTTP/1.1\r\nHost: a\r\n\r\nDELETE \(job) HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{20}POST /eSCL/ScanJobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<a>1<\r\n0\r\n\r\n"
            + "HEAD \(job)/ScanImageInfo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        "\u{7f}POST /ipp/print HTTP/1.1\r\nHost: a\r\nContent-Type: application/ipp\r\nContent-Length: 10\r\n\r\n\u{2}\u{0}\u{0}\u{b}\u{0}\u{0}\u{0}\u{1}\u{1}\u{3}",
    ].map { Array($0.utf8) }

    private final class Signal: EmulationSignal {
        func ready(endpoint: EndpointAddress) {}
        func flush(endpoint: EndpointAddress) {}
        func unplug() {}
        func plug() {}
    }

    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        var options = EmulatedScannerOptions()
        options.pairs = 1
        options.layout = .plain
        // No page is drawn: that is another's work, and slow.
        options.faults = ScannerFaults([.init(.notReady, 1000)])
        let scanner = EmulatedScanner(options: options)
        scanner.attached(now: 0, signal: Signal())
        var sent = 0
        var position = 1
        while position < bytes.count {
            let end = min(bytes.count, position + max(1, Int(first) * 8))
            let outcome = bytes[position..<end].withUnsafeBytes {
                scanner.dataOut(endpoint: EndpointAddress(rawValue: 0x01), now: 0, data: $0)
            }
            precondition(outcome == .completed)
            position = end
            sent += read(scanner)
        }
        // Whatever came: a job at a time, and answers in proportion to requests (the shortest has 20
        // bytes).
        precondition(scanner.openJobs <= 1 && scanner.scannedPages.isEmpty)
        precondition(sent <= (bytes.count / 20 + 2) * 32_768)
    }

    /// Reads what there is; how much.
    private static func read(_ scanner: EmulatedScanner) -> Int {
        var total = 0
        while true {
            var answer = InAnswer.stall
            let bytes = [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, count in
                answer = scanner.dataIn(endpoint: EndpointAddress(rawValue: 0x81), now: 0, into: UnsafeMutableRawBufferPointer(buffer))
                if case .data(let written, _) = answer { count = written }
            }
            guard case .data = answer else { return total }
            total += bytes.count
        }
    }
}
