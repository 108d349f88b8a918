// The server's process: no rights, one channel to the attacher, one socket for each node, the daemon's socket.

import CLinux
import Glibc
import UserDriverClient

/// What the attacher starts.
public enum VideoServer {
    /// The attacher's end of the channel.
    private static let channel: Int32 = 3

    /// Until the attacher ends, or ends it. Keeps the thread it is called on.
    public static func run(_ options: VideoOptions) -> Never {
        // Who watches a camera is told by this name, of which the kernel keeps fifteen characters.
        clinux_set_name("userdriver-node")
        let keeper = NodeKeeper(
            client: UserDriverClient(runtimeDirectory: options.runtimeDirectory), sockets: AttacherLink(channel: channel),
            speed: options.speed, log: VideoLog.write)
        let work = Task { await keeper.run() }
        // The channel hangs up when the attacher has gone, and with it goes the right to have nodes.
        var entry = pollfd(fd: channel, events: 0, revents: 0)
        while entry.revents == 0 { _ = poll(&entry, 1, -1) }
        work.cancel()
        exit(0)
    }
}
