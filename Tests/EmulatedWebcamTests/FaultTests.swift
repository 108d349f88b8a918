// Faults happen when they were asked for, and their text says what exists.

import Pictures
import Testing
import USB
import USBEmulation

@testable import EmulatedWebcam

@Suite struct FaultTests {
    func bus(_ faults: String, variant: EmulatedWebcamOptions.Variant = .isochronous) throws -> TestBus {
        let plan = try FaultPlan(parsing: faults)
        return try TestBus {
            $0.startupMilliseconds = 0
            $0.faults = plan
            $0.variant = variant
        }
    }

    @Test func textBecomesAPlanAndBack() throws {
        let text =
            "stall@probe,silence@start,replug@commit:every,error-bit@100,lost-eof@50:every,truncate@30:again,no-fid,slow-control,garbage-payload@7,stall@120,silent-control@focus_absolute,swapped-range@brightness,probe-34,narrow-bus,full-bus"
        #expect(try FaultPlan(parsing: text).description == text)
        #expect(try FaultPlan(parsing: "").description == "")
        #expect(try FaultPlan(parsing: " no-fid , silence@3 ").description == "no-fid,silence@3")
    }

    @Test(arguments: [
        "explode", "error-bit", "error-bit@", "error-bit@x", "error-bit@-1", "error-bit@5:often", "lost-eof@0:every", "no-fid@5", ",",
        "no-fid:again", "no-fid:every", "silent-control", "silent-control@7", "silent-control@start", "silent-control@brightness:every",
        "probe-34@3", "a@b@c", "garbage", "garbage@start", "garbage@3", "error-bit@probe", "stall@probe:again", "stall",
        "stall@nowhere",
    ])
    func badTextIsAnErrorThatListsWhatExists(text: String) {
        #expect { try FaultPlan(parsing: text) } throws: { error in
            "\(error)".contains("error-bit@N") && "\(error)".contains("slow-control") && "\(error)".contains("garbage@PHASE")
        }
    }

    @Test func aPayloadSaysThatItIsDamaged() throws {
        let bus = try bus("error-bit@2")
        bus.start()
        let packets = bus.packets(for: 5 * 33_333_300)
        #expect(packets.filter(\.isError).count == 1)
        #expect(packets.first { $0.isError }.map { ($0.time - packets[0].time) / 33_333_300 } == 2)
        // The stream error code is there once.
        #expect(bus.get(0x81, selector: 0x06, interface: 1) == [2])
        #expect(bus.get(0x81, selector: 0x06, interface: 1) == [0])
    }

    @Test func aLostEndComesAtEveryMultiple() throws {
        let bus = try bus("lost-eof@2:every")
        let start = bus.now
        bus.start()
        let ends = bus.packets(for: 7 * 33_333_300).filter(\.isEnd).map { ($0.time - start) / 33_333_300 }
        #expect(ends == [0, 1, 3, 5])
    }

    @Test func aTruncatedFrameIsTorn() throws {
        let bus = try bus("truncate@1")
        bus.start()
        let frames = TestBus.frames(bus.packets(for: 3 * 33_333_300))
        #expect(frames.map { wholeNumber($0) } == [0, nil, 2])
        guard case .torn(let found) = stamp(frames[1]) else { Issue.record("not torn"); return }
        #expect(found?.number == 1)
    }

    @Test func theFrameIdentifierNeverToggles() throws {
        let bus = try bus("no-fid")
        bus.start()
        #expect(bus.packets(for: 4 * 33_333_300).allSatisfy { !$0.frameID })
    }

    @Test func noiseComesInPlaceOfPayloads() throws {
        let bus = try bus("garbage-payload@1")
        bus.start()
        let packets = bus.packets(for: 3 * 33_333_300)
        #expect(packets.contains { $0.bytes[0] != 12 })
        #expect(wholeNumber(TestBus.frames(packets.filter { $0.bytes[0] == 12 && $0.bytes[1] & 0x8c == 0x8c })[0]) == 0)
    }

    @Test func thePulledCableIsSignalledOnceAndTheCameraIsSilent() throws {
        let bus = try bus("disconnect@2")
        bus.start()
        let packets = bus.packets(for: 5 * 33_333_300)
        #expect(TestBus.frames(packets).compactMap { wholeNumber($0) } == [0, 1])
        #expect(bus.signal.all.filter { $0 == "unplug" }.count == 1)
        // Plugged in again it works, and the fault is used up.
        bus.webcam.detached()
        bus.webcam.attached(now: bus.now, signal: bus.signal)
        bus.start()
        #expect(TestBus.frames(bus.packets(for: 4 * 33_333_300)).count == 4)
    }

    @Test func silenceIsOnEveryEndpointUntilAReset() throws {
        let bus = try bus("silence@1")
        bus.start()
        #expect(TestBus.frames(bus.packets(for: 4 * 33_333_300)).count == 1)
        let setup = ControlSetup(requestType: 0xa1, request: 0x81, value: 0x0200, index: 0x0200, length: 2)
        guard case .silence = bus.webcam.control(setup, data: [], now: bus.now) else { Issue.record("it answers"); return }
        bus.webcam.detached()
        bus.webcam.attached(now: bus.now, signal: bus.signal)
        #expect(bus.get(0x81, selector: 0x02, entity: 2) != nil)
    }

    @Test func aBulkEndpointHaltsAndGoesOnWhenItIsCleared() throws {
        let bus = try bus("stall@2", variant: .bulk)
        bus.start()
        #expect(bus.transfers(for: 5 * 33_333_300, size: 1 << 20).count == 2)
        bus.webcam.haltCleared(endpoint: WebcamInterface.streamingEndpoint, now: bus.now)
        #expect(bus.transfers(for: 3 * 33_333_300, size: 1 << 20).count >= 2)
    }

    @Test func anIsochronousEndpointFallsSilentUntilItIsSetUpAnew() throws {
        let bus = try bus("stall@2")
        bus.start()
        #expect(TestBus.frames(bus.packets(for: 5 * 33_333_300)).count == 2)
        bus.webcam.alternateSettingChanged(interface: 1, to: 0, now: bus.now)
        bus.start()
        #expect(TestBus.frames(bus.packets(for: 4 * 33_333_300)).count == 4)
    }

    @Test func probeAndCommitAreRefusedOnce() throws {
        let bus = try bus("stall@probe,stall@commit")
        let block = TestBus.probeBlock(format: 1, frame: 1, interval: 0)
        #expect(!bus.set(selector: 0x01, interface: 1, block))
        #expect(bus.errorCode == 1)
        #expect(bus.set(selector: 0x01, interface: 1, block))
        #expect(!bus.set(selector: 0x02, interface: 1, block))
        #expect(bus.set(selector: 0x02, interface: 1, block))
    }

    @Test func probeAnswersAreNoise() throws {
        let bus = try bus("garbage@probe:every")
        let first = bus.get(0x81, selector: 0x01, interface: 1, length: 34)
        #expect(first?.count == 34)
        #expect(first != bus.get(0x81, selector: 0x01, interface: 1, length: 34))
    }

    @Test func eachPhaseHasItsRequest() throws {
        func standard(_ type: UInt8, _ request: UInt8, _ value: UInt16, _ index: UInt16) -> ControlSetup {
            ControlSetup(requestType: type, request: request, value: value, index: index, length: 0)
        }
        let bus = try bus("stall@enumerate,silence@configure,stall@start,stall@stop,stall@open")
        func isStalled(_ setup: ControlSetup) -> Bool {
            if case .stall = bus.webcam.standard(setup, now: bus.now) { true } else { false }
        }
        let (descriptor, start, stop) = (standard(0x80, 6, 0x0200, 0), standard(0x01, 11, 1, 1), standard(0x01, 11, 0, 1))
        #expect(isStalled(descriptor) && !isStalled(descriptor))
        // Nothing is stopped before it was started, and the control interface's settings are no phase.
        #expect(!isStalled(stop) && !isStalled(standard(0x01, 11, 0, 0)))
        #expect(isStalled(start) && !isStalled(start))
        bus.start()
        #expect(isStalled(stop) && !isStalled(stop))
        #expect(bus.get(0x81, selector: 0x02, entity: 2) == nil)
        #expect(bus.get(0x81, selector: 0x02, entity: 2) != nil)
        guard case .silence = bus.webcam.standard(standard(0x00, 9, 1, 0), now: bus.now) else { Issue.record("it answers"); return }
        #expect(bus.get(0x81, selector: 0x02, entity: 2) == nil)
    }

    @Test func aSilentControlKeepsSilentAlone() throws {
        let bus = try bus("silent-control@focus_absolute")
        for request: UInt8 in [0x81, 0x82, 0x86] {
            let setup = ControlSetup(requestType: 0xa1, request: request, value: 0x0600, index: 0x0100, length: 2)
            guard case .silence = bus.webcam.control(setup, data: [], now: bus.now) else { Issue.record("it answers"); return }
        }
        #expect(bus.get(0x81, selector: 0x08, entity: 1) == [1])  // focus_auto
        #expect(bus.get(0x81, selector: 0x02, entity: 2) == [0, 0])  // brightness
    }

    @Test func aRangeIsTheWrongWayRound() throws {
        let bus = try bus("swapped-range@brightness")
        #expect(bus.get(0x82, selector: 0x02, entity: 2) == [64, 0])
        #expect(bus.get(0x83, selector: 0x02, entity: 2) == [0xc0, 0xff])
        #expect(bus.get(0x82, selector: 0x03, entity: 2) == [0, 0])
    }

    @Test(arguments: [("probe-26", 26), ("probe-34", 34)]) func oneLengthOfProbeBlocksIsTaken(fault: String, length: Int) throws {
        let bus = try bus(fault)
        for other in [26, 34, 48] {
            #expect(
                bus.set(selector: 0x01, interface: 1, TestBus.probeBlock(format: 1, frame: 1, interval: 0, length: other))
                    == (other == length))
        }
        #expect(bus.get(0x85, selector: 0x01, interface: 1) == [UInt8(length), 0])
    }

    @Test func aNarrowBusRefusesLargeSettings() throws {
        let bus = try bus("narrow-bus")
        for setting: UInt16 in 0...10 {
            let setup = ControlSetup(requestType: 0x01, request: 11, value: setting, index: 1, length: 0)
            if case .stall = bus.webcam.standard(setup, now: bus.now) {
                #expect(setting > 6)  // 1,024 bytes
            } else {
                #expect(setting <= 6)
            }
        }
    }

    @Test func aFullBusTakesLargeSettingsAndNotTheirTransfers() throws {
        let bus = try bus("full-bus")
        let endpoint = WebcamInterface.streamingEndpoint(0)
        for setting: UInt8 in 0...10 {
            let setup = ControlSetup(requestType: 0x01, request: 11, value: UInt16(setting), index: 1, length: 0)
            if case .stall = bus.webcam.standard(setup, now: bus.now) { Issue.record("\(setting) is refused") }
            bus.webcam.alternateSettingChanged(interface: 1, to: setting, now: bus.now)
            #expect(bus.webcam.hasRoom(endpoint: endpoint) == (setting <= 6))  // 1,024 bytes
        }
    }

    @Test func aSlowCameraTakesItsTime() throws {
        let bus = try bus("slow-control")
        let setup = ControlSetup(requestType: 0xa1, request: 0x81, value: 0x0200, index: 0x0200, length: 2)
        guard case .later(let time) = bus.webcam.control(setup, data: [], now: bus.now) else { Issue.record("it answers at once"); return }
        #expect(time == bus.now + 300_000_000)
        guard case .data = bus.webcam.control(setup, data: [], now: time) else { Issue.record("it does not answer"); return }
        guard case .later = bus.webcam.control(setup, data: [], now: time) else { Issue.record("the next one is fast"); return }
    }

    @Test func aFaultOfAFrameThatNobodyFetchedStrikesTheNext() throws {
        let bus = try bus("truncate@3")
        bus.start()
        _ = bus.packets(for: 2 * 33_333_300)
        bus.now += 5 * 33_333_300
        let frames = TestBus.frames(bus.packets(for: 2 * 33_333_300))
        #expect(frames.prefix(2).map { wholeNumber($0) } == [nil, 8])
    }
}
