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
            if let automatic = definition.automatic {
                #expect(all.contains { $0.name == automatic.name } && !automatic.manual.isEmpty)
            }
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
        let controls = VideoControls(device: device, function: function(processing: [0]))
        #expect(device.requests.isEmpty, "nothing is asked before somebody wants to know it")
        var odd: [String] = []
        let control = try await controls.control("brightness") { odd.append($0) }
        #expect(control.minimum == -64 && control.maximum == 64 && control.step == 2 && control.defaultValue == 4)
        #expect(control.isReadable && control.isWritable)
        #expect(try await controls.value(control) == -1)
        #expect(odd == [])
        // GET_CUR of selector 2, entity 2, interface 3
        #expect(device.requests.last?.setup == ControlSetup(requestType: 0xa1, request: 0x81, value: 0x0200, index: 0x0203, length: 2))
    }

    @Test func oneControlIsAskedAboutItselfOnly() async throws {
        let contrast: [UInt8: [UInt8]] = [0x86: [3], 0x81: [5, 0], 0x82: [0, 0], 0x83: [9, 0], 0x84: [1, 0], 0x87: [5, 0]]
        let device = device([0x0202: Self.brightness, 0x0302: contrast])
        let controls = VideoControls(device: device, function: function(processing: [0, 1]))
        _ = try await controls.value(controls.control("contrast"))
        #expect(device.requests.allSatisfy { $0.setup.value == 0x0300 })
    }

    @Test func settingRoundsToTheStepAndChecksTheRange() async throws {
        let device = device([0x0202: Self.brightness])
        let controls = VideoControls(device: device, function: function(processing: [0]))
        let brightness = try await controls.control("brightness")
        #expect(try await controls.set(brightness, to: -7) == -6)
        #expect(device.sent(0x02) == [[0xfa, 0xff]])
        #expect(try await controls.value(brightness) == -6)
        for value in [65, -65, .max, .min] {
            await #expect {
                try await controls.set(brightness, to: value)
            } throws: {
                ($0 as? VideoControlError)?.code == .outOfRange && "\($0)".contains("it ranges from -64 to 64 in steps of 2")
            }
        }
        #expect(device.sent(0x02).count == 1)
    }

    @Test(arguments: [
        ("brightnes", "Did you mean brightness?"), ("Brightness", "Did you mean brightness?"), ("exposure", "exposure_auto or"),
        ("x", "It has brightness"), ("", "It has brightness"), ("white_balance", "white_balance_temperature"),
    ]) func anUnknownNameIsToldWhatComesNearest(name: String, hint: String) async throws {
        let controls = VideoControls(device: device([:]), function: function(camera: [1, 3], processing: [0, 6]))
        #expect {
            try controls.definition(name)
        } throws: {
            ($0 as? VideoControlError)?.code == .noSuchControl && "\($0)".contains(hint) && "\($0)".contains("no control \"\(name)\"")
        }
        #expect(try controls.definition("auto_exposure").name == "exposure_auto", "as v4l2-ctl calls it")
    }

    @Test func menusOfferWhatTheDeviceSays() async throws {
        let controls = VideoControls(
            device: device([
                0x0502: [0x86: [3], 0x81: [1], 0x82: [0], 0x83: [2], 0x87: [1]],  // power line frequency up to 60 Hz
                0x0201: [0x86: [3], 0x81: [8], 0x84: [0x09], 0x87: [8]],  // exposure: manual and aperture priority
                0x0b02: [0x86: [3], 0x81: [1], 0x87: [1]],  // automatic white balance
            ]), function: function(camera: [1], processing: [10, 12]))
        let frequency = try await controls.control("power_line_frequency")
        #expect(frequency.items.map(\.text) == ["disabled", "50 Hz", "60 Hz"])
        #expect(frequency.value(named: "60hz") == 2 && frequency.value(named: "1") == 1 && frequency.value(named: "70 Hz") == nil)
        let exposure = try await controls.control("auto_exposure")
        #expect(exposure.items.map(\.value) == [1, 8])
        #expect(exposure.value(named: "aperture_priority") == 8)
        await #expect { try await controls.set(exposure, to: 2) } throws: { "\($0)".contains("1 (manual), 8 (aperture priority)") }
        let white = try await controls.control("white_balance_automatic")
        #expect(white.minimum == 0 && white.maximum == 1 && white.value(named: "off") == 0 && white.value(named: "on") == 1)
        #expect(try await controls.set(white, to: 0) == 0)
    }

    @Test func aFieldKeepsItsNeighbour() async throws {
        let pan: [UInt8: [UInt8]] = [
            0x86: [3], 0x81: [0x10, 0x0e, 0, 0, 0xf0, 0xf1, 0xff, 0xff],  // pan 3,600, tilt -3,600
            0x82: [0x00, 0x73, 0xff, 0xff, 0x00, 0x73, 0xff, 0xff], 0x83: [0x00, 0x8d, 0, 0, 0x00, 0x8d, 0, 0],
            0x84: [0x10, 0x0e, 0, 0, 0x10, 0x0e, 0, 0], 0x87: [0, 0, 0, 0, 0, 0, 0, 0],
        ]
        let device = device([0x0d01: pan])
        let controls = VideoControls(device: device, function: function(camera: [11]))
        let (pan_, tilt) = (try await controls.control("pan_absolute"), try await controls.control("tilt_absolute"))
        #expect(try await controls.value(pan_) == 3_600)
        #expect(try await controls.value(tilt) == -3_600)
        #expect(tilt.minimum == -36_096)
        try await controls.set(tilt, to: 0)
        #expect(device.sent(0x0d).last?.prefix(4) == [0x10, 0x0e, 0, 0])
        #expect(try await controls.value(pan_) == 3_600)
    }

    @Test func aControlThatRefusesEverythingSaysSo() async throws {
        let controls = VideoControls(device: device([0x0202: Self.brightness]), function: function(processing: [0, 1]))
        await #expect { try await controls.control("contrast") } throws: { ($0 as? VideoControlError)?.code == .refused }
        #expect(try await controls.control("brightness").maximum == 64)
    }

    @Test func informationThatLiesIsNotBelieved() async throws {
        var table = Self.brightness
        table[0x86] = [0x00]  // neither to be read nor set, it says
        func brightness() async throws -> VideoControl {
            try await VideoControls(device: device([0x0202: table]), function: function(processing: [0])).control("brightness")
        }
        #expect(try await brightness().isReadable)
        #expect(try await brightness().isWritable)
        table[0x86] = nil
        #expect(try await brightness().isWritable)
        table[0x86] = [0x01]
        let fixed = try await brightness()
        #expect { try fixed.accepted(0) } throws: { ($0 as? VideoControlError)?.code == .readOnly }
    }

    @Test(
        arguments: [
            [0x82: [0x40, 0x00], 0x83: [0xc0, 0xff]],  // minimum above maximum
            [0x84: [0x00, 0x00]], [0x84: [0xff, 0xff]], [0x84: [0xff, 0x7f]],  // steps of 0, -1 and 32,767
            [0x87: [0xff, 0x7f]], [0x87: [0xff, 0x7f], 0x81: [0xff, 0x7f]],  // a default, and a value, out of range
            [0x82: [0x40, 0x00]],  // minimum and maximum the same
            [0x82: [0x05]], [0x83: []],  // short answers
            [0x82: [0x00, 0x80], 0x83: [0xff, 0x7f], 0x84: [0x01, 0x00]],  // the whole field
        ] as [[UInt8: [UInt8]]])
    func nonsenseIsMadeSensible(spoilt: [UInt8: [UInt8]]) async throws {
        let table = Self.brightness.merging(spoilt) { $1 }
        let controls = VideoControls(device: device([0x0202: table]), function: function(processing: [0]))
        let control = try await controls.control("brightness")
        #expect(control.minimum <= control.maximum && control.step >= 1)
        #expect((control.minimum...control.maximum).contains(control.defaultValue))
        for value in [control.minimum, control.maximum, control.defaultValue, control.minimum + (control.maximum - control.minimum) / 2] {
            #expect((control.minimum...control.maximum).contains(try control.accepted(value)))
        }
    }

    @Test func aRangeTheWrongWayRoundIsExchanged() async throws {
        let table = Self.brightness.merging([0x82: [0x40, 0x00], 0x83: [0xc0, 0xff]]) { $1 }
        var odd: [String] = []
        let controls = VideoControls(device: device([0x0202: table]), function: function(processing: [0]))
        let control = try await controls.control("brightness") { odd.append($0) }
        #expect(control.minimum == -64 && control.maximum == 64 && control.defaultValue == 4)
        #expect(odd == ["brightness has a minimum, 64, above its maximum, -64; they are swapped."])
    }

    /// GET_LEN is asked where the standard's length does not do: a device of one byte, and one of four.
    @Test(arguments: [1, 4]) func aControlMayHaveAnotherLength(length: Int) async throws {
        let values: [UInt8: UInt8] = [0x81: 5, 0x82: 0, 0x83: 9, 0x84: 1, 0x87: 5]
        let device = FakeDevice { setup, _ throws(USBError) in
            if setup.request == 0x85 { return [UInt8(length), 0] }
            if setup.request == 0x86 { return [3] }
            guard Int(setup.length) == length else { throw USBError.stalled }
            return values[setup.request].map { [$0] + [UInt8](repeating: 0, count: length - 1) } ?? []
        }
        let controls = VideoControls(device: device, function: function(processing: [0]))
        let control = try await controls.control("brightness")
        #expect(control.maximum == 9 && control.length == length)
        #expect(try await controls.value(control) == 5)
        try await controls.set(control, to: 7)
        #expect(device.sent(0x02) == [[7] + [UInt8](repeating: 0, count: length - 1)])
    }

    @Test(arguments: [[0, 0], [0xff, 0xff], [2, 0], [], [9]] as [[UInt8]]) func aLengthThatLiesIsNotBelieved(answer: [UInt8]) async throws {
        var table = Self.brightness
        table[0x81] = [5]
        table[0x85] = answer
        let controls = VideoControls(device: device([0x0202: table]), function: function(processing: [0]))
        let control = try await controls.control("brightness")
        #expect(control.length == 2)
        #expect(try await controls.value(control) == 5)
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
        let controls = VideoControls(device: device, function: function(processing: [6, 12]))
        let temperature = try await controls.control("white_balance_temperature")
        #expect(try await controls.holder(of: temperature)?.name == "white_balance_automatic")
        #expect(try await controls.holder(of: controls.control("white_balance_automatic")) == nil)
        await #expect {
            try await controls.set(temperature, to: 4_000)
        } throws: { error in
            (error as? VideoControlError)?.code == .held
                && "\(error)".hasSuffix("white_balance_automatic is on: set white_balance_automatic=off first")
        }
        let quiet = VideoControls(device: device, function: function(processing: [6, 12]), quirks: .noErrorCode)
        await #expect(throws: VideoControlError.self) { try await quiet.set(temperature, to: 4_000) }
        #expect(device.requests.filter { $0.setup.value == 0x0200 && $0.setup.index == 3 }.count == 1, "asked why once, by the first")
    }

    /// The automatic control's value decides. GET_INFO's D2 is often never set, and sometimes always.
    @Test(
        arguments: [
            (1, 0x07, nil), (4, 0x07, nil), (8, 0x03, "exposure_auto is aperture priority: set exposure_auto=manual first"),
            (2, 0x0f, "exposure_auto is auto: set exposure_auto=manual first"),
        ] as [(UInt8, UInt8, String?)])
    func anAutomaticControlIsKnownByItsValue(mode: UInt8, information: UInt8, remedy: String?) async throws {
        let controls = VideoControls(
            device: device([
                0x0201: [0x86: [3], 0x81: [mode], 0x84: [0x0f], 0x87: [8]],
                0x0401: [0x86: [information], 0x81: [9, 0, 0, 0], 0x82: [1, 0, 0, 0], 0x83: [99, 0, 0, 0]],
            ]), function: function(camera: [1, 3]))
        #expect(try await controls.holder(of: controls.control("exposure_time_absolute"))?.remedy == remedy)
    }

    @Test func aDeviceThatIsGoneEndsIt() async throws {
        let gone = FakeDevice { _, _ throws(USBError) in throw USBError(.noDevice, operation: "control") }
        await #expect {
            _ = try await VideoControls(device: gone, function: function(processing: [0])).control("brightness")
        } throws: {
            ($0 as? VideoControlError)?.underlying?.code == .noDevice
        }
        #expect(gone.requests.count == 1)
    }

    /// A control that hangs costs one time-out, and each question about it that can be done without no more than two.
    @Test func aSilentControlIsAskedOnce() async throws {
        let dumb = FakeDevice { _, _ throws(USBError) in throw USBError(.timedOut, operation: "control") }
        let controls = VideoControls(device: dumb, function: function(processing: [0, 1]))
        await #expect { try await controls.control("brightness", limit: .milliseconds(1500)) } throws: {
            ($0 as? VideoControlError)?.code == .silent && "\($0)".contains("1500 ms")
        }
        #expect(dumb.requests.count == 1)
        #expect(try await !controls.answersAnything())
        let values = Values([0x0202: [0x81: [5, 0]]])
        let shy = FakeDevice { setup, data throws(USBError) in
            guard setup.request == 0x81 else { throw USBError(.timedOut, operation: "control") }
            return try values.answer(setup, data)
        }
        let known = try await VideoControls(device: shy, function: function(processing: [0])).control("brightness")
        #expect(known.isReadable && known.minimum == -32_768 && known.maximum == 32_767)
        #expect(shy.requests.count == 3)
    }
}
