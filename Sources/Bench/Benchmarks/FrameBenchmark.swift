// The whole way of a frame through the driver's process: take, flight recorder, assembly,
// checkpoint, ring, commit, resubmission; beside a minimal one-copy assembler in C and memcpy, over
// the same transfers in the same run.
import CBenchmarks
import CLinux
import FileDescriptors
import DriverStreams
import FlightRecorder
import FrameRing
import Glibc
import Synchronization
import Threads
import TransferRing
import USB
import UVC
import UserDriver
import WebcamDriver

enum FrameBenchmark {
    struct Figures {
        /// Nanoseconds a frame.
        var ours = 0.0
        /// Medians of ratios of neighbouring runs.
        var toFloor = 0.0
        var toCopy = 0.0
        /// `nil` where libuvc isn't installed.
        var toLibuvc: Double?
    }

    struct Failure: Error, CustomStringConvertible { var description: String }

    /// How often the runs are repeated, and how long one is.
    private static let rounds = 9
    private static let roundBytes = 200 << 20

    /// - Parameter inTurn: whoever watches does not report: frames take all slots in turn.
    static func run(names: [String], json: Bool, inTurn: Bool) throws {
        let libuvc = LibuvcYardstick()
        if !json { print(row("case", ["µs a frame", "× minimal C", "× memcpy"] + (libuvc == nil ? [] : ["× libuvc"]))) }
        for stream in FrameCase.all where names.isEmpty || names.contains(stream.name) {
            let played = PlayedStream(stream)
            try check(stream, played)
            if let libuvc, libuvc.nanoseconds(stream, played, turns: 3, checks: true) == nil {
                throw Failure(description: "\(stream.name): libuvc hands out other frames than were sent")
            }
            let figures = try measure(stream, played, libuvc, inTurn: inTurn)
            if json {
                print(
                    "{\"case\":\"\(stream.name)\",\"nanosecondsPerFrame\":\(figures.ours),\"toFloor\":\(figures.toFloor),"
                        + "\"toMemcpy\":\(figures.toCopy)" + (figures.toLibuvc.map { ",\"toLibuvc\":\($0)" } ?? "") + "}")
            } else {
                let columns = [figures.ours / 1000, figures.toFloor, figures.toCopy] + [figures.toLibuvc].compactMap { $0 }
                print(row(stream.name, columns.map { "\(rounded($0))" }))
            }
        }
    }

