// Other processes, as /proc tells of them.

import Glibc

enum Processes {
    /// Other drivers of the same parent: those that wait.
    static func siblings(of process: Int32) -> [Int32] {
        guard let parent = parent(of: process) else { return [] }
        return children(of: parent).filter { $0 != process && name(of: $0) == name(of: process) }
    }

    static func threads(of process: Int32) -> [Int32] {
        guard let directory = opendir("/proc/\(process)/task") else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if let thread = Int32(name) { found.append(thread) }
        }
        return found
    }

    /// Children are listed by the thread that made them.
    static func children(of process: Int32) -> [Int32] {
        threads(of: process).flatMap { thread in
            (text("/proc/\(process)/task/\(thread)/children") ?? "").split(separator: " ").compactMap { Int32($0) }
        }
    }

    /// Of a process or a thread.
    static func name(of process: Int32) -> String { text("/proc/\(process)/comm")?.filter { $0 != "\n" } ?? "" }

    private static func parent(of process: Int32) -> Int32? {
        text("/proc/\(process)/status")?.split(separator: "\n").first { $0.hasPrefix("PPid:") }
            .flatMap { Int32(String($0.dropFirst(5).filter(\.isNumber))) }
    }

    struct Footprint: Sendable {
        /// Memory that it has written to and that is not a file's: what it really costs.
        var writtenKiB = 0
        /// Besides these, pages of files that nobody else has mapped just now, which the kernel can drop: its own code, for the most part.
        var privateKiB = 0
        var descriptors = 0
    }

    static func footprint(of process: Int32) -> Footprint {
        let lines = text("/proc/\(process)/smaps_rollup")?.split(separator: "\n") ?? []
        func kibibytes(_ prefix: String) -> Int {
            lines.filter { $0.hasPrefix(prefix) }.compactMap { Int(String($0.filter(\.isNumber))) }.reduce(0, +)
        }
        var result = Footprint(writtenKiB: kibibytes("Anonymous:"), privateKiB: kibibytes("Private_"))
        if let directory = opendir("/proc/\(process)/fd") {
            while readdir(directory) != nil { result.descriptors += 1 }
            closedir(directory)
        }
        result.descriptors = max(0, result.descriptors - 2)
        return result
    }

    /// Processor time so far, in clock ticks.
    static func ticks(of process: Int32) -> UInt64 {
        // The name, in brackets, may hold anything; after it the fields are numbers (proc_pid_stat(5): utime is the 14th).
        guard let line = text("/proc/\(process)/stat"), let end = line.lastIndex(of: ")") else { return 0 }
        let fields = line[end...].split(separator: " ")
        guard fields.count > 13 else { return 0 }
        return (UInt64(fields[12]) ?? 0) + (UInt64(fields[13]) ?? 0)
    }

    static func text(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(file, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
