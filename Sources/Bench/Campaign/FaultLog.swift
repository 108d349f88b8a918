// One line of JSON for each fault, written as they come.

import Glibc

/// A file of lines, in pieces of some 64 KB or ten seconds.
struct FaultLog: ~Copyable {
    private let file: Int32
    private var pending: [UInt8] = []
    private var flushed = 0.0

    init(path: String) throws {
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw StageError(description: "\(path) can't be written: \(String(cString: strerror(errno)))") }
    }

    deinit { close(file) }

    /// `seconds`: since the campaign began.
    mutating func add(_ outcome: FaultOutcome, seconds: Double) throws {
        let recovery = outcome.recoveryMicroseconds.map { "\($0)" } ?? "null"
        let milliseconds = Int((seconds * 1000).rounded())
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        pending += Array(
            "{\"s\":\(milliseconds / 1000).\(fraction),\"kind\":\"\(outcome.kind.rawValue)\",\"camera\":\(outcome.camera),\"restarts\":\(outcome.restarts),\"missing\":\(outcome.missing),\"altered\":\(outcome.altered),\"us\":\(recovery)}\n"
                .utf8)
        guard pending.count > 65_536 || seconds - flushed > 10 else { return }
        flushed = seconds
        try flush()
    }

    mutating func flush() throws {
        var written = 0
        while written < pending.count {
            let count = pending.withUnsafeBytes { write(file, $0.baseAddress! + written, pending.count - written) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw StageError(description: "the log can't be written: \(String(cString: strerror(errno)))") }
            written += count
        }
        pending.removeAll(keepingCapacity: true)
    }
}
