// Fuzzes memory that another process writes: a frame ring as a reader and a successor find it, and a flight recorder.

import CLinux
import FlightRecorder
import FrameRing
import Glibc
import USB

/// Memory of a size that is known, with an input's bytes in it.
private final class SharedMemory: Sendable {
    let descriptor: Int32

    init(size: Int) {
        descriptor = clinux_memfd("fuzz", 0)
        precondition(descriptor >= 0 && ftruncate(descriptor, off_t(size)) == 0 && clinux_seal_size(descriptor) == 0, "memory to fuzz with")
    }

    deinit { close(descriptor) }

    /// The bytes, and zeroes up to the end.
    func fill(_ bytes: ArraySlice<UInt8>, size: Int) {
        let contents = Array(bytes.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - bytes.count))
        precondition(pwrite(descriptor, contents, contents.count, 0) == contents.count, "memory can be written")
    }
}

/// A ring's memory as somebody hostile leaves it: whatever stands there, frames are within their slots and numbers go on.
enum RingFuzz: FuzzTarget {
    static let name = "ring"
    private static let geometry = FrameRingGeometry(capacity: 64, slotCount: 4)!
    /// One memory for all inputs: each fills it anew.
    private static let memory = SharedMemory(size: geometry.byteCount)
    /// A reader's page, on which it writes what it likes: the input's last bytes.
    private static let page: ReportMemory = {
        do throws(FrameRingError) { return try ReportMemory() } catch { preconditionFailure("a page can't be made: \(error)") }
    }()

    static let seeds: [[UInt8]] = (0..<3).map { variant in
        // A ring that a writer has used, with a gap; what is not zero lies in its first 5 KiB.
        let memory = SharedMemory(size: geometry.byteCount)
        do {
            let writer = try FrameRingWriter(descriptor: memory.descriptor, geometry: geometry, generation: 1)
            for frame in 0..<UInt64(variant * 3 + 1) {
                if frame % 2 == 1 { writer.skip(count: 2, cause: .deviceLost) }
                let slot = writer.begin()
                slot.bytes.initializeMemory(as: UInt8.self, repeating: UInt8(frame))
                writer.publish(length: 10, captured: frame + 1)
            }
        } catch {
            preconditionFailure("a ring can't be written: \(error)")
        }
        var bytes = [UInt8](repeating: 0, count: 5120)
        precondition(pread(memory.descriptor, &bytes, bytes.count, 0) == bytes.count, "memory can be read")
        return bytes
    }

    static func run(_ bytes: [UInt8]) {
        memory.fill(bytes[...], size: geometry.byteCount)
        do throws(FrameRingError) {
            let reader = try FrameRingReader(descriptor: memory.descriptor, geometry: geometry)
            read(reader, from: 0)
            read(reader, from: reader.newestSequence)
            read(reader, from: .max)
            if let latest = reader.latest { look(latest) }
            var word = bytes.suffix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
            precondition(pwrite(page.descriptor, &word, 8, 0) == 8, "a page can be written")
            let writer = try FrameRingWriter(
                descriptor: memory.descriptor, geometry: geometry, generation: 2, reports: [page.descriptor])
            _ = writer.resume(slot: Int(bytes.first ?? 0))
            writer.resumeGap(now: 1 << 40, frameInterval: 33_333_333, cause: .driverRestarted)
            let slot = writer.begin()
            precondition(slot.bytes.count == geometry.capacity, "a slot is of the geometry's size")
            var number = writer.publish(length: 8, captured: 1 << 40)
            for _ in 0..<6 {
                _ = writer.begin()
                number = writer.publish(length: 8, captured: 1 << 40)
            }
            precondition(reader.newestSequence == number, "what a successor publishes is the newest")
            read(reader, from: number - 1)
        } catch {
            preconditionFailure("memory of the right size is a ring: \(error)")
        }
    }

    private static func read(_ reader: FrameRingReader, from start: UInt64) {
        var position = start
        for _ in 0..<64 {
            switch reader.next(after: position, timeout: .zero) {
            case .frame(let frame):
                precondition(frame.sequence > position, "numbers ascend")
                look(frame)
                position = frame.sequence
            case .gap(let gap):
                precondition(gap.cause == .renumbered || gap.last > position, "a gap leads on")
                position = gap.last
            case .timedOut: return
            }
        }
    }

    private static func look(_ frame: FrameReference) {
        precondition(frame.length >= 0 && frame.length <= geometry.capacity, "a frame is within its slot")
        _ = frame.withBytes { precondition($0.count == frame.length, "what is lent is the frame") }
    }
}

/// A flight recorder's memory: entries of any content, told in words and written as a capture.
enum RecorderFuzz: FuzzTarget {
    static let name = "recorder"
    private static let size = 512 * 192 + 4096
    private static let memory = SharedMemory(size: size)

    static let seeds: [[UInt8]] = {
        do throws(USBError) {
            let memory = try RecorderMemory()
            let recorder = try FlightRecorder(descriptor: memory.descriptor, generation: 1)
            _ = recorder.submitted(.control, EndpointAddress(rawValue: 0), requested: 8, setup: [0x80, 6, 0, 1, 0, 0, 18, 0])
            _ = recorder.submitted(.isochronous, EndpointAddress(rawValue: 0x81), requested: 3072)
            var bytes = [UInt8](repeating: 0, count: 64 + 4 * 192)
            precondition(pread(memory.descriptor, &bytes, bytes.count, 0) == bytes.count, "memory can be read")
            // Entry 2 as it is once an isochronous transfer has come back: completed, 32 packets, 64 bytes of data.
            var whole = bytes
            whole.replaceSubrange((64 + 2 * 192 + 16)..<(64 + 2 * 192 + 24), with: [1, 0, 0, 0, 0, 0, 0, 0])
            whole.replaceSubrange((64 + 2 * 192 + 30)..<(64 + 2 * 192 + 32), with: [32, 64])
            return [bytes, whole]
        } catch {
            preconditionFailure("a recorder can't be made: \(error)")
        }
    }()

    static func run(_ bytes: [UInt8]) {
        do throws(USBError) {
            memory.fill(bytes[...], size: size)
            let reader = try RecorderReader(descriptor: memory.descriptor)
            let count = reader.count
            var transfers = (1...8).compactMap { reader.transfer($0) }
            if let newest = reader.transfer(count) { transfers.append(newest) }
            let file = CaptureFile(bus: 1, device: 2, epoch: 0)
            for moment in [0, 1 << 40, UInt64.max] { for transfer in transfers { _ = transfer.line(before: moment) } }
            precondition(file.file(transfers, descriptors: Array(bytes.prefix(40)), title: "fuzz").count % 4 == 0, "blocks are whole words")
        } catch {
            preconditionFailure("memory of the right size is a recorder's: \(error)")
        }
    }
}
