// A D-Bus of a test's own.

import Foundation

enum MessageBus {
    /// Listens at `bus` in that folder, and starts nothing but what a test starts: on a bus of the
    /// usual kind a portal that is installed would be started, with a file system of its own.
    /// - Parameter type: `session` or `system`.
    static func start(_ type: String, in folder: String, environment: [String: String] = [:]) async throws -> Running {
        let rules = """
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
              "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><type>\(type)</type><listen>unix:path=\(folder)/bus</listen><auth>EXTERNAL</auth>
              <policy context="default"><allow user="*"/><allow own="*"/>
              <allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
            """
        try rules.write(toFile: folder + "/bus.conf", atomically: true, encoding: .utf8)
        let bus = try Running(
            path: "/usr/bin/dbus-daemon", name: "dbus-daemon",
            arguments: ["--config-file=\(folder)/bus.conf", "--nofork", "--nopidfile", "--print-address"], environment: environment)
        try await bus.waitForOutput { $0.contains("unix:") }
        return bus
    }
}
