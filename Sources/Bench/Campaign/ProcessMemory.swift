// What lies in a driver's memory, and how a bit of it flips.

import Glibc

/// Another process's memory, through /proc: of our own drivers only.
struct ProcessMemory {
    enum Part {
        /// What it can write to, and nobody else.
        case own
        /// What it shares with its successors and its clients.
        case rings
        case code
    }
    private struct Area {
        var start: UInt64
        var count: UInt64
        var part: Part
    }
    private let process: Int32
    private let areas: [Area]

    init?(_ process: Int32) {
        guard let maps = Processes.text("/proc/\(process)/maps") else { return nil }
        self.process = process
        areas = maps.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ", omittingEmptySubsequences: true)
            guard parts.count >= 5 else { return nil }
            let bounds = parts[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard bounds.count == 2 else { return nil }
            let name = parts.count > 5 ? parts[5] : ""
            let part: Part
            switch parts[1] {
            case "rw-p": part = .own
            // The page of progress is the supervisor's witness, and not trusted anyway.
            case "rw-s" where name.contains("-ring"): part = .rings
            // Its executable: the system's libraries have the instructions that it waits in, and those are met another way.
            case "r-xp" where name.hasPrefix("/memfd:"): part = .code
            default: return nil
            }
            return Area(start: bounds[0], count: bounds[1] - bounds[0], part: part)
        }
    }

    /// Why the process's memory can't be written to; `nil` if it can.
    static func obstacle(_ process: Int32) -> String? {
        let file = open("/proc/\(process)/mem", O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return String(cString: strerror(errno)) }
        close(file)
        return nil
    }

    /// Flips one bit, each byte of that part being as likely.
    func flip(_ part: Part, random: inout SplitMix) -> Bool {
        let chosen = areas.filter { $0.part == part }
        let total = chosen.reduce(0) { $0 + $1.count }
        guard total > 0 else { return false }
        // Headers and records are a small part of a ring: every other time one of its first pages is taken.
        var offset = random.next() % total
        if part == .rings, random.next() % 2 == 0, let area = chosen.randomElement(using: &random) {
            offset = chosen.prefix { $0.start != area.start }.reduce(0) { $0 + $1.count } + random.next() % min(area.count, 65_536)
        }
        let bit = UInt8(random.next() % 8)
        for area in chosen {
            if offset < area.count { return Self.change(process, at: area.start + offset, count: 1) { $0[0] ^= 1 << bit } }
            offset -= area.count
        }
        return false
    }

    /// Reads bytes, has them changed and writes them back: also into code, of which the process gets a copy of its own. False if nothing is.
    static func change(_ process: Int32, at address: UInt64, count: Int, _ change: (inout [UInt8]) -> Void) -> Bool {
        let file = open("/proc/\(process)/mem", O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: count)
        guard pread(file, &bytes, count, off_t(Int64(bitPattern: address))) == count else { return false }
        change(&bytes)
        return pwrite(file, bytes, count, off_t(Int64(bitPattern: address))) == count
    }
}
