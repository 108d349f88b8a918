// The kernel's error numbers as USBError, with what helps where it is known.

import Glibc
package import USB

extension USBError {
    /// What helps when the kernel does not let us at the device's node.
    package static let accessHint =
        "the device's node below /dev/bus/usb must be writable: a udev rule, SUBSYSTEM==\"usb\" with TAG+=\"uaccess\" or a GROUP, grants it"

    /// What helps when usbfs takes no more transfers.
    package static let memoryHint = "raise usbfs's limit: echo 256 > /sys/module/usbcore/parameters/usbfs_memory_mb"

    /// What helps when the host controller can't promise a periodic endpoint its share.
    package static let bandwidthHint = "choose a smaller size or MJPEG, or plug the device into another bus: lsusb -t"

    /// From the errno of a system call.
    package init(errno number: Int32, operation: String, hint: String? = nil) {
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

    /// What usbfs answers with, an errno, and what fixes it where that is known.
    init(usbfs number: Int32, operation: String) {
        let text = String(cString: strerror(number))
        switch number {
        case ENODEV, ESHUTDOWN: self.init(.noDevice, operation: operation)
        case EPIPE: self.init(.stall, operation: operation)
        case ETIMEDOUT: self.init(.timedOut, operation: operation)
        case EACCES, EPERM: self.init(.accessDenied, operation: operation, detail: text)
        case EBUSY: self.init(.busy, operation: operation, detail: text)
        case ENOENT, ENODATA: self.init(.notFound, operation: operation, detail: text)
        case EINVAL: self.init(.invalidArgument, operation: operation, detail: text)
        case ENOMEM, ENOSPC: self.init(errno: number, operation: operation)
        default: self.init(.fault, operation: operation, detail: text)
        }
    }
}
