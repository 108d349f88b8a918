// Lines on standard error, where systemd's journal is.

import Glibc

public enum NodeLog {
    public static func write(_ text: String) {
        var line = "userdriver-pipewire: "
        // A camera's name goes to a terminal, too.
        for scalar in text.unicodeScalars { line.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? " " : scalar) }
        line += "\n"
        // One write, so that lines of several threads stay lines.
        _ = line.withCString { Glibc.write(STDERR_FILENO, $0, strlen($0)) }
    }
}
