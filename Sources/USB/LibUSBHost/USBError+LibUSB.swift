// libusb's error numbers as USBError, with what helps where it is known.
import CLibUSB
import Glibc
import USB
import USBFS

extension USBError {
    /// From a LIBUSB_ERROR_* that `operation`, a libusb call with its arguments, returned. `errno` is what the call left there, 0 for nothing:
    /// it says what went wrong where libusb has no word for it.
    init(libusb number: Int32, operation: String, errno: Int32 = 0) {
        let code: Code
        var hint: String?
        switch libusb_error(number) {
        case LIBUSB_ERROR_INVALID_PARAM: code = .invalidArgument
        case LIBUSB_ERROR_ACCESS:
            code = .accessDenied
            hint = Self.accessHint
        case LIBUSB_ERROR_NO_DEVICE: code = .noDevice
        case LIBUSB_ERROR_NOT_FOUND: code = .notFound
        case LIBUSB_ERROR_BUSY:
            code = .busy
            hint = "a kernel driver or another program has it"
        case LIBUSB_ERROR_TIMEOUT: code = .timedOut
        case LIBUSB_ERROR_OVERFLOW: code = .overflow
        case LIBUSB_ERROR_PIPE: code = .stall
        case LIBUSB_ERROR_NOT_SUPPORTED: code = .notSupported
        case LIBUSB_ERROR_NO_MEM:
            code = .memoryLimit
            hint = Self.memoryHint
        case LIBUSB_ERROR_IO, LIBUSB_ERROR_OTHER:
            guard errno != 0 else { fallthrough }
            let error = USBError(errno: errno, operation: operation)
            code = error.code
            hint = error.detail
        default: code = .fault
        }
        let name = String(cString: libusb_error_name(number))
        self.init(code, operation: operation, detail: hint.map { "\(name): \($0)" } ?? name)
    }
}

extension TransferStatus {
    /// From libusb's word for how a transfer or a packet ended. libusb keeps the errno of a bus error to itself; 71 (EPROTO) stands for them all.
    init(libusb status: libusb_transfer_status) {
        switch status {
        case LIBUSB_TRANSFER_COMPLETED: self = .completed
        case LIBUSB_TRANSFER_TIMED_OUT: self = .timedOut
        case LIBUSB_TRANSFER_CANCELLED: self = .cancelled
        case LIBUSB_TRANSFER_STALL: self = .stall
        case LIBUSB_TRANSFER_NO_DEVICE: self = .disconnected
        case LIBUSB_TRANSFER_OVERFLOW: self = .overflow
        default: self = .fault(EPROTO)
        }
    }
}
