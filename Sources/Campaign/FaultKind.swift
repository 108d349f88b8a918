// What is done to a driver, and how.

import CLinux
import Glibc

/// A fault. Raw values are what people type.
enum FaultKind: String, CaseIterable, Codable, Sendable {
    /// Ends at once.
    case kill
    /// Crashes, with last words.
    case segv
    case abort
    /// An end that looks wanted.
    case term
    /// Stands still: a hang.
    case stop
    /// A bit of its writable memory flips; what that does is anybody's guess.
    case flip
    /// The same in the memory that it shares with its successor: frames, transfers, checkpoints.
    case ring
    /// The process that waits to take its place is killed, and then it is.
    case standby

    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

    /// Whether the driver certainly ends by it.
    var ends: Bool {
        switch self {
        case .kill, .segv, .abort, .stop, .standby: true
        case .term, .flip, .ring: false
        }
    }

    /// Whether it may change frames' bytes without anything going wrong.
    var alters: Bool { self == .flip || self == .ring }

    /// False where the process is gone already.
    func inject(into process: Int32, random: inout SplitMix) -> Bool {
        switch self {
        case .kill: return Glibc.kill(process, SIGKILL) == 0
        case .segv: return Glibc.kill(process, SIGSEGV) == 0
        case .abort: return Glibc.kill(process, SIGABRT) == 0
        case .term: return Glibc.kill(process, SIGTERM) == 0
        case .stop: return Glibc.kill(process, SIGSTOP) == 0
        case .flip: return ProcessMemory(process)?.flip(shared: false, random: &random) ?? false
        case .ring: return ProcessMemory(process)?.flip(shared: true, random: &random) ?? false
        case .standby:
            for other in ProcessMemory.siblings(of: process) { _ = Glibc.kill(other, SIGKILL) }
            return Glibc.kill(process, SIGKILL) == 0
        }
    }
}

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
        guard let maps = Self.text("/proc/\(process)/maps") else { return nil }
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

    /// Other drivers of the same parent: those that wait.
    static func siblings(of process: Int32) -> [Int32] {
        guard let parent = parent(of: process) else { return [] }
        return children(of: parent).filter { $0 != process && name(of: $0) == name(of: process) }
    }

    static func children(of process: Int32) -> [Int32] {
        guard let list = text("/proc/\(process)/task/\(process)/children") else { return [] }
        // Children are listed by the thread that made them.
        var all = list
        if let directory = opendir("/proc/\(process)/task") {
            while let entry = readdir(directory) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                if Int32(name) != nil, name != "\(process)" { all += text("/proc/\(process)/task/\(name)/children") ?? "" }
            }
            closedir(directory)
        }
        return all.split(separator: " ").compactMap { Int32($0) }
    }

    static func name(of process: Int32) -> String { text("/proc/\(process)/comm")?.filter { $0 != "\n" } ?? "" }

    private static func parent(of process: Int32) -> Int32? {
        text("/proc/\(process)/status")?.split(separator: "\n").first { $0.hasPrefix("PPid:") }
            .flatMap { Int32(String($0.dropFirst(5).filter(\.isNumber))) }
    }

    /// Kibibytes of memory that is nobody else's, and the number of open descriptors.
    static func footprint(of process: Int32) -> (privateKiB: Int, descriptors: Int) {
        let lines = text("/proc/\(process)/smaps_rollup")?.split(separator: "\n") ?? []
        let kibibytes = lines.filter { $0.hasPrefix("Private_") }.compactMap { Int(String($0.filter(\.isNumber))) }.reduce(0, +)
        var descriptors = 0
        if let directory = opendir("/proc/\(process)/fd") {
            while readdir(directory) != nil { descriptors += 1 }
            closedir(directory)
        }
        return (kibibytes, max(0, descriptors - 2))
    }

    private static func text(_ path: String) -> String? {
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

/// Random numbers that a seed repeats.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
