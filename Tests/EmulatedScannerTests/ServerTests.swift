// Over USB/IP, as a driver reaches it.

import CLinux
import Pictures
import Testing
import USB
import USBEmulation
import USBIPHost

@testable import EmulatedScanner

@Suite struct ServerTests {
    private func write(_ text: String, _ queue: any TransferQueue) throws {
        let bytes = Array(text.utf8)
        let buffer = queue.makeBuffer(count: bytes.count)
        buffer.bytes.copyBytes(from: bytes)
        try queue.submit(IdleTransfer(buffer: buffer))
        guard let completed = try queue.next(timeout: .seconds(20)) else { throw PipeFailure.silence }
        let (status, count) = (completed.status, completed.actualLength)
        #expect(status == .completed && count == bytes.count)
    }

    /// Reads until `isWhole`.
    private func read(_ queue: any TransferQueue, until isWhole: ([UInt8]) -> Bool) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while !isWhole(bytes) {
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16 << 10)))
            guard let completed = try queue.next(timeout: .seconds(20)) else { throw PipeFailure.silence }
            let status = completed.status
            #expect(status == .completed)
            bytes += completed.buffer.bytes[..<completed.actualLength]
        }
        return bytes
    }

    @Test func aPageComesThroughTheServer() async throws {
        var options = EmulatedScannerOptions()
        options.framing = .length
        let scanner = EmulatedScanner(options: options)
        let server = EmulationServer(devices: [("1-1", scanner)], port: 0)
        let port = try server.start()
        defer { server.stop() }
        let device = try await USBIPHost(host: "127.0.0.1", port: port).open(path: "usbip://127.0.0.1:\(port)/1-1")
        #expect(device.information.product == "Emulated Scanner")
        try await device.claim(interface: 1)
        try await device.setAlternateSetting(interface: 1, to: 1)
        let out = try device.transferQueue(endpoint: ScannerInterface.out(1), type: .bulk)
        let into = try device.transferQueue(endpoint: ScannerInterface.in(1), type: .bulk)

        try write(ScannerBus.request("POST", "/eSCL/ScanJobs", body: ScannerBus.settings()), out)
        let created = try read(into) { $0.suffix(4).elementsEqual("\r\n\r\n".utf8) }
        #expect(created.starts(with: "HTTP/1.1 201 Created\r\n".utf8))
        try write(ScannerBus.request("GET", "/eSCL/ScanJobs/5ca00000-0000-4000-8000-000000000001/NextDocument"), out)
        let page = try EmulatedScanner.page(sheet: 1, job: 1, settings: ScannerBus.plain)
        let answer = try read(into) { $0.count >= page.count && $0.suffix(2).elementsEqual([0xff, 0xd9]) }
        #expect(Array(answer.suffix(page.count)) == page)
        #expect(scanner.scannedPages.map(\.isWhole) == [true])
        device.close()
    }
}
