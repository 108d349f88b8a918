// Cameras at their own pace: what comes too late, and how long a frame takes from the bus into a
// program's hand.
import CBenchmarks
import CLinux
import FileDescriptors
import DriverStreams
import FrameRing
import Glibc
import Synchronization
import Threads
import USB
import UVC

/// A stream, and when its transfers come.
struct PacedCase {
    var stream: FrameCase
    /// Isochronous streams keep the bus's pace.
    var framesPerSecond: Double
    /// Bulk: what the bus carries once a frame has begun.
    var bytesPerSecond: Double

    static let all = [
        iso("720p30-mjpeg-iso", 30, 150_000),
        iso("1080p60-mjpeg-iso", 60, 350_000),
        PacedCase(
            stream: .mjpeg("1080p60-mjpeg-bulk", .bulk(payloadLength: 16 << 10), 350_000), framesPerSecond: 60, bytesPerSecond: 40e6),
        PacedCase(
            stream: .mjpeg("2160p30-mjpeg-bulk", .bulk(payloadLength: 512 << 10), 1_200_000), framesPerSecond: 30, bytesPerSecond: 400e6),
        PacedCase(
            stream: FrameCase(
                name: "2160p30-nv12-bulk", bus: .bulk(payloadLength: 512 << 10), frameLengths: [12_441_600, 12_441_600],
                content: .uncompressed(length: 12_441_600)),
            framesPerSecond: 30, bytesPerSecond: 400e6),
    ]

    /// As many microframes carry data as make that rate.
    private static func iso(_ name: String, _ rate: Double, _ length: Int) -> PacedCase {
        let share = Double(length) / 3060 * rate / 8000
        let bus = FrameCase.Bus.isochronous(packetLength: 3072, dataShare: share)
        return PacedCase(stream: .mjpeg(name, bus, length), framesPerSecond: rate, bytesPerSecond: 0)
    }

    /// When each transfer of a turn completes, and how long a turn is, in nanoseconds.
    func times(of played: PlayedStream) -> (times: [UInt64], turn: UInt64) {
        let shape = stream.shape
        if shape.type == .isochronous {
            let each = shape.packetInterval * UInt64(shape.packetCount)
            return ((1...played.transfers.count).map { UInt64($0) * each }, UInt64(played.transfers.count) * each)
        }
        let interval = 1e9 / framesPerSecond
        var times: [UInt64] = []
        var (frame, bytes) = (0.0, 0.0)
        for transfer in played.transfers {
            bytes += Double(transfer.length)
            times.append(UInt64(frame * interval + bytes / bytesPerSecond * 1e9))
            // A frame's last transfer is shorter than the others.
            if transfer.length < shape.packetLength { (frame, bytes) = (frame + 1, 0) }
        }
        return (times, UInt64(Double(played.frames.count) * interval))
    }
}

enum PacedBenchmark {
    private struct Figures {
        var frames = 0
        /// Transfers' worth of bytes that came while none was in flight; frames that were not seen whole.
        var lost = 0
        var missed = 0
        /// Share of a processor, and microseconds a frame.
        var load = 0.0
        var each = 0.0
        /// Microseconds from a frame's last transfer, in ascending order.
        var published: [Double] = []
        var inHand: [Double] = []
    }

    static func run(names: [String], seconds: Double, json: Bool) throws {
        if !json {
            let heads = ["frames", "µs a frame", "% of a core", "published", "99 %", "in hand", "99 %", "lost", "missed"]
            print(FrameBenchmark.row("at its own pace (µs)", heads))
        }
        for pace in PacedCase.all where names.isEmpty || names.contains(pace.stream.name) {
            let figures = try measure(pace, seconds: seconds)
            let columns = [
                "\(figures.frames)", text(figures.each), text(figures.load), text(middle(figures.published)),
                text(percentile(figures.published)), text(middle(figures.inHand)), text(percentile(figures.inHand)), "\(figures.lost)",
                "\(figures.missed)",
            ]
            if json {
                let names = [
                    "frames", "microsecondsPerFrame", "percentOfCore", "published", "published99", "inHand", "inHand99", "transfersLost",
                    "framesMissed",
                ]
                let members = zip(names, columns).map { "\"\($0)\":\($1)" }.joined(separator: ",")
                print("{\"case\":\"\(pace.stream.name)\",\(members)}")
            } else {
                print(FrameBenchmark.row(pace.stream.name, columns))
            }
        }
    }

