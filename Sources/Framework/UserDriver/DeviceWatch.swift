// Notices that a device behind a socket has gone while nobody talks to it.

import FileDescriptors
import Glibc
import Synchronization
import Threads

/// Watches the socket of a USB/IP server for its other end's closing. The kernel tells the supervisor when a device on this machine leaves;
/// of one on another machine only the process that holds its socket can learn, and an idle driver reads and writes nothing.
final class DeviceWatch: Sendable {
    /// `POLLRDHUP`, which Swift does not import.
    private static let peerHasClosed: Int16 = 0x2000
    private let isOver = Atomic(false)

    /// Looks at the open socket behind `socket` from now on, through a descriptor of its own. `gone` is called at most once, on a thread of its own.
    init(socket: Int32, gone: @escaping @Sendable () -> Void) {
        // Without a descriptor or a thread to spare the device's going is noticed at the next transfer.
        guard let duplicate = OwnedDescriptor(duplicating: socket) else { return }
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "device-watch") { [self] in
                var entry = pollfd(fd: duplicate.number, events: Self.peerHasClosed, revents: 0)
                while poll(&entry, 1, -1) < 0, errno == EINTR {}
                if !isOver.load(ordering: .acquiring) { gone() }
            }
        } catch {
            // See above.
        }
    }

    /// From here on the device is let go on purpose.
    func end() { isOver.store(true, ordering: .releasing) }
}
