// Requests: negotiation that clamps, controls with ranges and error codes, what automatic modes forbid and report.

import Testing
import USB
import USBEmulation

@testable import EmulatedWebcam

@Suite struct NegotiationTests {
    @Test(arguments: [26, 34, 48]) func hostsOfEveryVersionNegotiate(length: Int) throws {
        let bus = try TestBus()
        #expect(bus.set(selector: 0x01, interface: 1, TestBus.probeBlock(format: 2, frame: 3, interval: 666_666, length: length)))
        let answer = try #require(bus.get(0x81, selector: 0x01, interface: 1, length: length))
        #expect(answer.count == min(length, 34))
        #expect(answer[2] == 2)  // bFormatIndex
        #expect(answer[3] == 3)  // bFrameIndex
        #expect(TestBus.number(answer, 4, 4) == 666_666)  // dwFrameInterval
        #expect(TestBus.number(answer, 18, 4) == 640 * 480 * 2)  // dwMaxVideoFrameSize
        // 614400 bytes in nine tenths of 66.7 ms: 1281 bytes and a header a microframe, so 2 × 768.
        #expect(TestBus.number(answer, 22, 4) == 1536)  // dwMaxPayloadTransferSize
    }

    @Test func wishesThatDoNotExistAreClamped() throws {
        let bus = try TestBus()
        for (format, frame, interval) in [(UInt8(0), UInt8(0), UInt32(0)), (9, 77, 1), (255, 255, .max), (1, 5, 166_666)] {
            #expect(
                bus.set(selector: 0x01, interface: 1, TestBus.probeBlock(format: format, frame: frame, interval: interval, quality: .max)))
            let answer = try #require(bus.get(0x81, selector: 0x01, interface: 1))
            let modes = WebcamMode.all(of: EmulatedWebcamOptions().formats[Int(answer[2]) - 1])
            let mode = modes[Int(answer[3]) - 1]
            #expect(mode.intervals.contains(UInt32(TestBus.number(answer, 4, 4))))
            #expect(TestBus.number(answer, 12, 2) <= 9000)
            // What was negotiated can be committed, and comes back unchanged.
            #expect(bus.set(selector: 0x02, interface: 1, answer))
            #expect(bus.get(0x81, selector: 0x02, interface: 1) == answer)
        }
    }

    @Test func lengthsThatNoVersionHasAreRefused() throws {
        let bus = try TestBus()
        for length in [0, 1, 25, 27, 33, 47, 49] {
            #expect(!bus.set(selector: 0x01, interface: 1, [UInt8](repeating: 0, count: length)))
            #expect(bus.errorCode == 7)
        }
    }

    @Test func theShapeOfARunningStreamCanNotChange() throws {
        let bus = try TestBus()
        bus.start()
        #expect(!bus.set(selector: 0x02, interface: 1, TestBus.probeBlock(format: 1, frame: 1, interval: 0)))
        #expect(bus.errorCode == 2)
        bus.webcam.alternateSettingChanged(interface: 1, to: 0, now: bus.now)
        #expect(bus.set(selector: 0x02, interface: 1, TestBus.probeBlock(format: 1, frame: 1, interval: 0)))
    }

    @Test func everyModeFitsTheBus() {
        for format in EmulatedWebcamOptions().formats {
            for mode in WebcamMode.all(of: format) {
                #expect(!mode.intervals.isEmpty && mode.intervals == mode.intervals.sorted())
                #expect(mode.intervals.contains(mode.defaultInterval))
                for interval in mode.intervals { #expect(mode.bytesPerMicroframe(interval: interval) <= 3072) }
            }
        }
    }

    @Test func minimumAndMaximumFrameTheNegotiation() throws {
        let bus = try TestBus()
        bus.set(selector: 0x01, interface: 1, TestBus.probeBlock(format: 1, frame: 3, interval: 0))
        let minimum = try #require(bus.get(0x82, selector: 0x01, interface: 1))
        let maximum = try #require(bus.get(0x83, selector: 0x01, interface: 1))
        #expect(TestBus.number(minimum, 4, 4) == 166_666)
        #expect(TestBus.number(maximum, 4, 4) == 2_000_000)
        #expect(TestBus.number(minimum, 12, 2) == 1000)
        #expect(TestBus.number(maximum, 12, 2) == 9000)
        #expect(bus.get(0x85, selector: 0x01, interface: 1) == [34, 0])
        #expect(bus.get(0x86, selector: 0x01, interface: 1) == [3])
        #expect(bus.get(0x84, selector: 0x01, interface: 1) == nil)
    }
}

