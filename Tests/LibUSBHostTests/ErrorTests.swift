// libusb's numbers become errors that say what to do.
import CLibUSB
import Glibc
import Testing
import USB

@testable import LibUSBHost

@Suite struct ErrorTests {
    @Test(arguments: [
        (LIBUSB_ERROR_IO, USBError.Code.fault), (LIBUSB_ERROR_INVALID_PARAM, .invalidArgument), (LIBUSB_ERROR_ACCESS, .accessDenied),
        (LIBUSB_ERROR_NO_DEVICE, .noDevice), (LIBUSB_ERROR_NOT_FOUND, .notFound), (LIBUSB_ERROR_BUSY, .busy),
        (LIBUSB_ERROR_TIMEOUT, .timedOut), (LIBUSB_ERROR_OVERFLOW, .overflow), (LIBUSB_ERROR_PIPE, .stall),
        (LIBUSB_ERROR_NO_MEM, .memoryLimit), (LIBUSB_ERROR_NOT_SUPPORTED, .notSupported), (LIBUSB_ERROR_OTHER, .fault),
    ])
    func everyLibusbErrorHasItsCode(number: libusb_error, code: USBError.Code) {
        let error = USBError(libusb: number.rawValue, operation: "libusb_claim_interface(1)")
        #expect(error.code == code)
        #expect(error.description.hasPrefix("libusb_claim_interface(1): "))
        #expect(error.detail?.contains(String(cString: libusb_error_name(number.rawValue))) == true)
    }

    @Test func aMissingPermissionNamesTheUdevRule() {
        let error = USBError(libusb: LIBUSB_ERROR_ACCESS.rawValue, operation: "libusb_open")
        #expect(error.description.contains("udev rule"))
    }

    @Test func whatLibusbHasNoWordForIsToldByErrno() {
        #expect(USBError(libusb: LIBUSB_ERROR_OTHER.rawValue, operation: "o", errno: EACCES).code == .accessDenied)
        #expect(USBError(libusb: LIBUSB_ERROR_IO.rawValue, operation: "o", errno: ENODEV).code == .noDevice)
        let noRoom = USBError(libusb: LIBUSB_ERROR_IO.rawValue, operation: "o", errno: EIO)
        #expect(noRoom.code == .fault)
        #expect(noRoom.detail?.contains("Input/output error") == true)
    }

    @Test(arguments: [LIBUSB_ERROR_IO, LIBUSB_ERROR_OTHER]) func aBusThatIsFullAndALimitThatIsReachedNameWhatFixes(_ number: libusb_error) {
        let full = USBError(libusb: number.rawValue, operation: "libusb_set_interface_alt_setting(1, 7)", errno: ENOSPC)
        #expect(full.code == .noBandwidth && full.description.contains("no bandwidth") && full.description.contains("smaller size"))
        let limit = USBError(libusb: number.rawValue, operation: "libusb_submit_transfer", errno: ENOMEM)
        #expect(limit.code == .memoryLimit)
        #expect(limit.description.contains("echo 256 > /sys/module/usbcore/parameters/usbfs_memory_mb"))
    }

    @Test(arguments: [
        (LIBUSB_TRANSFER_COMPLETED, TransferStatus.completed), (LIBUSB_TRANSFER_ERROR, .fault(71)),
        (LIBUSB_TRANSFER_TIMED_OUT, .timedOut), (LIBUSB_TRANSFER_CANCELLED, .cancelled), (LIBUSB_TRANSFER_STALL, .stall),
        (LIBUSB_TRANSFER_NO_DEVICE, .disconnected), (LIBUSB_TRANSFER_OVERFLOW, .overflow),
    ])
    func everyEndOfATransferHasItsStatus(libusb: libusb_transfer_status, status: TransferStatus) {
        #expect(TransferStatus(libusb: libusb) == status)
    }

    @Test func nodesAreNamedAsTheKernelNamesThem() {
        #expect(DeviceListing.nodePath(bus: 1, device: 23) == "/dev/bus/usb/001/023")
    }
}
