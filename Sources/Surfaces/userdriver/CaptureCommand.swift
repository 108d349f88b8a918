// `userdriver capture`: a device's transfers, live, for Wireshark.

import ArgumentParser
import CLinux
import FlightRecorder
import Glibc
import Synchronization
import UserDriverClient

struct CaptureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Write a device's USB transfers to a file for Wireshark.",
        discussion: """
            Needs neither usbmon nor root: the driver records its own transfers, and if it dies its successor carries on. Only the \
            headers of pictures are recorded. Ends after --seconds or --transfers, or on Ctrl-C.

            Example:
              userdriver capture --seconds 5 -o usb.pcapng
              userdriver capture 1209:0001 --past --seconds 2 -o usb.pcapng
              userdriver capture --past --seconds 1 -o - | wireshark -k -i -
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("The pcapng file to write, or - for standard output.", valueName: "file"), completion: .file())
    var output: String

    @Option(name: [.short, .long], help: ArgumentHelp("End after this time.", valueName: "seconds"))
    var seconds: Seconds?

    @Option(name: [.short, .long], help: ArgumentHelp("End after this many transfers.", valueName: "count"))
    var transfers: UInt64?

    @Flag(help: "Start with the transfers that are already recorded.")
    var past = false

    func validate() throws {
        if transfers == 0 { throw ValidationError("--transfers must be 1 or more.") }
    }

    func run() throws {
        let cancellation = Cancellation()
        try Interrupt.onFirst { cancellation.cancel() }
        let (client, device) = (daemon.client, target.selector)
        let found = Mutex<DeviceCapture?>(nil)
        try Awaited.run {
            let capture = try await client.capture(device)
            found.withLock { $0 = capture }
        }
        guard let capture = found.withLock({ $0 }) else { return }
        let writer = try FrameWriter(path: output)
        var session = CaptureSession(capture, past: past)
        let end = seconds.map { clinux_monotonic_ns() + UInt64($0.value * 1e9) }
        while !cancellation.isCancelled, end.map({ clinux_monotonic_ns() < $0 }) ?? true, session.count < transfers ?? .max {
            do {
                try writer.put(session.next(limit: (transfers ?? .max) - session.count))
            } catch let error as OutputError where error.isBrokenPipe {
                break
            }
            Terminal.showProgress(Figure.count(session.count, "transfer"))
            // Whoever writes there tells nobody: looked at often enough that nothing is pushed out.
            usleep(20_000)
        }
        Terminal.endProgress()
        try writer.close()
        if output != "-" {
            Terminal.note(
                Figure.count(session.count, "transfer") + (session.missed == 0 ? "" : ", \(session.missed) went by too fast to be recorded")
                    + " in \(output)")
        }
    }
}

/// Follows a flight recorder: each transfer's submission and its completion once, in the order of their times.
struct CaptureSession {
    private let capture: DeviceCapture
    private let file: CaptureFile
    /// The number of the next transfer that has not been seen.
    private var next: UInt64
    /// Seen when they were in flight.
    private var inFlight: [UInt64] = []
    private var hasHead = false
    /// Transfers that have been written.
    private(set) var count: UInt64 = 0
    /// Those that were pushed out before they were looked at.
    private(set) var missed: UInt64 = 0

    init(_ capture: DeviceCapture, past: Bool) {
        self.capture = capture
        file = CaptureFile(bus: capture.busNumber, device: capture.deviceNumber)
        let last = Self.sensible(capture.reader.count)
        next = past && last >= RecorderReader.capacity ? last &- RecorderReader.capacity &+ 1 : past ? 1 : last &+ 1
    }

    /// A driver may have written any number there; none that large is reached by counting.
    private static func sensible(_ count: UInt64) -> UInt64 { min(count, 1 << 62) }

    /// What has been noted since the last time, as bytes of the file: with `limit` transfers at most.
    mutating func next(limit: UInt64) -> [UInt8] {
        var events: [CaptureFile.Event] = []
        inFlight = inFlight.filter { number in
            guard let transfer = capture.reader.transfer(number) else { return false }
            guard transfer.completed != nil else { return true }
            events.append(.init(.completion, of: transfer))
            return false
        }
        let last = Self.sensible(capture.reader.count)
        // A counter that went back is begun with anew.
        if last + 1 < next { next = last + 1 }
        if last >= next, last - next >= RecorderReader.capacity {
            missed = missed.addingClamped(last - next + 1 - RecorderReader.capacity)
            next = last - RecorderReader.capacity + 1
        }
        var taken: UInt64 = 0
        while next <= last, taken < limit {
            // In the making: the next time.
            guard let transfer = capture.reader.transfer(next) else {
                if last - next < 8 { break }
                next += 1
                missed = missed.addingClamped(1)
                continue
            }
            events += CaptureFile.Event.all(of: transfer)
            if transfer.completed == nil { inFlight.append(next) }
            next += 1
            taken += 1
        }
        count += taken
        events.sort { $0.time < $1.time }
        var bytes: [UInt8] = []
        if !hasHead {
            hasHead = true
            bytes = file.head(descriptors: capture.descriptors, title: capture.deviceID, at: events.first?.time ?? clinux_monotonic_ns())
        }
        for event in events { bytes += file.packet(event) }
        return bytes
    }
}

extension UInt64 {
    fileprivate func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
