// What a driver or a camera says, at its most absurd: every text of it is made, and no number is too large for arithmetic.

import FlightRecorder
import FrameRing
import Glibc
import Pictures
import Testing
import USB
@testable import UserDriverClient
import Wire

@testable import UserDriverCLI

@Suite struct HostileTextTests {
    private static let integers = [
        Int.min, Int.min + 1, -1, 0, 1, 2, 3, 1 << 31, 1 << 53, (1 << 53) + 1, Int.max / 2, Int.max - 1, Int.max,
    ]
    private static let words: [UInt64] = [0, 1, 2, 1 << 31, 1 << 55, 1 << 62, 1 << 63, .max - 1, .max]

    @Test func anyRangeOfAControlHasItsShares() throws {
        for minimum in Self.integers {
            for maximum in Self.integers {
                for step in Self.integers {
                    let control = CameraControl(
                        name: "gain", description: "", type: "integer", minimum: minimum, maximum: maximum, step: step, default: 0, value: 0
                    )
                    for text in ["0%", "37.5%", "50%", "100%", "min", "max", "default", "9223372036854775807", "-9223372036854775808"] {
                        guard let value = try? ControlText.value(text, of: control), text.hasSuffix("%"), minimum <= maximum else {
                            continue
                        }
                        #expect((minimum...maximum).contains(value), "\(text) of \(minimum)…\(maximum) in steps of \(step)")
                    }
                    #expect(ControlText.table([control]).lines(colours: false).count == 2)
                }
            }
        }
        let ordinary = CameraControl(
            name: "gain", description: "", type: "integer", minimum: -10, maximum: 11, step: 5, default: 0, value: 0)
        #expect(try ControlText.value("50%", of: ordinary) == 0)
        #expect(try ControlText.value("100%", of: ordinary) == 10)
    }

    @Test func anyStampsCanBeCompared() {
        for number in Self.words {
            for time in Self.words {
                for interval in [UInt32(0), 1, 2, 33_333_333, .max] {
                    for (other, later) in zip(Self.words, Self.words.reversed()) {
                        let first = FrameStamp(number: number, captureTime: time, intervalNanoseconds: interval, stream: 1)
                        for stream in [UInt32(1), 2, .max] {
                            let next = FrameStamp(number: other, captureTime: later, intervalNanoseconds: 1, stream: stream)
                            _ = first.framesMissing(before: next)
                            var statistics = StreamStatistics()
                            for (index, stamp) in [first, next, first, next].enumerated() {
                                statistics.delivered(.stamp(stamp), byteCount: .max, at: Self.words[index * 2])
                            }
                            #expect(statistics.json.hasPrefix("{\"frames\":4,"))
                            #expect(statistics.sentence.hasPrefix("4 frames"))
                        }
                    }
                }
            }
        }
    }

    /// The time from one stamp to the next is rounded to whole intervals, as it always was.
    @Test func missingFramesAreReckonedFromTimes() {
        let first = FrameStamp(number: 5, captureTime: 1000, intervalNanoseconds: 10, stream: 1)
        for (later, missing) in [(1001, 0), (1009, 0), (1014, 0), (1015, 1), (1024, 1), (1025, 2), (1100, 9)] as [(UInt64, UInt64)] {
            let next = FrameStamp(number: 0, captureTime: later, intervalNanoseconds: 10, stream: 2)
            #expect(first.framesMissing(before: next) == missing, "\(later)")
        }
    }

    @Test func anyStatusIsShown() {
        for number in Self.words {
            for fps in [0, -1, Double.greatestFiniteMagnitude, .infinity, .nan] {
                let stream = DeviceStatus.Stream(
                    name: "video", frames: number, lost: .max - number / 2, clients: .max,
                    shown: ["format": "x", "width": .int(.max), "height": .int(.min), "fps": .double(fps)])
                let device = DeviceStatus(
                    id: "", bus: "", vendorId: "", productId: "", name: "", kind: "", driver: "", state: .running, pid: .min,
                    restarts: .min,
                    streams: [stream, stream], drivenSince: number)
                #expect(StatusCommand.table([device]).lines(colours: false).count == 3)
                _ = StatusCommand.remarks([device])
                _ = StreamDescription(format: "x", width: .max, height: .max, fps: fps).description
                _ = Figure.duration(milliseconds: fps)
                _ = Figure.bytes(fps)
            }
        }
    }

    @Test func aRecordersCounterMayBeAnything() throws {
        let memory = try RecorderMemory()
        let recorder = try FlightRecorder(descriptor: memory.descriptor, generation: 1)
        _ = recorder.submitted(.bulk, EndpointAddress(rawValue: 0x81), requested: 512)
        let capture = DeviceCapture(
            deviceID: "d", busNumber: 1, deviceNumber: 2, descriptors: [], reader: try RecorderReader(descriptor: memory.descriptor))
        for past in [false, true] {
            var session = CaptureSession(capture, past: past)
            for count in Self.words + Self.words.reversed() + [0, .max, 1, .max, .max, 0] {
                _ = withUnsafeBytes(of: count) { pwrite(memory.descriptor, $0.baseAddress, 8, 0) }
                _ = session.next(limit: .max - session.count)
            }
        }
    }
}
