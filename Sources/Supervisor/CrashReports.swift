// Crash reports on disk: bounded in number and size, written and read off the supervisor's thread.

import FoundationEssentials
import Glibc
import Logging
import Spawn
import Wire

/// What is known of a driver's death before addresses have names.
struct CrashMaterial: Sendable {
    var report: CrashReport
    var lastWords: LastWords?
    var executable: SealedExecutable?
}

/// Keeps the reports of drivers' deaths, one JSON file each, the newest `maximumCount` of them.
actor CrashReports {
    private let folder: String
    private let maximumCount: Int
    private let logger: Logger
    private var numbers: [Int]?
    static let maximumBytes = 64 << 10

    /// - Parameter folder: is made when the first report is written.
    init(folder: String, maximumCount: Int, logger: Logger) {
        self.folder = folder
        self.maximumCount = maximumCount
        self.logger = logger
    }

    /// Gives names to addresses and writes the report. A report that can't be written is logged: a full disk must not stop a restart.
    func add(_ material: CrashMaterial) {
        var report = material.report
        if let words = material.lastWords {
            report.backtrace = Symboliser.backtrace(
                of: words, executable: material.executable?.descriptor, executableName: report.driver)
        }
        do {
            var known = try known()
            report.number = (known.last ?? 0) + 1
            var bytes = try JSON.encode(report, pretty: true)
            while bytes.count > Self.maximumBytes, !report.lastWords.isEmpty {
                report.lastWords.removeFirst()
                bytes = try JSON.encode(report, pretty: true)
            }
            try write(bytes, number: report.number)
            known.append(report.number)
            while known.count > maximumCount {
                unlink(path(of: known.removeFirst()))
            }
            numbers = known
        } catch {
            logger.error("a crash report can't be written", metadata: ["folder": "\(folder)", "error": "\(error)"])
        }
    }

    /// Reports, oldest first, of one device or all.
    func reports(of deviceID: String?) -> [CrashReport] {
        do {
            return try known().compactMap { number in
                guard let report = read(number) else { return nil }
                return deviceID == nil || report.deviceID == deviceID ? report : nil
            }
        } catch {
            logger.error("crash reports can't be read", metadata: ["folder": "\(folder)", "error": "\(error)"])
            return []
        }
    }

    private func path(of number: Int) -> String { "\(folder)/crash-\(number).json" }

    /// The numbers of the reports that are there, ascending.
    private func known() throws -> [Int] {
        if let numbers { return numbers }
        if mkdir(folder, 0o700) != 0, errno != EEXIST { throw SystemFailure(operation: "mkdir(\(folder))", errno: errno) }
        guard let listing = opendir(folder) else { throw SystemFailure(operation: "opendir(\(folder))", errno: errno) }
        defer { closedir(listing) }
        var found: [Int] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name.hasPrefix("crash-"), name.hasSuffix(".json"), let number = Int(name.dropFirst(6).dropLast(5)), number > 0,
                number < 1 << 40
            else { continue }
            found.append(number)
        }
        found.sort()
        numbers = found
        return found
    }

    private func read(_ number: Int) -> CrashReport? {
        do {
            let bytes = try StateFile.read(path(of: number), maximumBytes: Self.maximumBytes)
            return try JSON.decode(CrashReport.self, from: bytes)
        } catch {
            logger.warning("a crash report can't be read", metadata: ["number": "\(number)", "error": "\(error)"])
            return nil
        }
    }

    private func write(_ bytes: [UInt8], number: Int) throws { try StateFile.write(bytes, to: path(of: number)) }
}

/// A system call that failed on a file of the supervisor's own.
struct SystemFailure: Error, CustomStringConvertible {
    var operation: String
    var errno: Int32
    var description: String { "\(operation): \(String(cString: strerror(errno)))" }
}

/// Small files that are whole or not there.
enum StateFile {
    /// Written beside, then renamed.
    static func write(_ bytes: [UInt8], to path: String) throws(SystemFailure) {
        let temporary = path + ".new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw SystemFailure(operation: "open(\(temporary))", errno: errno) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + written, bytes.count - written) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let number = errno
                close(file)
                unlink(temporary)
                throw SystemFailure(operation: "write(\(temporary))", errno: number)
            }
            written += count
        }
        close(file)
        guard rename(temporary, path) == 0 else { throw SystemFailure(operation: "rename(\(path))", errno: errno) }
    }

    static func read(_ path: String, maximumBytes: Int) throws(SystemFailure) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { throw SystemFailure(operation: "open(\(path))", errno: errno) }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: maximumBytes)
        var count = 0
        while count < maximumBytes {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + count, maximumBytes - count) }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw SystemFailure(operation: "read(\(path))", errno: errno) }
            if got == 0 { break }
            count += got
        }
        return Array(bytes[..<count])
    }
}
