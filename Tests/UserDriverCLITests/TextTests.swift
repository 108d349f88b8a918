// What people type and read.

import FrameRing
import Testing
import UserDriverClient
import Wire

@testable import UserDriverCLI

@Suite struct TextTests {
    @Test func numbersAreRoundedWithoutTrailingZeroes() {
        #expect(Figure.decimal(30, places: 3) == "30")
        #expect(Figure.decimal(29.970_03, places: 2) == "29.97")
        #expect(Figure.decimal(0.05, places: 1) == "0.1")
        #expect(Figure.decimal(-0.001, places: 2) == "0")
        #expect(Figure.decimal(.nan, places: 2) == "0")
        #expect(Figure.decimal(.infinity, places: 2) == "0")
    }

    @Test func sizesAndTimesReadWell() {
        #expect(Figure.bytes(999) == "999 B")
        #expect(Figure.bytes(3_450_000) == "3.45 MB")
        #expect(Figure.bytes(34_500_000) == "34.5 MB")
        #expect(Figure.duration(milliseconds: 5.25) == "5.3 ms")
        #expect(Figure.duration(milliseconds: 340) == "340 ms")
        #expect(Figure.duration(milliseconds: 2500) == "2.5 s")
        #expect(Figure.duration(milliseconds: 192_000) == "3 min 12 s")
        #expect(Figure.duration(milliseconds: 7_500_000) == "2 h 5 min")
        #expect(Figure.count(1, "frame") == "1 frame" && Figure.count(0, "frame") == "0 frames")
    }

    @Test func tablesAreAligned() {
        var table = TextTable("NAME", "COUNT", "NOTE", rightAligned: [1])
        table.add("a", "5", "x")
        table.add("longer", "12345678", "")
        #expect(table.lines(colours: false) == ["NAME       COUNT  NOTE", "a              5  x", "longer  12345678"])
    }

    @Test func coloursStandAroundTheTextOnly() {
        var table = TextTable("A", "B")
        table.add(.init("x", .red), "y")
        #expect(table.lines(colours: true)[1] == "\u{1B}[31mx\u{1B}[0m  y")
    }

    @Test(arguments: [("640x480", 640, 480), ("1920X1080", 1920, 1080), ("32×8", 32, 8)])
    func sizesAreParsed(_ text: String, _ width: Int, _ height: Int) {
        let size = PictureSize(argument: text)
        #expect(size?.width == width && size?.height == height)
    }

