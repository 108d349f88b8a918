// Transfers kept in flight and what came of them.
import Glibc
import LibUSBHost
import USB

/// What came of a transfer, copyable.
struct Outcome: CustomStringConvertible {
    var status: TransferStatus
    var actualLength: Int
    var tag: UInt64
    var buffer: TransferBuffer

    var description: String { "transfer \(tag): \(status), \(actualLength) bytes" }
}

enum Streaming {
    static func next(_ queue: any TransferQueue, within timeout: Duration) throws -> Outcome? {
        guard let transfer = try queue.next(timeout: timeout) else { return nil }
        return Outcome(status: transfer.status, actualLength: transfer.actualLength, tag: transfer.tag, buffer: transfer.buffer)
    }

    /// Reads with `count` transfers in flight until `enough` of a transfer says so, then cancels and takes the rest out.
    static func run(
        _ queue: any TransferQueue, count: Int, packetLengths: [Int] = [], length: Int, report: Report,
        enough: (borrowing CompletedTransfer) -> Bool
    ) throws -> [TransferStatus: Int] {
        var outcomes: [TransferStatus: Int] = [:]
        for tag in 0..<count {
            try queue.submit(
                IdleTransfer(buffer: queue.makeBuffer(count: length), length: length, packetLengths: packetLengths, tag: UInt64(tag)))
        }
        report.note("\(count) transfers in flight, \(deviceMappings()) buffers of device memory")
        var expected: UInt64 = 0
        var inOrder = true
        while true {
            guard let transfer = try queue.next(timeout: .seconds(10)) else {
                report.check(false, "a transfer completes within ten seconds")
                break
            }
            outcomes[transfer.status, default: 0] += 1
            inOrder = inOrder && transfer.tag == expected
            expected = (expected + 1) % UInt64(count)
            if enough(transfer) { break }
            try queue.submit(transfer.recycled())
        }
        report.check(inOrder, "transfers come back in the order of their submission")
        queue.cancelAll()
        var drained = 0
        while queue.inFlight > 0 {
            guard let transfer = try queue.next(timeout: .seconds(10)) else {
                report.check(false, "a cancelled transfer comes back within ten seconds")
                break
            }
            drained += transfer.status == .cancelled ? 1 : 0
        }
        report.check(queue.inFlight == 0, "everything in flight comes back when it is cancelled", "\(drained) cancelled")
        return outcomes
    }

    /// Mappings of usbfs nodes in this process: buffers that the kernel fills without copying.
    static func deviceMappings() -> Int {
        guard let file = fopen("/proc/self/maps", "r") else { return 0 }
        defer { fclose(file) }
        var count = 0
        var line = [CChar](repeating: 0, count: 1024)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.contains("/dev/bus/usb/") { count += 1 }
        }
        return count
    }
}
