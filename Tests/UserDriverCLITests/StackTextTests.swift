// How layers are printed, for people and for scripts.

import DeviceStack
import FakeDaemon
import Testing
import UserDriverClient
import Wire

@testable import UserDriverCLI

@Suite struct StackTextTests {
    static let device = StackReport(
        device: "1209:0001:EMU0001", name: "UserDriver Emulated Webcam",
        layers: [
            StackLayer(.controller, .ok, "0000:00:14.0, driven by xhci_hcd", facts: ["address": "0000:00:14.0", "driver": "xhci_hcd"]),
            StackLayer(
                .kernelDriver, .broken, "uvcvideo has interface 0, 1", facts: ["interfaces": [["number": 0, "driver": "uvcvideo"]]],
                why: "The kernel's driver uvcvideo holds what the user-mode driver needs.", remedy: "userdriver take 1209:0001:EMU0001"),
            StackLayer(.driver, .warning, "io.userdriver.webcam 0.1.0, unsigned", why: "It runs unsigned."),
            StackLayer(.process, .unknown, "none, absent", why: "No driver is running for it."),
        ])
    static let doctor = DoctorReport(
        machine: [StackLayer(.usb, .ok, "2 buses"), StackLayer(.usbfsMemory, .ok, "16 MiB for the transfers of all devices")],
        devices: [device])

    @Test func layersAreAlignedWithWhyAndRemedyBelow() throws {
        try Snapshot.expect(StackText(colours: false).lines(Self.device).joined(separator: "\n"), "stack")
    }

    @Test func theDoctorSaysWhatToFixFirst() throws {
        try Snapshot.expect(StackText(colours: false).lines(Self.doctor).joined(separator: "\n"), "doctor")
    }

    @Test func scriptsGetTheSameShapeAlways() throws {
        try Snapshot.expect(String(decoding: try JSON.encode(Self.device, pretty: true), as: UTF8.self), "stack-json")
        try Snapshot.expect(String(decoding: try JSON.encode(Self.doctor, pretty: true), as: UTF8.self), "doctor-json")
    }

    @Test func whatADeviceSaysCommandsNoTerminal() {
        let hostile = StackReport(device: "a\u{1B}[2J", name: "b\nc", layers: [StackLayer(.process, .broken, "d\u{7}", why: "e\r")])
        let text = StackText(colours: false).lines(hostile).joined(separator: "\n")
        #expect(!text.contains { $0 == "\u{1B}" || $0 == "\u{7}" || $0 == "\r" })
        #expect(text.contains("a [2J  b c"))
    }

    @Test func aTerminalIsColoured() {
        let lines = StackText(colours: true).lines(Self.device)
        #expect(lines.contains { $0.contains("\u{1B}[31mbroken") } && lines.contains { $0.contains("\u{1B}[32m✓") })
    }
}
