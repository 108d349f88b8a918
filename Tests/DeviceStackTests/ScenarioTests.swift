// Each fault that a person meets: the lowest broken layer is named, with why and what fixes it.

import Foundation
import Testing
import USB
import Wire

@testable import DeviceStack

@Suite struct ScenarioTests {
    /// The camera at 1-2 as it is judged.
    private func stack(
        _ machine: FakeMachine, _ diagnosis: Diagnosis.Device? = FakeDiagnosis.device(),
        daemon: DaemonReach = .running(FakeDiagnosis.daemon()),
        refused: [Diagnosis.Driver] = []
    ) throws -> StackReport {
        let device = try #require(LocalDevice.read("1-2", machine.root))
        return StackJudge.report(
            DeviceFacts(
                place: .local(device), machine: MachineFacts.read(machine.root, release: "6.1"), daemon: daemon, diagnosis: diagnosis,
                refused: refused, descriptors: device.descriptors, speed: device.speedValue))
    }

    private func doctor(
        _ machine: FakeMachine, daemon: DaemonReach = .running(FakeDiagnosis.daemon()),
        drivers: [Diagnosis.Driver] = [FakeDiagnosis.driver],
        socket: SocketFacts = SocketFacts(path: "/run/userdriver/io.userdriver", mode: 0o660, user: 970, group: 970),
        devices: [DeviceFacts] = []
    ) -> DoctorReport {
        StackJudge.report(
            machine: MachineFacts.read(machine.root, release: "6.1"), daemon: daemon, socket: socket, drivers: drivers, devices: devices)
    }

    private func expect(
        _ report: StackReport, _ layer: StackLayer.Name, why: String, remedy: String, location: SourceLocation = #_sourceLocation
    ) throws {
        let broken = try #require(report.layers.lowestBroken, "nothing is broken: \(report.layers)", sourceLocation: location)
        #expect(broken.layer == layer, "\(broken)", sourceLocation: location)
        #expect(broken.why?.contains(why) == true, "\(broken)", sourceLocation: location)
        #expect(broken.remedy?.contains(remedy) == true, "\(broken)", sourceLocation: location)
    }

    private func expect(
        _ report: DoctorReport, _ layer: StackLayer.Name, why: String, remedy: String, location: SourceLocation = #_sourceLocation
    ) throws {
        let broken = try #require(report.broken, "nothing is broken: \(report)", sourceLocation: location)
        #expect(broken.layer.layer == layer, "\(broken)", sourceLocation: location)
        #expect(broken.layer.why?.contains(why) == true, "\(broken)", sourceLocation: location)
        #expect(broken.layer.remedy?.contains(remedy) == true, "\(broken)", sourceLocation: location)
    }

    // MARK: Cameras as /dev/videoN

    @Test func aKernelWithoutTheVirtualControllerIsSaidWithWhatWorksThere() throws {
        let machine = try FakeMachine.healthy()
        func video() -> StackLayer? { doctor(machine).machine.first { $0.layer == .video } }
        // Not installed: nobody misses it.
        #expect(video() == nil)
        try machine.write("", to: "/usr/lib/systemd/system/userdriver-video.service")
        #expect(video()?.health == .warning && video()?.why?.contains("vhci_hcd") == true)
        #expect(video()?.remedy?.contains("modprobe vhci_hcd") == true && video()?.remedy?.contains("userdriver v4l2") == true)
        try machine.write("", to: "/sys/devices/platform/vhci_hcd.0/status")
        #expect(video()?.health == .warning && video()?.remedy == "systemctl start userdriver-video")
        try machine.write("3-1\n3-2\n", to: "/run/userdriver-video/nodes")
        #expect(video()?.health == .ok && video()?.summary == "2 nodes")
    }

    // MARK: Scanners for SANE

