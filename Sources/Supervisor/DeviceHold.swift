// What keeps a device as it is while its drivers come and go: claims, alternate settings, transfers in flight.

import Glibc

/// Held by the supervisor, who makes no transfer on it. Letting go of it ends the streams on the wire.
final class DeviceHold: Sendable {
    enum Keeper: Sendable {
        /// usbfs: a duplicate of the streaming interfaces' open file. Bit n of `interfaces`: interface n belongs to it.
        case file(Int32, interfaces: UInt32)
        /// USB/IP: the process that owns the socket.
        case port(PortProcess)
    }

    let keeper: Keeper

    init(_ keeper: Keeper) { self.keeper = keeper }

    deinit {
        if case .file(let descriptor, _) = keeper { close(descriptor) }
    }

    @SupervisorActor var isUsable: Bool {
        switch keeper {
        case .file: true
        case .port(let port): port.isAlive
        }
    }

    /// Lets go. A driver that has a duplicate of the file still keeps it as long as it lives.
    @SupervisorActor func end() {
        if case .port(let port) = keeper { port.end() }
    }
}
