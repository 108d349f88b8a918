// What keeps a device as it is while its drivers come and go: claims, alternate settings, transfers in flight.

import CLinux
import Glibc
import Threads
import Wire

/// Held by the supervisor, who makes no transfer on it. Letting go of it ends the streams on the wire.
final class DeviceHold: Sendable {
    enum Keeper: Sendable {
        /// usbfs: a duplicate of the streaming interfaces' open file. Bit n of `interfaces`: interface n belongs to it.
        case file(Int32, interfaces: UInt32)
        /// USB/IP: the process that owns the socket, and the function that is held there.
        case port(PortProcess, function: Int)
    }

    let keeper: Keeper

    init(_ keeper: Keeper) { self.keeper = keeper }

    deinit {
        // The kernel may have something to say to the device then, which may be unresponsive.
        if case .file(let descriptor, _) = keeper { DescriptorCloser.shared.close(descriptor) }
    }

    @SupervisorActor var isUsable: Bool {
        switch keeper {
        case .file: true
        case .port(let port, _): port.isAlive
        }
    }

    /// Lets go: the claims end, whoever has a duplicate of the file.
    /// - Returns: what has to end before the device is free. It is not waited for here: a claim ends with a request to the device, which may be
    ///   unresponsive, and closing the file would not end it where the service manager has a duplicate.
    @SupervisorActor @discardableResult func end() -> Task<Void, Never>? {
        switch keeper {
        case .port(let port, let function): port.leave(function: function)
        case .file(let descriptor, let interfaces):
            return Task { [self] in
                await blocking("release") {
                    for interface in UInt32(0)..<32 where interfaces & (1 << interface) != 0 {
                        // Fails where the device has gone, or a driver gave the interface up: free it is in any case.
                        withExtendedLifetime(self) { _ = clinux_usbfs_release(descriptor, interface) }
                    }
                }
            }
        }
        return nil
    }
}
