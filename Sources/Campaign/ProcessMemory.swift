// What lies in a driver's memory, and how a bit of it flips.

import Glibc

/// Another process's memory, through /proc: of our own drivers only.
struct ProcessMemory {
    private struct Area {
        var start: UInt64
        var count: UInt64
        var isShared: Bool
    }
    private let process: Int32
    private let areas: [Area]

    init?(_ process: Int32) {
        guard let maps = Processes.text("/proc/\(process)/maps") else { return nil }
        self.process = process
        areas = maps.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ", omittingEmptySubsequences: true)
            guard parts.count >= 5, parts[1].hasPrefix("rw") else { return nil }
            let bounds = parts[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard bounds.count == 2 else { return nil }
            let isShared = parts[1].hasSuffix("s")
            // Of shared memory the rings only: the page of progress is the supervisor's witness, and not trusted anyway.
            let name = parts.count > 5 ? parts[5] : ""
            if isShared, !name.contains("-ring") { return nil }
            return Area(start: bounds[0], count: bounds[1] - bounds[0], isShared: isShared)
        }
    }

    /// Flips one bit, each byte of the chosen kind of memory being as likely.
    func flip(shared: Bool, random: inout SplitMix) -> Bool {
        let chosen = areas.filter { $0.isShared == shared }
        let total = chosen.reduce(0) { $0 + $1.count }
        guard total > 0 else { return false }
        // Headers and records are a small part of a ring: every other time one of its first pages is taken.
        var offset = random.next() % total
        if shared, random.next() % 2 == 0, let area = chosen.randomElement(using: &random) {
            offset = chosen.prefix { $0.start != area.start }.reduce(0) { $0 + $1.count } + random.next() % min(area.count, 65_536)
        }
        var address: UInt64 = 0
        for area in chosen {
            if offset < area.count {
                address = area.start + offset
                break
            }
            offset -= area.count
        }
        let file = open("/proc/\(process)/mem", O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        var byte: UInt8 = 0
        guard pread(file, &byte, 1, off_t(Int64(bitPattern: address))) == 1 else { return false }
        byte ^= 1 << UInt8(random.next() % 8)
        return pwrite(file, &byte, 1, off_t(Int64(bitPattern: address))) == 1
    }
}
