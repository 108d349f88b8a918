// Controls: found in the descriptors, asked with tolerance, set within their range.
import Synchronization
import Testing
import USB
import UVC

@Suite struct VideoControlTests {
    /// Camera terminal 1 and processing unit 2 with the given bits.
    private func function(camera: [Int] = [], processing: [Int] = [], inputs: Int = 1) -> VideoFunction {
        func bits(_ set: [Int]) -> ControlBits {
            var bytes: [UInt8] = [0, 0, 0]
            for bit in set { bytes[bit / 8] |= 1 << UInt8(bit % 8) }
            return ControlBits(bytes: bytes)
        }
        return VideoFunction(
            controlInterface: 3, uvcVersion: 0x0110,
            entities: [
                VideoEntity(id: 1, kind: .cameraTerminal(CameraTerminal()), controls: bits(camera)),
                VideoEntity(id: 2, kind: .processingUnit(ProcessingUnit()), sources: [1], controls: bits(processing)),
                VideoEntity(id: 4, kind: .selectorUnit, sources: [UInt8](repeating: 1, count: inputs)),
            ])
    }

    /// Values of one control: request → bytes. Everything else stalls.
    private final class Values: Sendable {
        private let table: Mutex<[UInt16: [UInt8: [UInt8]]]>
        init(_ table: [UInt16: [UInt8: [UInt8]]]) { self.table = Mutex(table) }
        func answer(_ setup: ControlSetup, _ data: [UInt8]) throws(USBError) -> [UInt8] {
            let key = setup.value | setup.index >> 8  // selector above, entity below
            let answer: [UInt8]? = table.withLock { table in
                if setup.request == 0x01 {
                    guard table[key]?[0x81] != nil else { return nil }
                    table[key]?[0x81] = data
                    return []
                }
                return table[key]?[setup.request]
            }
            guard let answer else { throw USBError.stalled }
            return answer
        }
    }

    private func device(_ table: [UInt16: [UInt8: [UInt8]]]) -> FakeDevice {
        let values = Values(table)
        return FakeDevice { setup, data throws(USBError) in try values.answer(setup, data) }
    }

    /// Brightness, selector 2 of entity 2: -64…64, step 2, default 4, now -1.
    private static let brightness: [UInt8: [UInt8]] = [
        0x86: [0x03], 0x82: [0xc0, 0xff], 0x83: [0x40, 0x00], 0x84: [0x02, 0x00], 0x87: [0x04, 0x00], 0x81: [0xff, 0xff],
    ]

    @Test func everyDefinitionIsConsistent() {
        let all = VideoControlDefinition.all
        #expect(Set(all.map(\.name)).count == all.count)
        for definition in all {
            #expect(definition.offset + definition.size <= definition.length)
            #expect([1, 2, 4].contains(definition.size))
            #expect(definition.items.isEmpty == (definition.kind == .integer || definition.kind == .boolean))
            if let automatic = definition.automatic { #expect(all.contains { $0.name == automatic.name }) }
        }
        // The bits are not in the selectors' order: FACTS of UVC 1.5 tables 3-6 and 3-8 against.
        func selector(_ name: String) -> UInt8? { all.first { $0.name == name }?.selector }
        #expect(selector("focus_auto") == 0x08 && selector("privacy") == 0x11 && selector("exposure_auto") == 0x02)
        #expect(selector("brightness") == 0x02 && selector("gain") == 0x04 && selector("backlight_compensation") == 0x01)
    }

    @Test func controlsFollowTheBits() {
        let names = VideoControls.announced(by: function(camera: [1, 3, 11, 17], processing: [0, 6, 10, 12], inputs: 2)).map(\.0.name)
        #expect(
            names
                == [
                    "brightness", "power_line_frequency", "white_balance_automatic", "white_balance_temperature", "exposure_auto",
                    "exposure_time_absolute", "focus_auto", "pan_absolute", "tilt_absolute", "input_select",
                ].sorted { index($0) < index($1) })
        #expect(VideoControls.announced(by: function()).isEmpty)
        #expect(VideoControls.announced(by: function(inputs: 2), quirks: .ignoreSelectorUnit).isEmpty)
        // Bits of a longer or shorter field than the standard's.
        var short = function(camera: [1])
        short.entities[0].controls = ControlBits(bytes: [0x02])
        #expect(VideoControls.announced(by: short).map(\.0.name) == ["exposure_auto"])
    }

    private func index(_ name: String) -> Int { VideoControlDefinition.all.firstIndex { $0.name == name } ?? -1 }

