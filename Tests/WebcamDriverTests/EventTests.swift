// What a camera says on its status endpoint, as clients are told of it.

import CameraInterface
import EmulatedWebcam
import Testing
import USB
import USBEmulation
import UVC
import Wire

@testable import WebcamDriver

@Suite struct EventTests {
    private func events(_ packet: [UInt8]) throws -> [CameraEvent] {
        let bytes = try EmulatedWebcam().descriptors
        let configuration = try #require(DescriptorSet(parsing: bytes.device + bytes.configurations[0]).configurations.first)
        let function = try #require(VideoFunction.all(in: configuration, speed: .high).first)
        return StatusEvent(packet)?.events(function) ?? []
    }

    @Test func aChangedControlHasItsNameAndItsValue() throws {
        // Control, processing unit 2, control change, brightness, value, −16.
        #expect(
            try events([1, 2, 0, 0x02, 0, 0xf0, 0xff]) == [
                .controlChanged(CameraControlChange(name: "brightness", now: -16, entity: 2, selector: 2, value: [0xf0, 0xff]))
            ])
        // Camera terminal 1, privacy, value, on.
        #expect(
            try events([1, 1, 0, 0x11, 0, 1]) == [
                .controlChanged(CameraControlChange(name: "privacy", now: 1, entity: 1, selector: 0x11, value: [1]))
            ])
    }

    @Test func panAndTiltAreTwo() throws {
        let changes = try events([1, 1, 0, 0x0d, 0, 0x10, 0x0e, 0, 0, 0xf0, 0xf1, 0xff, 0xff]).map {
            if case .controlChanged(let change) = $0 { "\(change.name ?? "") \(change.now ?? 0)" } else { "" }
        }
        #expect(changes == ["pan_absolute 3600", "tilt_absolute -3600"])
    }

    @Test func theButtonIsPressedAndReleased() throws {
        #expect(try events([2, 1, 0, 1]) == [.button(CameraButton(interface: 1, pressed: true))])
        #expect(try events([2, 1, 0, 0]) == [.button(CameraButton(interface: 1, pressed: false))])
    }

    @Test func whatIsNotUnderstoodHasNoNameOrNoValue() throws {
        // A control that there is not; information about one that there is; no value; packets that end too early or are of no kind.
        #expect(
            try events([1, 77, 0, 0x02, 0, 1]) == [
                .controlChanged(CameraControlChange(name: nil, now: nil, entity: 77, selector: 2, value: [1]))
            ])
        #expect(
            try events([1, 2, 0, 0x02, 1, 3]) == [
                .controlChanged(CameraControlChange(name: "brightness", now: nil, attribute: 1, entity: 2, selector: 2, value: [3]))
            ])
        #expect(
            try events([1, 2, 0, 0x02, 0]) == [
                .controlChanged(CameraControlChange(name: "brightness", now: nil, entity: 2, selector: 2, value: []))
            ])
        for packet in [[], [1], [2, 1, 0], [1, 2, 0, 2], [3, 1, 0, 1, 0], [1, 2, 1, 2, 0, 0]] as [[UInt8]] {
            #expect(try events(packet).isEmpty)
        }
    }
}
