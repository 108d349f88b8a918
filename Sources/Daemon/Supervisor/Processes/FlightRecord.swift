// What a device's flight recorder held when a driver died, for the crash report.

import CLinux
import FlightRecorder
import Logging
import USB

/// The recorder's memory at the moment of a death, and whose transfers they are. Nothing is decoded before the report is written, off the
/// supervisor's thread.
struct FlightRecord: Sendable {
    /// A second of a camera's transfers, and some 200 KB of file.
    static let transferLimit = 256
    /// What a person reads in the report itself.
    static let lineLimit = 12

    private let snapshot: RecorderSnapshot
    private let information: USBDeviceInformation
    /// CLOCK_MONOTONIC nanoseconds of the death.
    private let time: UInt64

    init(_ snapshot: RecorderSnapshot, of information: USBDeviceInformation) {
        self.snapshot = snapshot
        self.information = information
        time = clinux_monotonic_ns()
    }

    /// The newest transfers, the oldest first.
    var transfers: [RecordedTransfer] { snapshot.transfers.suffix(Self.transferLimit) }

    var descriptors: [UInt8] { information.descriptors }

    func lines(_ transfers: [RecordedTransfer]) -> [String] {
        let ended = transfers.filter { $0.completed != nil }.sorted { $0.time < $1.time }
        let inFlight = transfers.count - ended.count
        return ended.suffix(Self.lineLimit).map { $0.line(before: time) } + (inFlight == 0 ? [] : ["\(inFlight) more in flight"])
    }

    /// A pcapng file of them.
    func capture(_ transfers: [RecordedTransfer]) -> [UInt8] {
        CaptureFile(bus: information.busNumber, device: information.deviceNumber).file(
            transfers, descriptors: information.descriptors, title: information.path)
    }
}

extension DriverFunction {
    /// The device's recorder, made for its first driver; `nil` if there is no memory for one: a device is driven without it, too.
    func recorderForDriver() -> RecorderMemory? {
        if let recorder { return recorder }
        do throws(USBError) {
            recorder = try RecorderMemory()
        } catch {
            logger.warning("transfers are not recorded", metadata: ["error": "\(error)"])
        }
        return recorder
    }

    var flightRecord: FlightRecord? { recorder.map { FlightRecord($0.snapshot(), of: information) } }
}