    @Test func aNumberHasItsRange() async throws {
        let device = device([0x0202: Self.brightness])
        let controls = try await VideoControls(device: device, function: function(processing: [0]))
        let control = try controls.control("brightness")
        #expect(control.minimum == -64 && control.maximum == 64 && control.step == 2 && control.defaultValue == 4)
        #expect(control.isReadable && control.isWritable)
        #expect(try await controls.value("brightness") == -1)
        #expect(controls.oddities == [])
        // GET_CUR of selector 2, entity 2, interface 3
        #expect(device.requests.last?.setup == ControlSetup(requestType: 0xa1, request: 0x81, value: 0x0200, index: 0x0203, length: 2))
    }

    @Test func settingRoundsToTheStepAndChecksTheRange() async throws {
        let device = device([0x0202: Self.brightness])
        let controls = try await VideoControls(device: device, function: function(processing: [0]))
        #expect(try await controls.set("brightness", to: -7) == -6)
        #expect(device.sent(0x02) == [[0xfa, 0xff]])
        #expect(try await controls.value("brightness") == -6)
        #expect(try await controls.reset("brightness") == 4)
        #expect(try await controls.value("brightness") == 4)
        await #expect {
            try await controls.set("brightness", to: 65)
        } throws: {
            ($0 as? VideoControlError)?.code == .outOfRange && "\($0)".contains("-64…64")
        }
        #expect(device.sent(0x02).count == 2)
    }

    @Test func anUnknownNameIsToldWhatThereIs() async throws {
        let controls = try await VideoControls(device: device([0x0202: Self.brightness]), function: function(processing: [0]))
        await #expect {
            try await controls.set("brightnes", to: 1)
        } throws: {
            ($0 as? VideoControlError)?.code == .noSuchControl && "\($0)".contains("it has brightness")
        }
    }

    @Test func menusOfferWhatTheDeviceSays() async throws {
        let controls = try await VideoControls(
            device: device([
                0x0502: [0x86: [3], 0x81: [1], 0x82: [0], 0x83: [2], 0x87: [1]],  // power line frequency up to 60 Hz
                0x0201: [0x86: [3], 0x81: [8], 0x84: [0x09], 0x87: [8]],  // exposure: manual and aperture priority
                0x0b02: [0x86: [3], 0x81: [1], 0x87: [1]],  // automatic white balance
            ]), function: function(camera: [1], processing: [10, 12]))
        let frequency = try controls.control("power_line_frequency")
        #expect(frequency.items.map(\.text) == ["disabled", "50 Hz", "60 Hz"])
        #expect(frequency.value(named: "60hz") == 2 && frequency.value(named: "1") == 1 && frequency.value(named: "70 Hz") == nil)
        let exposure = try controls.control("auto_exposure")  // as v4l2-ctl calls it
        #expect(exposure.items.map(\.value) == [1, 8])
        #expect(exposure.value(named: "aperture_priority") == 8)
        await #expect { try await controls.set("exposure_auto", to: 2) } throws: { "\($0)".contains("1 (manual), 8 (aperture priority)") }
        let white = try controls.control("white_balance_automatic")
        #expect(white.minimum == 0 && white.maximum == 1 && white.value(named: "off") == 0 && white.value(named: "on") == 1)
        #expect(try await controls.set("white_balance_automatic", to: 0) == 0)
    }

    @Test func aFieldKeepsItsNeighbour() async throws {
        let pan: [UInt8: [UInt8]] = [
            0x86: [3], 0x81: [0x10, 0x0e, 0, 0, 0xf0, 0xf1, 0xff, 0xff],  // pan 3,600, tilt -3,600
            0x82: [0x00, 0x73, 0xff, 0xff, 0x00, 0x73, 0xff, 0xff], 0x83: [0x00, 0x8d, 0, 0, 0x00, 0x8d, 0, 0],
            0x84: [0x10, 0x0e, 0, 0, 0x10, 0x0e, 0, 0], 0x87: [0, 0, 0, 0, 0, 0, 0, 0],
        ]
        let device = device([0x0d01: pan])
        let controls = try await VideoControls(device: device, function: function(camera: [11]))
        #expect(try await controls.value("pan_absolute") == 3_600)
        #expect(try await controls.value("tilt_absolute") == -3_600)
        #expect(try controls.control("tilt_absolute").minimum == -36_096)
        try await controls.set("tilt_absolute", to: 0)
        #expect(device.sent(0x0d).last?.prefix(4) == [0x10, 0x0e, 0, 0])
        #expect(try await controls.value("pan_absolute") == 3_600)
    }

    @Test func aControlThatRefusesEverythingIsLeftOut() async throws {
        let controls = try await VideoControls(device: device([0x0202: Self.brightness]), function: function(processing: [0, 1]))
        #expect(controls.controls.map(\.name) == ["brightness"])
        #expect(controls.oddities == ["contrast is announced, and refuses every request."])
    }

    @Test func informationThatLiesIsNotBelieved() async throws {
        var table = Self.brightness
        table[0x86] = [0x00]  // neither to be read nor set, it says
        let controls = try await VideoControls(device: device([0x0202: table]), function: function(processing: [0]))
        #expect(try controls.control("brightness").isReadable)
        #expect(try controls.control("brightness").isWritable)
        table[0x86] = nil
        let silent = try await VideoControls(device: device([0x0202: table]), function: function(processing: [0]))
        #expect(try silent.control("brightness").isWritable)
        table[0x86] = [0x01]
        let fixed = try await VideoControls(device: device([0x0202: table]), function: function(processing: [0]))
        await #expect { try await fixed.set("brightness", to: 0) } throws: { ($0 as? VideoControlError)?.code == .readOnly }
    }

    @Test(
        arguments: [
            [0x82: [0x40, 0x00], 0x83: [0xc0, 0xff]],  // minimum above maximum
            [0x84: [0x00, 0x00]], [0x84: [0xff, 0xff]], [0x84: [0xff, 0x7f]],  // steps of 0, -1 and 32,767
            [0x87: [0xff, 0x7f]],  // a default out of range
            [0x82: [0x05]], [0x83: []],  // short answers
            [0x82: [0x00, 0x80], 0x83: [0xff, 0x7f], 0x84: [0x01, 0x00]],  // the whole field
        ] as [[UInt8: [UInt8]]])
    func nonsenseIsMadeSensible(spoilt: [UInt8: [UInt8]]) async throws {
        let table = Self.brightness.merging(spoilt) { $1 }
        let controls = try await VideoControls(device: device([0x0202: table]), function: function(processing: [0]))
        let control = try controls.control("brightness")
        #expect(control.minimum <= control.maximum && control.step >= 1)
        #expect((control.minimum...control.maximum).contains(control.defaultValue))
        for value in [control.minimum, control.maximum, control.defaultValue] {
            #expect((control.minimum...control.maximum).contains(try control.accepted(value)))
        }
    }

    @Test func aRefusalIsExplained() async throws {
        let values = Values([
            0x0a02: [0x86: [0x07], 0x81: [0xa0, 0x0f], 0x82: [0xf0, 0x0a], 0x83: [0x64, 0x19], 0x84: [10, 0], 0x87: [0xa0, 0x0f]],
            0x0b02: [0x86: [3], 0x81: [1], 0x87: [1]],
            0x0200: [0x81: [2]],  // VC_REQUEST_ERROR_CODE: wrong state
        ])
        let device = FakeDevice { setup, data throws(USBError) in
            if setup.request == 0x01 { throw USBError.stalled }
            return try values.answer(setup, data)
        }
        let controls = try await VideoControls(device: device, function: function(processing: [6, 12]))
        #expect(try await controls.isInactive("white_balance_temperature"))
        #expect(try await !controls.isInactive("white_balance_automatic"))
        await #expect {
            try await controls.set("white_balance_temperature", to: 4_000)
        } throws: { error in
            let text = "\(error)"
            return (error as? VideoControlError)?.code == .refused && text.contains("wrong state")
                && text.contains("white_balance_automatic")
        }
        let quiet = try await VideoControls(device: device, function: function(processing: [6, 12]), quirks: .noErrorCode)
        let before = device.requests.count
        await #expect(throws: VideoControlError.self) { try await quiet.set("white_balance_temperature", to: 4_000) }
        #expect(device.requests.count == before + 1)
    }

    @Test func aDeviceThatIsGoneOrDumbEndsIt() async throws {
        let gone = FakeDevice { _, _ throws(USBError) in throw USBError(.noDevice, operation: "control") }
        await #expect { _ = try await VideoControls(device: gone, function: function(processing: [0])) } throws: {
            ($0 as? USBError)?.code == .noDevice
        }
        let dumb = FakeDevice { _, _ throws(USBError) in throw USBError(.timedOut, operation: "control") }
        await #expect { _ = try await VideoControls(device: dumb, function: function(processing: [0, 1, 2, 3, 4])) } throws: {
            ($0 as? USBError)?.code == .timedOut
        }
        #expect(dumb.requests.count <= 6)
    }
}