    /// A line of a table.
    static func row(_ name: String, _ columns: [String]) -> String {
        func padding(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(1, width - text.count)) }
        return columns.reduce(name + padding(name, 22)) { $0 + padding($1, 13) + $1 }
    }

    /// One part by itself, for a program that counts instructions from outside: `turns` through all
    /// transfers.
    static func runOnce(_ part: String, of stream: FrameCase, turns: Int) throws {
        let played = PlayedStream(stream)
        switch part {
        case "driver": _ = try driver(stream, played, turns: turns, warmUp: false)
        case "floor": _ = floor(stream, played, turns: turns)
        case "kernel": _ = kernel(stream, played, turns: turns)
        default: throw Failure(description: "there is no part \(part)")
        }
    }

    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    private static func measure(
        _ stream: FrameCase, _ played: PlayedStream, _ libuvc: LibuvcYardstick?, inTurn: Bool
    ) throws -> Figures {
        let turns = max(2, roundBytes / played.payloadBytes)
        let frames = Double(turns * played.frames.count)
        _ = try driver(stream, played, turns: 2, inTurn: inTurn)
        _ = floor(stream, played, turns: 2)
        typealias Run = (ours: Double, floor: Double, copy: Double, libuvc: Double?)
        var runs: [Run] = []
        for _ in 0..<rounds {
            runs.append(
                (
                    try driver(stream, played, turns: turns, inTurn: inTurn), floor(stream, played, turns: turns),
                    copy(stream, played, turns: turns), libuvc?.nanoseconds(stream, played, turns: turns)
                ))
        }
        func median(_ value: (Run) -> Double) -> Double { runs.map(value).sorted()[runs.count / 2] }
        return Figures(
            ours: median(\.ours) / frames, toFloor: median { $0.ours / $0.floor }, toCopy: median { $0.ours / $0.copy },
            toLibuvc: libuvc == nil ? nil : median { $0.ours / ($0.libuvc ?? .nan) })
    }

    // MARK: The driver

    /// The driver's own stream over a carrier that plays. Nanoseconds of its thread's processor
    /// time.
    private static func driver(
        _ stream: FrameCase, _ played: PlayedStream, turns: Int, warmUp: Bool = true, inTurn: Bool = false,
        inspect: ((FrameRingReader) -> Void)? = nil
    ) throws -> Double {
        guard let frames = FrameRingGeometry(capacity: stream.capacity, slotCount: stream.slotCount) else {
            throw Failure(description: "\(stream.name) is out of bounds")
        }
        let frameMemory = try FrameRingMemory(geometry: frames)
        // Whoever watches is done with each frame before the next one ends, on a processor of its
        // own: its page says what it says when nobody reads.
        let report = try ReportMemory()
        if inspect == nil { report.readerHasLeft() }
        let warmUp = warmUp ? (stream.slotCount + played.frames.count) / played.frames.count : 0
        let carrier = StandInCarrier(played, warmUp: warmUp * played.transfers.count, count: turns * played.transfers.count)
        if let inspect {
            let owned = try frameMemory.readOnlyDescriptor()
            let readable = owned.number
            let reader = try FrameRingReader(descriptor: readable, geometry: frames, report: report.descriptor)
            carrier.inspect = { inspect(reader) }
        }
        let writer = try FrameRingWriter(
            descriptor: frameMemory.descriptor, geometry: frames, generation: 1, reports: inTurn ? [] : [report.descriptor])
        let video = try play(stream, carrier: carrier, writer: writer)
        let whole = video.counters.withLock { $0.frames }
        let expected = UInt64((warmUp + turns) * played.frames.count)
        guard whole + 1 >= expected else {
            throw Failure(description: "\(stream.name): \(whole) of \(expected) frames were published whole")
        }
        return carrier.nanoseconds
    }

    /// The driver's own stream, until what the carrier has to play is over.
    static func play(_ stream: FrameCase, carrier: any RingCarrier, writer: FrameRingWriter) throws -> StreamRun {
        let shape = stream.shape
        guard
            let geometry = TransferRingGeometry(
                transferCount: shape.transferCount, packetCount: shape.type == .isochronous ? shape.packetCount : 0,
                packetLength: shape.packetLength)
        else { throw Failure(description: "\(stream.name) is out of bounds") }
        let transferMemory = try TransferRingMemory(geometry: geometry)
        let recorderMemory = try RecorderMemory()
        let recorder = try FlightRecorder(descriptor: recorderMemory.descriptor, generation: 1)
        let transfers = TransferRing(
            mapping: try TransferRingMapping(descriptor: transferMemory.descriptor, geometry: geometry, number: nil), carrier: carrier,
            witness: RingRecorder(
                recorder, type: geometry.type, endpoint: EndpointAddress(rawValue: 0x81), headerLength: VideoAssembler.headerLength))
        let video = StreamRun(
            transfers: transfers, shape: shape, writer: writer, frameInterval: 33_333_333, progress: Progress().activity())
        let ended = Monitored(false)
        video.start(VideoAssembler(stream.settings, type: shape.type), from: .fresh(nil)) { _ in ended.change { $0 = true } }
        _ = ended.wait { $0 ? true : nil }
        video.stop()
        return video
    }

    /// Every frame, byte by byte.
    private static func check(_ stream: FrameCase, _ played: PlayedStream) throws {
        var last: UInt64 = 0
        var seen = 0
        var wrong: String?
        _ = try driver(stream, played, turns: 3, warmUp: false) { reader in
            while case .frame(let frame) = reader.next(after: last, timeout: .zero) {
                last = frame.sequence
                let expected = played.frames[seen % played.frames.count]
                var isEqual = false
                _ = frame.withBytes { isEqual = $0.elementsEqual(expected) }
                if !isEqual, wrong == nil { wrong = "frame \(frame.sequence) has different bytes from those sent" }
                seen += 1
            }
        }
        if let wrong { throw Failure(description: "\(stream.name): \(wrong)") }
        guard seen + 1 >= 3 * played.frames.count else { throw Failure(description: "\(stream.name): only \(seen) frames were seen") }
    }

    // MARK: The floor

    /// The minimal assembler in C over the same transfers, into two slots: nanoseconds without the
    /// kernel's part.
    private static func floor(_ stream: FrameCase, _ played: PlayedStream, turns: Int) -> Double {
        let memory = Buffers(stream)
        return cbenchmarks_floor(
            memory.transfers, UInt32(memory.transferCount), memory.slots, 2, UInt32(stream.capacity), played.transfers.baseAddress,
            UInt32(played.transfers.count), UInt32(turns), maximumPayload(stream))
    }

    private static func copy(_ stream: FrameCase, _ played: PlayedStream, turns: Int) -> Double {
        let memory = Buffers(stream)
        return cbenchmarks_copy(
            memory.transfers, UInt32(memory.transferCount), memory.slots, 2, UInt32(stream.capacity), played.transfers.baseAddress,
            UInt32(played.transfers.count), UInt32(turns))
    }

    /// The kernel's part alone.
    private static func kernel(_ stream: FrameCase, _ played: PlayedStream, turns: Int) -> Double {
        let memory = Buffers(stream)
        return cbenchmarks_kernel(
            memory.transfers, UInt32(memory.transferCount), played.transfers.baseAddress, UInt32(played.transfers.count), UInt32(turns))
    }

    private static func maximumPayload(_ stream: FrameCase) -> UInt32 {
        if case .bulk(let length) = stream.bus { UInt32(length) } else { 0 }
    }

    /// Transfers' buffers and two slots, as large as the driver's.
    private final class Buffers {
        let transferCount: Int
        let transfers: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
        let slots: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>

        init(_ stream: FrameCase) {
            let shape = stream.shape
            transferCount = shape.transferCount
            transfers = .allocate(capacity: transferCount)
            for index in 0..<transferCount {
                transfers[index] = Self.make(shape.packetLength * max(shape.packetCount, 1))
            }
            slots = .allocate(capacity: 2)
            for index in 0..<2 { slots[index] = Self.make(stream.capacity) }
        }

        private static func make(_ count: Int) -> UnsafeMutablePointer<UInt8> {
            let bytes = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4096)
            bytes.initializeMemory(as: UInt8.self, repeating: 1, count: count)
            return bytes.assumingMemoryBound(to: UInt8.self)
        }

        deinit {
            for index in 0..<transferCount { transfers[index]?.deallocate() }
            for index in 0..<2 { slots[index]?.deallocate() }
            transfers.deallocate()
            slots.deallocate()
        }
    }
}