    @Test(arguments: ["", "640", "640x", "x480", "0x480", "640x480x2", "-1x5", "999999x1"])
    func whatIsNoSizeIsRefused(_ text: String) { #expect(PictureSize(argument: text) == nil) }

    @Test func timesAreParsed() {
        #expect(Seconds(argument: "2.5")?.value == 2.5)
        #expect(Seconds(argument: "10s")?.value == 10)
        #expect(Seconds(argument: "500ms")?.value == 0.5)
        for text in ["", "-1", "nan", "inf", "1e99", "abc"] { #expect(Seconds(argument: text) == nil) }
    }

    @Test(arguments: [
        "usbip://127.0.0.1:3240/1-1", "usbip://host/1-1.2", "usbip://[::1]:3240/1-1", "usbip://[::1]/1-1",
    ]) func addressesAreRecognised(_ text: String) { #expect(USBIPAddress.isValid(text)) }

    @Test(arguments: [
        "", "1-1", "http://a/1-1", "usbip://", "usbip://host", "usbip://host/", "usbip:///1-1", "usbip://host:0/1-1", "usbip://host:x/1-1",
        "usbip://host:70000/1-1", "usbip://host/1-1/2", "usbip://host/0123456789012345678901234567890123456789", "usbip://[]/1-1",
    ]) func whatIsNoAddressIsRefused(_ text: String) { #expect(!USBIPAddress.isValid(text)) }

    @Test func serialNumbersCountUp() {
        #expect(EmulatedWebcamArguments.serial("EMU0001", 0) == "EMU0001")
        #expect(EmulatedWebcamArguments.serial("EMU0001", 9) == "EMU0010")
        #expect(EmulatedWebcamArguments.serial("X", 1) == "X-2")
        #expect(EmulatedWebcamArguments.serial("9", 1) == "10")
    }

    @Test func wordsAreQuotedForAShell() {
        #expect(ShellText.quoted(".build/release/userdriver") == ".build/release/userdriver")
        #expect(ShellText.quoted("a b") == "'a b'")
        #expect(ShellText.quoted("it's") == "'it'\\''s'")
        #expect(ShellText.quoted("") == "''")
    }

    @Test func newsOfAStreamAreSentences() {
        #expect(StreamNews.line(.gap(first: 4, count: 10, cause: .driverRestarted)) == "10 frames missing: the driver restarted")
        #expect(
            StreamNews.line(.driverRestarted(generation: 2, restarts: 1, message: "SIGKILL")) == "driver restarted (incarnation 2): SIGKILL"
        )
        #expect(StreamNews.line(.deviceAbsent("")) == "device absent; waiting for it")
        #expect(StreamNews.line(.deviceAbsent("It was unplugged.")) == "device absent: It was unplugged; waiting for it")
        #expect(
            StreamNews.line(.changed(StreamDescription(format: "nv12", width: 64, height: 8, fps: 15)))
                == "stream changed to NV12 64×8 at 15 frames a second")
    }

    @Test func theInvitationNamesTheFolderOnlyWhereItIsNotTheUsualOne() {
        let usual = UpText.invitation(
            directory: RuntimeDirectory.own(environment: RuntimeDirectory.processEnvironment().filter { $0.key == "XDG_RUNTIME_DIR" }),
            devices: ["x"], program: "userdriver")
        #expect(usual.contains("  userdriver snap -o photo.jpg\n") && !usual.contains("--runtime-dir"))
        let several = UpText.invitation(directory: RuntimeDirectory("/tmp/x"), devices: ["1209:0001:A", "b@c d"], program: "userdriver")
        for command in ["snap 1209:0001:A ", "stream 1209:0001:A ", "controls list 1209:0001:A "] { #expect(several.contains(command)) }
        let scale = UpText.invitation(
            directory: RuntimeDirectory("/tmp/x"), devices: ["1209:0002:A"], kind: "scale", program: "userdriver")
        #expect(scale.contains("userdriver call 1209:0002:A --list --runtime-dir /tmp/x") && !scale.contains("snap"), "\(scale)")
        let other = UpText.invitation(directory: RuntimeDirectory("/tmp/my folder"), devices: [], program: "userdriver")
        #expect(other.contains("userdriver status --runtime-dir '/tmp/my folder'"))
    }

    @Test func statusShowsALineAStream() {
        let stream = DeviceStatus.Stream(
            name: "video", frames: 300, lost: 2, clients: 1, shown: ["format": "mjpeg", "width": 640, "height": 480, "fps": 29.97])
        let device = DeviceStatus(
            id: "1d6b:0104:A", bus: "1-1", vendorId: "1d6b", productId: "0104", name: "Camera", kind: "webcam", driver: "webcam",
            state: .running, pid: 42, restarts: 1, streams: [stream], reason: "It restarted.", warnings: ["unsigned"])
        #expect(
            StatusCommand.table([device]).lines(colours: false) == [
                "DEVICE       NAME    STATE    PID  RESTARTS  STREAM         FPS  FRAMES  LOST  CLIENTS",
                "1d6b:0104:A  Camera  running   42         1  mjpeg 640x480   30     300     2        1",
            ])
        #expect(StatusCommand.remarks([device]) == ["1d6b:0104:A: It restarted.", "1d6b:0104:A: runs unsigned"])
    }

    @Test func statusNamesWhoWatchesAndWhatIsAwaited() {
        let stream = DeviceStatus.Stream(
            name: "video", frames: 1, lost: 0, clients: 2,
            watchers: [.init(pid: 42, uid: 1000, program: "ffplay"), .init(pid: 43, uid: 0, program: "")])
        let device = DeviceStatus(
            id: "a", bus: "1-1", vendorId: "1", productId: "2", name: "Camera", kind: "webcam", driver: "webcam", state: .running, pid: 1,
            restarts: 0, streams: [stream], warnings: [])
        #expect(StatusCommand.remarks([device]) == ["a: watched by ffplay (process 42), process 43"])
        #expect(
            StatusCommand.remarks([Diagnosis.Attachment(url: "usbip://h/1-1", problem: "no such host")]) == [
                "usbip://h/1-1: no device yet: no such host"
            ])
    }

    @Test func statusTellsWhatADriverIsAt() {
        let stream = DeviceStatus.Stream(name: "video", frames: 1, lost: 0, clients: 0)
        var device = DeviceStatus(
            id: "a", bus: "1-1", vendorId: "1", productId: "2", name: "Scanner", kind: "scanner", driver: "scanner", state: .running,
            pid: 1,
            restarts: 0, streams: [stream], warnings: [])
        device.activities = [
            .init(name: "video", unit: "frames", done: 7, rate: 30),
            .init(name: "page 1", unit: "lines", done: 120, rate: 45.25),
            .init(name: "page 2", unit: "lines", done: 0, rate: 0, waiting: .init(reason: "the lamp warms up", seconds: 12.4, limit: 60)),
            .init(name: "", unit: "", done: 3, rate: 0),
        ]
        #expect(
            StatusCommand.remarks([device]) == [
                "a: page 1: 120 lines, 45.3 a second", "a: page 2 waits: the lamp warms up (12 of 60 s)",
                "a: activity: 3 units, 0 a second",
            ])
    }