    @Test func aScannersAddressIsToldOrWhatIsMissing() throws {
        let machine = try FakeMachine.healthy()
        func endpoint(_ device: Diagnosis.Device) throws -> StackLayer? {
            let report = try stack(machine, device)
            #expect(report.layers.filter { $0.layer == .endpoint }.count <= 1)
            return report.layers.first { $0.layer == .endpoint }
        }
        #expect(try endpoint(FakeDiagnosis.device()) == nil, "a camera has none")
        let url = "http://127.0.0.1:8742/eSCL/"
        let served = try #require(try endpoint(FakeDiagnosis.scanner([.init(kind: "escl", url: url)])))
        #expect(served.health == .ok && served.summary == url && served.why == nil && served.remedy == nil)
        // Not installed: nothing is wrong, and it is said what there is.
        let missing = try #require(try endpoint(FakeDiagnosis.scanner()))
        #expect(missing.health == .ok && missing.summary == "none" && missing.remedy?.contains("userdriver-escl") == true)
        try machine.write("", to: "/usr/lib/systemd/system/userdriver-escl.service")
        let silent = try #require(try endpoint(FakeDiagnosis.scanner()))
        #expect(silent.health == .warning && silent.remedy?.contains("systemctl enable --now userdriver-escl") == true)
        #expect(try endpoint(FakeDiagnosis.scanner(state: .failed))?.health == .unknown)
    }

    // MARK: Nothing

