// Makes a device handle of the descriptor that the supervisor handed over.

import FileDescriptors
import FlightRecorder
import Glibc
import TransferRing
import USB
import USBFS
import USBIPHost
import Wire

enum HandedDevice {
    /// The handle owns the descriptors. The driver above can't tell one transport from the other.
    static func open(_ start: DriverStart, descriptors: consuming OwnedDescriptors) throws -> (
        device: any USBDeviceHandle & RingCarrierSource, recorder: FlightRecorder?
    ) {
        let keeper = try keeper(start)
        guard start.hasRecorder, let memory = descriptors.takeLast() else {
            return (try transport(start, descriptors: descriptors, keeper: keeper), nil)
        }
        let recorder = try FlightRecorder(descriptor: memory.number, generation: start.generation)
        let device = try transport(start, descriptors: descriptors, keeper: keeper)
        return (RecordedDevice(device, recorder: recorder), recorder)
    }

    /// Before the device has had a word: the one process that the sandbox lets this one start. A
    /// supervisor that says nothing of it has no rule for any of this.
    private static func keeper(_ start: DriverStart) throws -> TransferKeeper? {
        guard let mayStart = start.mapsTransfers else { return nil }
        let keeper = mayStart ? TransferKeeper(incarnation: start.generation) : nil
        try TransferKeeper.forbid()
        if mayStart, keeper == nil { complain("There is no keeper for this driver's transfers: usbfs copies them.") }
        return keeper
    }

    private static func transport(
        _ start: DriverStart, descriptors: consuming OwnedDescriptors, keeper: TransferKeeper?
    ) throws -> any USBDeviceHandle & RingCarrierSource {
        let information = try start.device.decoded(as: USBDeviceInformation.self)
        guard let control = descriptors.takeFirst() else { throw CallError("ContractBroken", "The device came without a descriptor.") }
        switch start.transport {
        case .usbfs:
            guard let streaming = descriptors.takeFirst() else {
                throw CallError("ContractBroken", "The device came without its streaming interfaces' file.")
            }
            return try USBFSDevice(
                wrapping: control, streaming: streaming, interfaces: start.streamInterfaces, information: information, keeper: keeper)
        case .usbip: return try USBIPDevice(adopting: control, information: information, deviceID: start.usbipDeviceID)
        }
    }
}
