// A scanner's state for many who ask.

import UserDriverClient

/// However many callers ask, the scanner gets one request at a time, and none within `freshness` of the last.
public actor SharedScannerState {
    private let scanner: Scanner
    private let freshness: Duration
    private var known: (state: ScannerState, at: ContinuousClock.Instant)?
    private var asking: Task<ScannerState, any Error>?

    public init(_ scanner: Scanner, freshness: Duration) {
        self.scanner = scanner
        self.freshness = freshness
    }

    public func current() async throws -> ScannerState {
        if let known, known.at.duration(to: .now) < freshness { return known.state }
        if let asking { return try await asking.value }
        let task = Task { [scanner] in try await scanner.state() }
        asking = task
        defer { asking = nil }
        let state = try await task.value
        known = (state, .now)
        return state
    }
}