    @Test func aCrashIsShownInFull() {
        let crash = CrashReport(
            number: 3, time: "2026-01-01T00:00:00.000Z", deviceID: "a", driver: "webcam", pid: 7, generation: 2, cause: "SIGSEGV",
            signal: 11,
            exitStatus: -1, lastWords: ["ouch"], backtrace: ["main"], decision: "restarted at once")
        let lines = CrashesShowCommand.lines(crash)
        #expect(lines.contains("  cause     SIGSEGV") && lines.contains("  ouch") && lines.contains("  #0  main"))
    }
}

@Suite struct ControlTextTests {
    static let brightness = CameraControl(
        name: "brightness", description: "", type: "integer", minimum: -64, maximum: 64, step: 2, default: 10, value: 0)
    static let frequency = CameraControl(
        name: "power_line_frequency", description: "", type: "menu", minimum: 0, maximum: 2, step: 1, default: 1, value: 0,
        menu: [.init(value: 0, text: "Off"), .init(value: 1, text: "50 Hz"), .init(value: 2, text: "60 Hz")])
    /// What a driver may say: any number for each of them.
    @Test(arguments: [Int.min, -1, 0, 1, Int.max], [Int.min, -1, 0, 1, Int.max])
    func noRangeIsTooAbsurdForAShare(minimum: Int, maximum: Int) throws {
        for step in [Int.min, -1, 0, 1, 7, Int.max] {
            let control = CameraControl(
                name: "x", description: "X", type: "integer", minimum: minimum, maximum: maximum, step: step, default: 0, value: 0)
            for share in ["0%", "50%", "99.9%", "100%"] {
                let value = try ControlText.value(share, of: control)
                #expect(value >= min(minimum, maximum) && value <= max(minimum, maximum))
            }
            _ = try? ControlText.value("5", of: control)  // refused or not, it returns
            #expect(!ControlText.range(of: control).isEmpty)
            #expect(ControlText.table([control]).lines(colours: false).count == 2)
        }
    }

    @Test func aShareIsOnAStep() throws {
        let control = CameraControl(
            name: "x", description: "X", type: "integer", minimum: 64, maximum: -64, step: 10, default: 0, value: 0)
        #expect(try ControlText.value("50%", of: control) == -4)
        #expect(try ControlText.value("100%", of: control) == 56)
        #expect(throws: CommandFailure.self) { try ControlText.value("65", of: control) }
    }

    @Test func whatAnAutomaticControlDrivesIsSetAfterIt() throws {
        let focus = CameraControl(
            name: "focus_absolute", description: "Focus", type: "integer", minimum: 0, maximum: 250, step: 1, default: 0, value: 0)
        let words = try ControlText.settings(["focus_absolute=10", "brightness=1", "focus_auto=off"])
        let changes = try ControlText.changes(
            words, of: ["focus_absolute": focus, "brightness": Self.brightness, "focus_auto": Self.focus])
        #expect(changes.map(\.name) == [Self.focus.name, "focus_absolute", "brightness"])
    }

    @Test func aSilentControlIsMarked() {
        let silent = CameraControl(
            name: "focus_absolute", description: "Focus", type: "integer", minimum: 0, maximum: 65535, step: 1, default: 0, value: 0,
            readable: false, writable: false, problem: "silent", message: "the camera did not answer")
        let lines = ControlText.table([silent], awaiting: ["white_balance_temperature"]).lines(colours: false)
        #expect(lines[1].hasPrefix("focus_absolute                 ?") && lines[1].hasSuffix("does not answer"))
    }

    static let focus = CameraControl(
        name: "focus_auto", description: "", type: "boolean", minimum: 0, maximum: 1, step: 1, default: 1, value: 0)

    @Test(arguments: [
        ("0", 0), ("-12", -12), ("0x10", 16), ("50%", 0), ("100%", 64), ("0%", -64), ("min", -64), ("max", 64), ("default", 10),
    ])
    func integersAreRead(_ text: String, _ value: Int) throws { #expect(try ControlText.value(text, of: Self.brightness) == value) }

    @Test func menusAndSwitchesAreReadByName() throws {
        #expect(try ControlText.value("60 hz", of: Self.frequency) == 2)
        #expect(try ControlText.value("on", of: Self.focus) == 1)
        #expect(try ControlText.value("off", of: Self.focus) == 0)
    }

    @Test(arguments: ["65", "-65", "bright", "101%", "0xzz", ""]) func whatIsOutOfRangeIsRefused(_ text: String) {
        #expect(throws: CommandFailure.self) { try ControlText.value(text, of: Self.brightness) }
    }

    @Test func settingsAreReadInBothForms() throws {
        #expect(try ControlText.settings(["a", "-1"]).map { "\($0.name):\($0.value)" } == ["a:-1"])
        #expect(try ControlText.settings(["a=-1", "b=x=y"]).map { "\($0.name):\($0.value)" } == ["a:-1", "b:x=y"])
        for words in [["a"], ["a", "b", "c"], ["=1"], ["a="]] { #expect(throws: (any Error).self) { try ControlText.settings(words) } }
    }
}
