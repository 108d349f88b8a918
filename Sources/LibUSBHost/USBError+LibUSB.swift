// libusb's and usbfs's error numbers as USBError, with what mends them where it is known.
import CLibUSB
import Glibc
import USB

extension USBError {
    /// What helps when the kernel does not let us at the device's node.
    static let accessHint =
        "the device's node below /dev/bus/usb must be writable: a udev rule, SUBSYSTEM==\"usb\" with TAG+=\"uaccess\" or a GROUP, grants it"

    /// What helps when usbfs takes no more transfers.
    static let memoryHint = "raise usbfs's limit: echo 256 > /sys/module/usbcore/parameters/usbfs_memory_mb"

    /// What helps when the host controller can't promise a periodic endpoint its share.
    static let bandwidthHint = "choose a smaller size or MJPEG, or plug the device into another bus: lsusb -t"

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

    /// From the errno of a system call.
    init(errno number: Int32, operation: String, hint: String? = nil) {
        let code: Code
        var hint = hint
        switch number {
        case ENOSPC:
            code = .noBandwidth
            hint = hint ?? Self.bandwidthHint
        case ENOMEM:
            code = .memoryLimit
            hint = hint ?? Self.memoryHint
        case EMFILE, ENFILE, ENOBUFS: code = .shortage
        case EACCES, EPERM: code = .accessDenied
        case ENODEV, ENOENT, ENXIO, ESHUTDOWN: code = .noDevice
        case EBUSY: code = .busy
        case EINVAL, EBADF: code = .invalidArgument
        case ETIMEDOUT: code = .timedOut
        case EPIPE: code = .stall
        case EOVERFLOW: code = .overflow
        case ENOTTY, ENOSYS, EOPNOTSUPP: code = .notSupported
        case ENODATA: code = .notFound
        default: code = .fault
        }
        let text = String(cString: strerror(number))
        self.init(code, operation: operation, detail: hint.map { "\(text): \($0)" } ?? text)
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