@Suite struct ControlTests {
    @Test func everyControlOfTheDescriptorsAnswers() throws {
        let bus = try TestBus()
        for control in WebcamControl.allCases {
            let definition = control.definition
            let ask = { (request: UInt8) in bus.get(request, selector: definition.selector, entity: definition.entity) }
            #expect(ask(0x85).map { TestBus.number($0, 0, 2) } == control.length)
            let current = try #require(ask(0x81))
            #expect(current.count == control.length)
            #expect(ask(0x87) == current)
            #expect((ask(0x86)?.first ?? 0) & 3 == 3)
            #expect((ask(0x82) != nil) == definition.hasRange)
            #expect((ask(0x83) != nil) == definition.hasRange)
            #expect((ask(0x84) != nil) == definition.hasResolution)
        }
    }

    @Test func valuesAreKeptWithinTheirRange() throws {
        let bus = try TestBus()
        #expect(bus.set(.brightness, -64))
        #expect(bus.get(0x81, selector: 0x02, entity: 2) == [0xc0, 0xff])
        #expect(!bus.set(.brightness, -65))
        #expect(bus.errorCode == 4)
        #expect(!bus.set(.brightness, 65))
        #expect(bus.get(0x81, selector: 0x02, entity: 2) == [0xc0, 0xff])
        #expect(bus.errorCode == 0)
        #expect(bus.set(.panTilt, -36000, 3600))
        #expect(!bus.set(.panTilt, 0, 36001))
        #expect(!bus.set(.autoExposureMode, 2))
        #expect(bus.errorCode == 4)
    }

    @Test func refusalsAreExplained() throws {
        let bus = try TestBus()
        #expect(bus.get(0x81, selector: 0x02, entity: 77) == nil)
        #expect(bus.errorCode == 5)
        #expect(bus.get(0x81, selector: 0x63, entity: 2) == nil)
        #expect(bus.errorCode == 6)
        #expect(bus.get(0x82, selector: 0x02, entity: 1) == nil)  // GET_MIN of the exposure mode
        #expect(bus.errorCode == 7)
        #expect(bus.get(0x81, selector: 0x02, entity: 3) == nil)  // the output terminal has no controls
        #expect(bus.errorCode == 6)
        #expect(!bus.set(selector: 0x02, entity: 2, [1]))  // brightness has two bytes
        #expect(bus.errorCode == 7)
        #expect(bus.get(0x81, selector: 0x02, entity: 2) != nil)
        #expect(bus.errorCode == 0)
    }