    private static func measure(_ pace: PacedCase, seconds: Double) throws -> Figures {
        let stream = pace.stream
        let played = PlayedStream(stream)
        guard let geometry = FrameRingGeometry(capacity: stream.capacity, slotCount: stream.slotCount) else {
            throw FrameBenchmark.Failure(description: "\(stream.name) is out of bounds")
        }
        let memory = try FrameRingMemory(geometry: geometry)
        let report = try ReportMemory()
        let owned = try memory.readOnlyDescriptor()
        let readable = owned.number
        let turns = max(1, Int((seconds * pace.framesPerSecond / Double(played.frames.count)).rounded()))
        let carrier = PacedCarrier(
            played, pace, turns: turns, reader: try FrameRingReader(descriptor: readable, geometry: geometry))
        let watcher = Watcher(
            try FrameRingReader(descriptor: readable, geometry: geometry, report: report.descriptor), room: turns * played.frames.count + 16
        )
        let thread: WorkerThread
        do throws(WorkerThread.StartFailure) {
            thread = try WorkerThread(name: "watcher") { watcher.run() }
        } catch {
            throw FrameBenchmark.Failure(description: "no thread can be started for the watcher: \(error)")
        }
        let writer = try FrameRingWriter(descriptor: memory.descriptor, geometry: geometry, generation: 1, reports: [report.descriptor])
        let run = try FrameBenchmark.play(stream, carrier: carrier, writer: writer)
        watcher.stop(writer)
        thread.join()
        var figures = Figures()
        figures.frames = Int(run.counters.withLock { $0.frames })
        figures.lost = carrier.lost
        figures.each = carrier.nanoseconds / 1000 / Double(max(figures.frames, 1))
        figures.load = carrier.nanoseconds / Double(max(carrier.elapsed, 1)) * 100
        figures.missed = turns * played.frames.count - watcher.seen.count
        for frame in watcher.seen where frame.number < carrier.completed.count {
            let completed = carrier.completed[frame.number]
            figures.published.append(Double(Int64(bitPattern: frame.published &- completed)) / 1000)
            figures.inHand.append(Double(Int64(bitPattern: frame.taken &- completed)) / 1000)
        }
        figures.published.sort()
        figures.inHand.sort()
        return figures
    }

    /// A program that waits for frames, and takes each as soon as it is there.
    private final class Watcher: @unchecked Sendable {
        // Sendable: its figures are read once its thread has ended.
        private let reader: FrameRingReader
        private(set) var seen: [(number: Int, published: UInt64, taken: UInt64)] = []

        init(_ reader: FrameRingReader, room: Int) {
            self.reader = reader
            seen.reserveCapacity(room)
        }

        func run() {
            var last: UInt64 = 0
            while true {
                switch reader.next(after: last, timeout: .seconds(10)) {
                case .frame(let frame):
                    let now = clinux_monotonic_ns()
                    last = frame.sequence
                    if frame.length == 0 { return }
                    // One that is not whole is missing.
                    guard !frame.flags.contains(.damaged) else { continue }
                    seen.append((Int(last), frame.published, now))
                case .gap(let gap): last = gap.last
                case .timedOut: return
                }
            }
        }

        /// A frame without a byte is the last.
        func stop(_ writer: FrameRingWriter) {
            _ = writer.begin()
            writer.publish(length: 0, captured: clinux_monotonic_ns())
        }
    }

    private static func middle(_ values: [Double]) -> Double { values.isEmpty ? 0 : values[values.count / 2] }
    private static func percentile(_ values: [Double]) -> Double { values.isEmpty ? 0 : values[(values.count - 1) * 99 / 100] }
    private static func text(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
