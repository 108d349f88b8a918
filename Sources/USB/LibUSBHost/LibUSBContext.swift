// A libusb context: one that finds devices for all hosts of the process, and one for descriptors that others opened.
import CLibUSB
import Synchronization
import USB

final class LibUSBContext: @unchecked Sendable {
    // Sendable: libusb's contexts may be used from every thread, and the pointer lives as long as this object.
    private let pointer: OpaquePointer
    private let events: EventThread
    /// Who is told of devices that come and go.
    let hotplug: HotplugObservers

    private init(discovering: Bool) throws(USBError) {
        var context: OpaquePointer?
        let result = discovering ? libusb_init(&context) : clibusb_init_without_discovery(&context)
        guard result == 0, let context else { throw USBError(libusb: result, operation: "libusb_init") }
        pointer = context
        hotplug = HotplugObservers()
        events = try EventThread(context: context, keeping: hotplug)
    }

    deinit { events.stop() }

    var isEventThread: Bool { events.isCurrent }

    func withPointer<Result, Failure: Error>(_ body: (OpaquePointer) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(pointer)
    }

    private struct Shared {
        weak var discovering: LibUSBContext?
        weak var plain: LibUSBContext?
        var discoveryIsOff = false
    }

    private static let shared = Mutex(Shared())

    /// The context that finds devices. `notSupported` where this process has given up finding them (`wrapping`).
    static func discovering() throws(USBError) -> LibUSBContext {
        try shared.withLock { (shared) throws(USBError) in
            if let context = shared.discovering { return context }
            guard !shared.discoveryIsOff else {
                throw USBError(
                    .notSupported, operation: "libusb_init",
                    detail: "this process wrapped a descriptor before it looked for devices, and then libusb finds none")
            }
            let context = try LibUSBContext(discovering: true)
            shared.discovering = context
            return context
        }
    }

    /// A context for descriptors that somebody opened. The one that finds devices serves too, if there is one; otherwise it is one that needs no file.
    static func wrapping() throws(USBError) -> LibUSBContext {
        try shared.withLock { (shared) throws(USBError) in
            if let context = shared.discovering ?? shared.plain { return context }
            let context = try LibUSBContext(discovering: false)
            shared.discoveryIsOff = clibusb_discovery_is_per_process() != 0
            shared.plain = context
            return context
        }
    }
}