    @Test func automaticModesTakeTheirControlsAwayAndSaySo() throws {
        let bus = try TestBus()
        #expect(bus.get(0x86, selector: 0x04, entity: 1) == [0x0f])  // get, set, disabled by automatic mode, updates itself
        #expect(!bus.set(.exposureTime, 500))
        #expect(bus.errorCode == 2)
        #expect(bus.set(.autoExposureMode, 1))
        #expect(bus.get(0x86, selector: 0x04, entity: 1) == [0x0b])
        #expect(bus.set(.exposureTime, 500))
        // The exposure time is enabled: a report of changed information.
        #expect(bus.signal.all.contains("ready endpoint 1 IN"))
        var reports: [[UInt8]] = []
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
        defer { memory.deallocate() }
        while case .data(let count, ends: true) = bus.webcam.dataIn(endpoint: WebcamInterface.statusEndpoint, now: bus.now, into: memory) {
            reports.append(Array(memory[..<count]))
        }
        #expect(
            reports == [
                // bStatusType 1 (control), bOriginator, bEvent 0, bSelector, bAttribute 1 (info), bValue
                [1, 1, 0, 0x04, 1, 0x0b]
            ])
    }

    /// The exposure mode drives the exposure time; a host is not told that gain depends on it, and may set it at any time.
    @Test func gainIsNobodysToDrive() throws {
        let bus = try TestBus()
        #expect(bus.get(0x86, selector: 0x04, entity: 2) == [0x03])  // get, set
        #expect(bus.set(.gain, 50))
        #expect(bus.get(0x81, selector: 0x04, entity: 2) == [50, 0])
    }

    @Test func automaticExposureReportsItsChangesWhileStreaming() throws {
        let bus = try TestBus { $0.startupMilliseconds = 0 }
        bus.start(interval: 2_000_000)
        _ = bus.packets(for: 20_000 * TestBus.millisecond)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
        defer { memory.deallocate() }
        var exposures: [Int] = []
        while case .data(let count, ends: true) = bus.webcam.dataIn(endpoint: WebcamInterface.statusEndpoint, now: bus.now, into: memory) {
            let report = Array(memory[..<count])
            if report[1] == 1, report[3] == 0x04 {
                #expect(report[4] == 0)
                exposures.append(TestBus.number(report, 5, 4))
            }
        }
        #expect(exposures.count > 3)
        #expect(bus.get(0x81, selector: 0x04, entity: 1).map { TestBus.number($0, 0, 4) } == exposures.last)
    }

    @Test func nothingButClassRequestsIsAnswered() throws {
        let bus = try TestBus()
        for type: UInt8 in [0x40, 0xc0, 0x20, 0xa2, 0x22, 0xa0] {
            for request: UInt8 in [0x00, 0x01, 0x81, 0x87, 0xff] {
                let setup = ControlSetup(requestType: type, request: request, value: 0x0200, index: 0x0200, length: 2)
                guard case .stall = bus.webcam.control(setup, data: [0, 0], now: bus.now) else {
                    Issue.record("\(setup) is answered")
                    continue
                }
            }
        }
    }
}

@Suite struct HandTests {
    private func report(_ bus: TestBus) -> [UInt8]? {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { buffer in
            guard case .data(let count, _) = bus.webcam.dataIn(endpoint: WebcamInterface.statusEndpoint, now: bus.now, into: buffer) else {
                return nil
            }
            return Array(buffer[..<count])
        }
    }

    @Test func aPressedButtonIsReported() throws {
        let bus = try TestBus { $0.hasButton = true }
        #expect(report(bus) == nil)
        bus.webcam.pressButton()
        bus.signal.wait(for: "ready \(WebcamInterface.statusEndpoint)", times: 1)
        // bStatusType: a streaming interface; bOriginator; bEvent: button press; bValue: pressed, then released.
        #expect(report(bus) == [2, 1, 0, 1])
        #expect(report(bus) == [2, 1, 0, 0])
        #expect(report(bus) == nil)
    }

    @Test func theShutterIsMovedByHandOnly() throws {
        let bus = try TestBus { $0.hasShutter = true }
        // GET_INFO: it can be read, and changes by itself.
        #expect(bus.get(0x86, selector: 0x11, entity: WebcamEntity.camera) == [0x09])
        #expect(!bus.set(.privacy, 1) && bus.errorCode == 7)
        bus.webcam.moveShutter()
        #expect(bus.get(0x81, selector: 0x11, entity: WebcamEntity.camera) == [1])
        // bStatusType: control; bOriginator: the camera terminal; bEvent: change; bSelector; bAttribute: value; bValue.
        #expect(report(bus) == [1, WebcamEntity.camera, 0, 0x11, 0, 1])
        // It is where it was when the camera is plugged in again.
        bus.webcam.detached()
        bus.webcam.attached(now: bus.now, signal: bus.signal)
        #expect(bus.get(0x81, selector: 0x11, entity: WebcamEntity.camera) == [1] && report(bus) == nil)
    }

    @Test func aCameraWithoutThemHasNothingToBePressed() throws {
        let bus = try TestBus()
        bus.webcam.pressButton()
        bus.webcam.moveShutter()
        #expect(report(bus) == nil && bus.set(.privacy, 1))
    }
}
