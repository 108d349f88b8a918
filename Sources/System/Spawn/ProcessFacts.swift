// What /proc tells of a process.

import FileDescriptors
import Glibc

public enum ProcessFacts {
    /// What a process calls itself (`/proc/PID/comm`): at most 15 bytes of its own choosing,
    /// control characters included. Empty if it has ended or is not visible.
    public static func name(of process: Int32) -> String {
        let bytes = contents(of: "comm", of: process, atMost: 64) ?? []
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// The first bytes of a file of a process's in `/proc`; `nil` if there are none to be had.
    static func contents(of file: String, of process: Int32, atMost length: Int) -> [UInt8]? {
        guard let opened = OwnedDescriptor(opened: open("/proc/\(process)/\(file)", O_RDONLY | O_CLOEXEC)) else { return nil }
        var bytes = [UInt8](repeating: 0, count: length)
        let count = read(opened.number, &bytes, bytes.count)
        return count > 0 ? Array(bytes[..<count]) : nil
    }
}

/// A process, told from a later one that has its number.
public struct ProcessIdentity: Hashable, Sendable {
    public let process: Int32
    /// When it began, in clock ticks since the system did: field 22 of `/proc/PID/stat` (proc(5)).
    public let began: UInt64

    /// `nil` for one that has ended, or is not to be seen.
    public init?(_ process: Int32) {
        guard let text = ProcessFacts.contents(of: "stat", of: process, atMost: 1024) else { return nil }
        // The name, in parentheses, may have any byte in it. Field 3 follows.
        guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[(end + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let began = UInt64(String(decoding: fields[19], as: UTF8.self)) else { return nil }
        (self.process, self.began) = (process, began)
    }
}
