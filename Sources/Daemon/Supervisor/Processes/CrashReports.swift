// Crash reports on disk: bounded in number and size, written and read off the supervisor's thread.

import FileDescriptors
import FlightRecorder
import FoundationEssentials
import Glibc
import Logging
import Spawn
import Synchronization
import Wire

/// What is known of a driver's death before addresses have names.
struct CrashMaterial: Sendable {
    var report: CrashReport
    var crashPage: CrashPage?
    var executable: SealedExecutable?
    var flight: FlightRecord?
}

/// Keeps the reports of drivers' deaths, one JSON file each, the newest `maximumCount` of them.
actor CrashReports {
    private let folder: String
    private let maximumCount: Int
    private let names: NameService?
    private let logger: Logger
    private var numbers: [Int]?
    /// The newest that could not be written, as on a full disk: they live as long as this process.
    private var unwritten: [CrashReport] = []
    private static let maximumUnwritten = 16
    static let maximumBytes = 64 << 10
    /// Captures of the newest reports, each of 200 KB at most; and no more than one a second, so that a storm of deaths does not wear the disk.
    static let maximumCaptures = 20
    private static let captureInterval = Duration.seconds(1)
    private var lastCapture: ContinuousClock.Instant?
    /// Reports that wait to be written. Beyond these many they come without transfers, of which each holds 100 KB: deaths may come faster than a disk.
    private static let maximumBacklog = 16
    /// Beyond these they come without names, of which each may take seconds.
    private static let maximumLookups = 4
    /// Beyond these they are not written.
    private static let maximumWaiting = 256
    /// How long a client waits for reports that are being written, and for their names.
    private static let patience = Duration.seconds(2)
    private let backlog = Atomic<Int>(0)
    /// The write that was asked for last. Each waits for the one before it: deaths are numbered in their order.
    private let newest = Mutex<Task<Void, Never>?>(nil)

    /// - Parameter folder: is made when the first report is written.
    init(folder: String, maximumCount: Int, names: NameService?, logger: Logger) {
        self.folder = folder
        self.maximumCount = maximumCount
        self.names = names
        self.logger = logger
    }

    /// Writes a report when there is time. Returns at once.
    nonisolated func take(_ material: CrashMaterial) {
        var material = material
        let waiting = backlog.wrappingAdd(1, ordering: .relaxed).newValue
        guard waiting <= Self.maximumWaiting else {
            backlog.wrappingSubtract(1, ordering: .relaxed)
            logger.debug("deaths come faster than reports can be written", metadata: ["device": "\(material.report.deviceID)"])
            return
        }
        if waiting > Self.maximumBacklog { material.flight = nil }
        if waiting > Self.maximumLookups { material.executable = nil }
        newest.withLock { [material] newest in
            newest = Task { [previous = newest] in
                await previous?.value
                await add(material)
                backlog.wrappingSubtract(1, ordering: .relaxed)
            }
        }
    }

    /// Writes the report, and again once its addresses have names: a lookup that fails or takes long costs names and nothing else. A report that
    /// can't be written is logged: a full disk must not stop a restart.
    func add(_ material: CrashMaterial) async {
        var report = material.report
        let backtrace = material.crashPage.map { Backtrace($0, executableName: report.driver) }
        report.backtrace = backtrace?.lines() ?? []
        let transfers = material.flight?.transfers ?? []
        report.descriptors = material.flight.map { Data($0.descriptors).base64EncodedString() }
        report.lastTransfers = material.flight?.lines(transfers)
        report.number = nextNumber
        do {
            var known = try known()
            report.number = nextNumber
            report.captured = capture(material.flight, transfers, number: report.number)
            try write(report)
            known.append(report.number)
            if known.count > Self.maximumCaptures { unlink(capturePath(of: known[known.count - 1 - Self.maximumCaptures])) }
            while known.count > maximumCount {
                let oldest = known.removeFirst()
                unlink(path(of: oldest))
                unlink(capturePath(of: oldest))
            }
            numbers = known
        } catch {
            logger.error("a crash report can't be written", metadata: ["folder": "\(folder)", "error": "\(error)"])
            report.captured = nil
            unwritten.append(report)
            if unwritten.count > Self.maximumUnwritten { unwritten.removeFirst() }
        }
        guard let backtrace, let executable = material.executable, let names else { return }
        let found = await names.names(for: backtrace, executable: executable)
        guard !found.isEmpty else { return }
        report.backtrace = backtrace.lines(found)
        if let index = unwritten.firstIndex(where: { $0.number == report.number }) {
            unwritten[index] = report
        } else {
            do { try write(report) } catch {
                logger.error("a crash report's names can't be written", metadata: ["folder": "\(folder)", "error": "\(error)"])
            }
        }
    }

    private var nextNumber: Int { max(numbers?.last ?? 0, unwritten.last?.number ?? 0) + 1 }

    /// Reports, oldest first, of one device or all: those that are being written too.
    func reports(of deviceID: String?) async -> [CrashReport] {
        await settle()
        var reports = unwritten
        do {
            reports += try known().compactMap { read($0) }
            reports.sort { $0.number < $1.number }
        } catch {
            logger.error("crash reports can't be read", metadata: ["folder": "\(folder)", "error": "\(error)"])
        }
        return reports.filter { deviceID == nil || $0.deviceID == deviceID }
    }

    /// Waits for what is being written, a while.
    private func settle() async {
        guard let task = newest.withLock({ $0 }) else { return }
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        let limit = Task {
            do { try await Task.sleep(for: Self.patience) } catch {
                // All is written.
            }
            end.finish()
        }
        Task {
            await task.value
            end.finish()
        }
        for await _ in ends {}
        limit.cancel()
    }

    /// Writes the transfers beside the report, and says how many; `nil` if there are none, one was written just now, or it can't be.
    private func capture(_ flight: FlightRecord?, _ transfers: [RecordedTransfer], number: Int) -> Int? {
        guard let flight, !transfers.isEmpty else { return nil }
        if let lastCapture, lastCapture.duration(to: .now) < Self.captureInterval { return nil }
        lastCapture = .now
        do {
            try StateFile.write(flight.capture(transfers), to: capturePath(of: number))
            return transfers.count
        } catch {
            logger.error("a crash's transfers can't be written", metadata: ["folder": "\(folder)", "error": "\(error)"])
            return nil
        }
    }

    /// A report's capture, opened for reading; the caller closes it. `nil` if there is none.
    func capture(of number: Int) -> Int32? {
        let file = open(capturePath(of: number), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        return file < 0 ? nil : file
    }

    private func capturePath(of number: Int) -> String { "\(folder)/crash-\(number).pcapng" }

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

    private func write(_ report: CrashReport) throws {
        var report = report
        var bytes = try JSON.encode(report, pretty: true)
        while bytes.count > Self.maximumBytes, !report.lastWords.isEmpty {
            report.lastWords.removeFirst()
            bytes = try JSON.encode(report, pretty: true)
        }
        try StateFile.write(bytes, to: path(of: report.number))
    }
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
        let opened = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard let file = OwnedDescriptor(opened: opened) else { throw SystemFailure(operation: "open(\(temporary))", errno: errno) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress! + written, bytes.count - written) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let number = errno
                unlink(temporary)
                throw SystemFailure(operation: "write(\(temporary))", errno: number)
            }
            written += count
        }
        guard rename(temporary, path) == 0 else { throw SystemFailure(operation: "rename(\(path))", errno: errno) }
    }

    static func read(_ path: String, maximumBytes: Int) throws(SystemFailure) -> [UInt8] {
        let opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard let file = OwnedDescriptor(opened: opened) else { throw SystemFailure(operation: "open(\(path))", errno: errno) }
        var bytes = [UInt8](repeating: 0, count: maximumBytes)
        var count = 0
        while count < maximumBytes {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(file.number, $0.baseAddress! + count, maximumBytes - count) }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw SystemFailure(operation: "read(\(path))", errno: errno) }
            if got == 0 { break }
            count += got
        }
        return Array(bytes[..<count])
    }
}
