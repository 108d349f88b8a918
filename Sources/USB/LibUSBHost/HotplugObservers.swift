// Who wants to know of devices that come and go, and what is known to be there.
import CLibUSB
import Synchronization
import USB

final class HotplugObservers: Sendable {
    private struct State {
        var registered = false
        var known: [String: USBDeviceInformation] = [:]
        var observers: [UInt64: AsyncStream<USBHotplugEvent>.Continuation] = [:]
        var nextObserver: UInt64 = 0
    }

    private let state = Mutex(State())

    /// A stream that begins with what is there. `token` ends it through `end`.
    func observe(context: OpaquePointer) throws(USBError) -> (stream: AsyncStream<USBHotplugEvent>, token: UInt64) {
        try registerOnce(context: context)
        let (stream, continuation) = AsyncStream.makeStream(of: USBHotplugEvent.self)
        let token = state.withLock { state in
            let token = state.nextObserver
            state.nextObserver += 1
            state.observers[token] = continuation
            for information in state.known.values.sorted(by: { $0.path < $1.path }) { continuation.yield(.arrived(information)) }
            return token
        }
        continuation.onTermination = { [weak self] _ in self?.forget(token) }
        return (stream, token)
    }

    func end(_ token: UInt64) {
        // Finished outside the lock: that calls `onTermination`.
        let continuation = state.withLock { $0.observers.removeValue(forKey: token) }
        continuation?.finish()
    }

    private func forget(_ token: UInt64) {
        let continuation = state.withLock { $0.observers.removeValue(forKey: token) }
        withExtendedLifetime(continuation) {}
    }

    /// libusb calls back for what is there before this returns, and from the event thread after. The callback stays until the context's end.
    private func registerOnce(context: OpaquePointer) throws(USBError) {
        let first = state.withLock { state in
            defer { state.registered = true }
            return !state.registered
        }
        guard first else { return }
        do throws(USBError) {
            guard libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG.rawValue) != 0 else {
                throw USBError(.notSupported, operation: "libusb_has_capability(HAS_HOTPLUG)")
            }
            let events = LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED.rawValue | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT.rawValue
            let result = libusb_hotplug_register_callback(
                context, Int32(events), Int32(LIBUSB_HOTPLUG_ENUMERATE.rawValue), LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY,
                LIBUSB_HOTPLUG_MATCH_ANY, hotplugCallback, Unmanaged.passUnretained(self).toOpaque(), nil)
            guard result == 0 else { throw USBError(libusb: result, operation: "libusb_hotplug_register_callback") }
        } catch {
            state.withLock { $0.registered = false }
            throw error
        }
    }

    fileprivate func arrived(_ information: USBDeviceInformation) {
        state.withLock { state in
            let before = state.known.updateValue(information, forKey: information.path)
            // libusb may tell of the same arrival twice; another number is another device, whose predecessor's leave was missed.
            guard before?.deviceNumber != information.deviceNumber else { return }
            for observer in state.observers.values {
                if before != nil { observer.yield(.left(path: information.path)) }
                observer.yield(.arrived(information))
            }
        }
    }

    fileprivate func left(path: String, deviceNumber: UInt32) {
        state.withLock { state in
            guard state.known[path]?.deviceNumber == deviceNumber else { return }
            state.known[path] = nil
            for observer in state.observers.values { observer.yield(.left(path: path)) }
        }
    }
}

/// Called by libusb. A result other than 0 would end the registration.
private let hotplugCallback: libusb_hotplug_callback_fn = { _, device, event, data in
    guard let device, let data, let path = DeviceListing.path(of: device) else { return 0 }
    let observers = Unmanaged<HotplugObservers>.fromOpaque(data).takeUnretainedValue()
    if event == LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT {
        observers.left(path: path, deviceNumber: UInt32(libusb_get_device_address(device)))
    } else if let information = DeviceListing.information(of: device) {
        observers.arrived(information)
    }
    return 0
}
