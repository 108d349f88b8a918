// Numbers of objects, none of which is ever given twice.

import CLinux
import Glibc
import Wire

/// Counts up. Numbers are set aside in the state folder by the block before the first of them is
/// given, so that whoever follows begins after it.
@SupervisorActor
final class ObjectIdentifiers {
    private struct File: Codable {
        /// No number from here on has been given.
        var next: UInt64
    }
    private static let block: UInt64 = 1 << 16
    /// Numbers stay exact in every JSON reader.
    private static let end: UInt64 = 1 << 53
    private let path: String
    /// The largest number that is known to have been given, whatever the file says.
    var known: UInt64 = 0
    private var next: UInt64 = 0
    private var limit: UInt64 = 0

    init(stateDirectory: String) { path = stateDirectory + "/object-ids.json" }

    /// The next number. Throws where none can be set aside: rather no object than one with somebody
    /// else's number.
    func take() throws(CallError) -> UInt64 {
        if next == limit { try reserve() }
        defer { next += 1 }
        return next
    }

    private func reserve() throws(CallError) {
        var first = max(next, known + 1)
        if next == 0 { first = max(first, kept()) }
        guard first < Self.end - Self.block else { throw CallError("LimitReached", "There are no object numbers left.") }
        do {
            try StateFile.write(try JSON.encode(File(next: first + Self.block)), to: path)
        } catch {
            throw CallError("DeviceError", "An object number can't be reserved: \(error)")
        }
        (next, limit) = (first, first + Self.block)
    }

    /// Where the file is gone or makes no sense, the time of day in microseconds stands in: it is
    /// further on than any counting.
    private func kept() -> UInt64 {
        if let bytes = try? StateFile.read(path, maximumBytes: 4096), let file = try? JSON.decode(File.self, from: bytes) {
            if file.next < Self.end { return max(file.next, 1) }
        }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return UInt64(clamping: now.tv_sec) * 1_000_000 + UInt64(clamping: now.tv_nsec / 1000)
    }
}