    @Test func aCameraThatWorksIsOkInEveryLayer() throws {
        let report = try stack(try FakeMachine.healthy())
        #expect(report.health == .ok)
        #expect(report.layers.allSatisfy { $0.health == .ok && $0.why == nil && $0.remedy == nil }, "\(report.layers)")
        #expect(
            report.layers.map(\.layer) == [
                .controller, .rootHub, .port, .power, .node, .kernelDriver, .bandwidth, .usbfsMemory, .deviceClass, .driver, .process,
                .stream,
                .clients,
            ])
        #expect(report.layers[0].summary == "0000:00:14.0, driven by xhci_hcd")
        #expect(report.layers[8].summary.hasPrefix("USB Video 1."))
    }

    @Test func aMachineInOrderIsOk() throws {
        let report = doctor(try FakeMachine.healthy())
        #expect(report.health == .ok && report.broken == nil, "\(report)")
    }

    // MARK: The machine

    @Test(arguments: [true, false]) func noUSBInTheKernel(hasModules: Bool) throws {
        let machine = try FakeMachine()
        if hasModules { try machine.write("", to: "/lib/modules/6.1/modules.dep") }
        let report = doctor(machine)
        try expect(report, .usb, why: "no USB", remedy: hasModules ? "modprobe" : "userdriver attach usbip://")
        // What stands on it is not blamed.
        #expect(report.machine.filter { $0.health == .broken }.count == 1)
    }

    @Test func aMachineWithoutUSBIsWellWhileEverythingOnItComesOverTheNetwork() throws {
        let machine = try FakeMachine()
        let camera = DeviceFacts(
            place: .remote(RemoteServer(authority: "10.0.0.7:3240", busID: "1-1", reach: .proven)), machine: MachineFacts(),
            daemon: .running(FakeDiagnosis.daemon()), diagnosis: FakeDiagnosis.device(.running, bus: "usbip://10.0.0.7:3240/1-1"))
        let report = doctor(machine, devices: [camera])
        #expect(report.broken == nil && report.health == .warning, "\(report.machine)")
        #expect(report.machine.first?.layer == .usb && report.machine.first?.why?.contains("no USB") == true)
    }

    @Test func aMachineWithoutUSBHidesNeitherTheAbsentDaemonNorTheMissingPermission() throws {
        let machine = try FakeMachine()
        try expect(doctor(machine, daemon: .notRunning("/run/x")), .daemon, why: "Nothing listens at /run/x", remedy: "userdriver up")
        try expect(
            doctor(machine, daemon: .notPermitted("You may not talk to the daemon.")), .socket, why: "may not", remedy: "usermod -aG")
        try expect(doctor(machine, daemon: .failed("It hangs.")), .daemon, why: "It hangs.", remedy: "userdriver up")
        let nodes = try FakeMachine.healthy()
        try nodes.remove("/dev/bus/usb")
        try expect(doctor(nodes, daemon: .notRunning("/run/x")), .daemon, why: "Nothing listens", remedy: "userdriver up")
    }

    @Test func aKernelWithoutAHostController() throws {
        let machine = try FakeMachine()
        try machine.write("", to: "/sys/bus/usb/drivers_probe")
        try expect(doctor(machine), .usb, why: "no host controller", remedy: "xhci_pci")
    }

    @Test func noDeviceNodes() throws {
        let machine = try FakeMachine.healthy()
        try machine.remove("/dev/bus/usb")
        try expect(doctor(machine), .usbfs, why: "/dev/bus/usb is missing", remedy: "mount")
        try expect(stack(machine), .node, why: "/dev/bus/usb/001/004 does not exist", remedy: "mount")
    }

    @Test func somethingMountedOverTheNodes() throws {
        let machine = try FakeMachine.healthy()
        try machine.remove("/dev/bus/usb/001")
        try machine.write("tmpfs /dev/bus/usb tmpfs rw 0 0", to: "/proc/self/mounts")
        try expect(doctor(machine), .usbfs, why: "mounted over", remedy: "umount /dev/bus/usb")
        try expect(stack(machine), .node, why: "does not exist", remedy: "umount /dev/bus/usb")
    }

    @Test func noDaemon() throws {
        let machine = try FakeMachine.healthy(kernelDriver: "uvcvideo")
        try expect(doctor(machine, daemon: .notRunning("/run/x")), .daemon, why: "Nothing listens at /run/x", remedy: "userdriver up")
        try machine.write("", to: "/usr/lib/systemd/system/userdriverd.service")
        try expect(doctor(machine, daemon: .notRunning("/run/x")), .daemon, why: "Nothing listens", remedy: "systemctl start userdriverd")
        // uvcvideo has it, as it should while nobody drives it: that is not what is wrong.
        try expect(stack(machine, nil, daemon: .notRunning("/run/x")), .daemon, why: "Nothing listens", remedy: "systemctl start")
    }

    @Test func aSocketThatAdmitsOthersOnly() throws {
        let report = doctor(try FakeMachine.healthy(), daemon: .notPermitted("You may not talk to the daemon."))
        try expect(report, .socket, why: "may not talk", remedy: "usermod -aG")
        let root = SocketFacts(path: "/run/x", mode: 0o600, user: 0, group: 0)
        try expect(
            doctor(try FakeMachine.healthy(), daemon: .notPermitted("No."), socket: root), .socket, why: "No.", remedy: "sudo -u '#0'")
    }

    @Test func anUnsignedDriverWarnsWhereItRunsAndIsBrokenWhereItIsRefused() throws {
        var driver = FakeDiagnosis.driver
        driver.verdict = "unsigned"
        driver.code = "Unsigned"
        let machine = try FakeMachine.healthy()
        let warned = doctor(machine, drivers: [driver])
        #expect(warned.health == .warning && warned.broken == nil)
        #expect(warned.machine.last?.remedy == "userdriver driver sign /usr/lib/userdriver/drivers/webcam.driver")
        let report = try stack(machine, FakeDiagnosis.device(warnings: ["unsigned"], driver: driver))
        #expect(report.health == .warning && report.layers.first { $0.layer == .driver }?.why == "It runs unsigned.")
        let refused = Diagnosis.Driver(path: "/opt/my webcam.driver", problem: "it is not signed", code: "NotTrusted")
        try expect(doctor(machine, drivers: [refused]), .drivers, why: "not signed", remedy: "driver sign '/opt/my webcam.driver'")
        try expect(
            stack(machine, FakeDiagnosis.device(.unsupported, driver: nil), refused: [refused]), .driver, why: "not signed",
            remedy: "driver sign")
    }

    @Test func aBundleThatWasAltered() throws {
        let altered = Diagnosis.Driver(path: "/opt/a.driver", problem: "its executable is not the one in the manifest", code: "Unusable")
        try expect(
            doctor(try FakeMachine.healthy(), drivers: [altered]), .drivers, why: "not the one", remedy: "driver verify /opt/a.driver")
    }

    @Test func noDriverAtAll() throws {
        try expect(doctor(try FakeMachine.healthy(), drivers: []), .drivers, why: "No driver is installed", remedy: "make install")
    }

    @Test func aDaemonOutsideTheGroupIsWarnedOf() throws {
        let report = doctor(try FakeMachine.healthy(), daemon: .running(FakeDiagnosis.daemon(user: 1000, groups: [1000])))
        #expect(report.machine.first { $0.layer == .group }?.health == .warning)
    }

    // MARK: The device

    @Test func aNodeThatTheDaemonMayNotOpen() throws {
        let machine = try FakeMachine.healthy()
        let closed = FakeDiagnosis.device(.backoff, reason: "the device can't be opened", nodeProblem: "Permission denied")
        try expect(stack(machine, closed), .node, why: "user 970) can't open it: Permission denied", remedy: "udevadm trigger")
        try expect(
            stack(machine, closed, daemon: .running(FakeDiagnosis.daemon(user: 1000, groups: [1000]))), .node, why: "user 1000",
            remedy: "usermod -aG userdriver")
        try machine.remove("/etc/udev/rules.d/70-userdriver.rules")
        try expect(stack(machine, closed), .node, why: "user 970", remedy: "chown 970 /dev/bus/usb/001/004")
    }

    @Test func theKernelsDriverInTheWay() throws {
        let machine = try FakeMachine.healthy(kernelDriver: "uvcvideo")
        let device = FakeDiagnosis.device(
            .backoff, reason: "the device can't be opened: the kernel's driver uvcvideo has interface 0 of 1-2")
        let report = try stack(machine, device)
        try expect(report, .kernelDriver, why: "uvcvideo holds", remedy: "userdriver take 1209:0001:EMU0001")
        #expect(report.layers.first { $0.layer == .kernelDriver }?.summary == "uvcvideo has interface 0, 1")
    }

    @Test func anotherProgramHasTheDevice() throws {
        let error = USBError(.busy, operation: "libusb_claim_interface(0)")
        try expect(
            stack(try FakeMachine.healthy(), FakeDiagnosis.device(.failed, fault: FakeDiagnosis.fault(error))), .kernelDriver,
            why: "Another program",
            remedy: "fuser -v /dev/bus/usb/001/004")
    }

    @Test func noBandwidth() throws {
        let error = USBError(.noBandwidth, operation: "libusb_set_interface_alt_setting(1, 7)")
        try expect(
            stack(try FakeMachine.healthy(), FakeDiagnosis.device(fault: FakeDiagnosis.fault(error))), .bandwidth, why: "no bandwidth",
            remedy: "--format mjpeg")
    }

    @Test(arguments: [(1, 64), (16, 64), (100, 200)]) func tooLittleMemoryForTransfers(limit: Int, wanted: Int) throws {
        let machine = try FakeMachine.healthy()
        try machine.write("\(limit)", to: MachineFacts.memoryPath)
        let error = USBError(.memoryLimit, operation: "libusb_submit_transfer")
        try expect(
            stack(machine, FakeDiagnosis.device(.backoff, fault: FakeDiagnosis.fault(error))), .usbfsMemory, why: "too low",
            remedy: "echo \(wanted) > /sys/module/usbcore/parameters/usbfs_memory_mb")
        #expect(doctor(machine).machine.first { $0.layer == .usbfsMemory }?.health == (limit < 16 ? .warning : .ok))
    }

    @Test func overCurrentAtTheDevicesPort() throws {
        let machine = try FakeMachine.healthy()
        let counter = FakeMachine.hub + "/1-0:1.0/usb1-port2/over_current_count"
        try machine.write("3", to: counter)
        // It works all the same: worth knowing, not broken.
        #expect(try stack(machine).layers.first { $0.layer == .port }?.health == .warning)
        try expect(stack(machine, FakeDiagnosis.device(.failed)), .port, why: "too much current (3 times)", remedy: "power supply")
    }

    @Test func overCurrentThatTookTheDeviceAway() throws {
        let machine = try FakeMachine.healthy()
        try machine.write("1", to: FakeMachine.hub + "/1-0:1.0/usb1-port2/over_current_count")
        try machine.remove("/sys/bus/usb/devices/1-2")
        #expect(LocalDevice.read("1-2", machine.root) == nil)
        let facts = DeviceFacts(
            place: .unplugged(path: "1-2", overCurrentCount: LocalDevice.overCurrentCount(at: "1-2", machine.root)),
            machine: MachineFacts.read(machine.root), daemon: .running(FakeDiagnosis.daemon()), diagnosis: FakeDiagnosis.device(.absent))
        try expect(StackJudge.report(facts), .port, why: "switched this port off", remedy: "power supply")
        #expect(doctor(machine).machine.first?.why?.contains("1-0:1.0/usb1-port2") == true)
    }

    @Test func aDeviceThatTheKernelDidNotConfigureOrMayNotUse() throws {
        let machine = try FakeMachine.healthy()
        try machine.write("", to: FakeMachine.hub + "/1-2/bConfigurationValue")
        try expect(stack(machine, FakeDiagnosis.device(.failed)), .power, why: "not chosen a configuration", remedy: "power supply")
        try machine.write("0", to: FakeMachine.hub + "/1-2/authorized")
        try expect(stack(machine, FakeDiagnosis.device(.failed)), .port, why: "not authorized", remedy: "echo 1 > ")
    }

    @Test(arguments: [
        FakeDiagnosis.fault(USBError(.malformedAnswer, operation: "GET_CUR(VS_PROBE)", detail: "3 bytes instead of 26")),
        FakeDiagnosis.fault(USBError(.stall, operation: "SET_CUR(VS_COMMIT)")),
        CallError("NoFrames", "The stream was started 4 times without a frame.", layer: "class"),
    ]) func aDeviceThatAnswersGarbage(_ fault: CallError) throws {
        try expect(
            stack(try FakeMachine.healthy(), FakeDiagnosis.device(.backoff, fault: fault)), .deviceClass, why: fault.message,
            remedy: "userdriver inspect"
        )
    }

    /// The same words without the value mean nothing: nobody reads them.
    @Test func aSentenceIsNoEvidence() throws {
        let words = "the bus has no bandwidth left for this; the resource is busy; access denied; times without a frame"
        let report = try stack(
            try FakeMachine.healthy(),
            FakeDiagnosis.device(.backoff, reason: words, fault: CallError("DriverDied", words, layer: "process")))
        #expect(report.layers.lowestBroken?.layer == .process, "\(report.layers)")
    }

    @Test func theDriversOwnRemedyIsTheOneThatIsSaid() throws {
        let fault = CallError("Jammed", "A sheet is stuck.", layer: "class", remedy: "open the lid and take the sheet out")
        try expect(
            stack(try FakeMachine.healthy(), FakeDiagnosis.thermometer(fault: fault)), .deviceClass, why: "A sheet is stuck.",
            remedy: "open the lid")
    }

    // MARK: Other kinds of devices

    /// Device, configuration and one interface of a class (USB 2.0 tables 9-8, 9-10, 9-12), no endpoints.
    private static func descriptors(_ code: ClassCode) -> [UInt8] {
        [18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x09, 0x12, 0x02, 0x00, 0x00, 0x01, 1, 2, 3, 1]
            + [9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, code.class, code.subclass, code.protocol, 0]
    }

    @Test(arguments: [
        (ClassCode(0x03, 0, 0), "thermometer: human interface"), (ClassCode(0xff, 0, 0), "thermometer: vendor specific"),
        (ClassCode(0x07, 1, 4), "thermometer: printer, IPP over USB"), (ClassCode(0x42, 1, 2), "thermometer: class 42/01/02"),
    ])
    func aDeviceIsToldByItsDriverAndItsClass(code: ClassCode, summary: String) throws {
        let machine = try FakeMachine.healthy()
        try machine.write(Self.descriptors(code), to: FakeMachine.hub + "/1-2/descriptors")
        let report = try stack(machine, FakeDiagnosis.thermometer())
        #expect(report.health == .ok, "\(report.layers)")
        #expect(report.layers.first { $0.layer == .deviceClass }?.summary == summary)
        #expect(report.layers.first { $0.layer == .stream }?.summary == "none")
        // Nothing of what is said takes it for a camera.
        let words = report.layers.map { "\($0.summary) \($0.why ?? "") \($0.remedy ?? "")" }.joined(separator: " ")
        for word in ["video", "Video", "format", "camera", "mjpeg"] { #expect(!words.contains(word), "\(words)") }
    }

    @Test func whatADriverIsAtStandsInPlaceOfStreams() throws {
        let machine = try FakeMachine.healthy()
        try machine.write(Self.descriptors(ClassCode(0xff, 0, 0)), to: FakeMachine.hub + "/1-2/descriptors")
        let page = DeviceStatus.Activity(name: "page 1", unit: "lines", done: 120, rate: 30)
        let report = try stack(machine, FakeDiagnosis.thermometer(activities: [page]))
        #expect(report.layers.first { $0.layer == .stream }?.summary == "page 1 120 lines")
    }

    @Test func noBandwidthForWhatIsNoCamera() throws {
        let machine = try FakeMachine.healthy()
        try machine.write(Self.descriptors(ClassCode(0xff, 0, 0)), to: FakeMachine.hub + "/1-2/descriptors")
        let fault = FakeDiagnosis.fault(USBError(.noBandwidth, operation: "USBDEVFS_SETINTERFACE"))
        try expect(stack(machine, FakeDiagnosis.thermometer(fault: fault)), .bandwidth, why: "no bandwidth", remedy: "another bus")
    }

    /// What errors name is a layer of the stack, each.
    @Test func theLayersOfErrorsAreThoseOfTheStack() {
        let codes: [USBError.Code] = [.noBandwidth, .memoryLimit, .malformedAnswer, .stall, .overflow, .busy, .accessDenied, .connection]
        for code in codes { #expect(code.layer.flatMap(StackLayer.Name.init) != nil, "\(code.name)") }
    }

    @Test func aStreamOfNoise() throws {
        var device = FakeDiagnosis.device()
        device.status.streams[0].frames = 3
        device.status.streams[0].lost = 400
        try expect(stack(try FakeMachine.healthy(), device), .deviceClass, why: "400 of 403 frames", remedy: "userdriver inspect")
        device.status.streams[0].frames = 900
        #expect(try stack(try FakeMachine.healthy(), device).layers.first { $0.layer == .stream }?.health == .warning)
    }

    @Test func descriptorsThatAreNoise() throws {
        let machine = try FakeMachine.healthy()
        try machine.write([0xff, 0x00, 0x12, 0x34], to: FakeMachine.hub + "/1-2/descriptors")
        try expect(stack(machine, FakeDiagnosis.device(.failed)), .deviceClass, why: "make no sense", remedy: "inspect")
    }

    @Test func aDriverThatWasGivenUp() throws {
        try expect(
            stack(try FakeMachine.healthy(), FakeDiagnosis.device(.failed, reason: "SIGSEGV. The driver died 10 times in a row.")),
            .process,
            why: "10 times", remedy: "userdriver restart 1209:0001:EMU0001")
    }

    @Test func aDriverThatWasReplacedIsWorthAWarning() throws {
        let process = try stack(try FakeMachine.healthy(), FakeDiagnosis.device(restarts: 2)).layers.first { $0.layer == .process }
        #expect(process?.health == .warning && process?.summary == "pid 42, running, 2 restarts")
    }

    // MARK: On another machine

    private func remote(_ reach: RemoteServer.Reach, _ state: DeviceStatus.State? = .running) -> StackReport {
        let url = "usbip://10.0.0.7:3240/1-1"
        return StackJudge.report(
            DeviceFacts(
                place: .remote(RemoteServer(authority: "10.0.0.7:3240", busID: "1-1", reach: reach)), machine: MachineFacts(),
                daemon: .running(FakeDiagnosis.daemon()), diagnosis: state.map { FakeDiagnosis.device($0, bus: url) }))
    }

    @Test func aServerThatDoesNotAnswer() throws {
        try expect(remote(.unreachable("connect: refused"), nil), .server, why: "can't be reached: connect: refused", remedy: "usbipd")
        try expect(remote(.withholds(["2-1"]), .absent), .server, why: "does not offer 1-1 (it offers 2-1)", remedy: "usbip bind -b 1-1")
    }

    @Test func aRemoteCameraNeedsNoUSBHere() {
        let report = remote(.proven)
        #expect(report.layers.lowestBroken == nil && report.layers.map(\.layer).prefix(2) == [.server, .connection])
    }
}
