// Errors on their way out of a driver: what kind each is, and which layer it speaks of.

import USB
public import Wire

extension CallError {
    /// Any error, in the form in which a client receives it. A `USBError` becomes a `DeviceError`
    /// that names the layer at fault; a `CallError` stays as it is.
    /// - Parameter message: replaces the error's own words.
    public init(describing error: any Error, as message: String? = nil) {
        switch error {
        case let error as CallError:
            self = error
            self.message = message ?? error.message
        case let error as USBError:
            self.init(
                "DeviceError", message ?? "\(error)", layer: error.code.layer, detail: ["usbError": .string(error.code.name)])
        default: self.init("DeviceError", message ?? "\(error)")
        }
    }
}
