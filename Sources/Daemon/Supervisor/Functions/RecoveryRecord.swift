// What a driver left for its successor, and whether it is still trusted.

import Wire

/// A driver's last record. One that drivers die on twice without progress is dropped: a poisoned record must not make a crash loop.
struct RecoveryRecord: Sendable {
    static let maximumBytes = 32 << 10
    static let strikesToDrop = 2

    private(set) var value: JSONValue?
    private(set) var strikes = 0

    init(_ value: JSONValue? = nil) { self.value = value }

    /// False when the record is too large to be kept; the one before stays.
    mutating func replace(_ value: JSONValue) -> Bool {
        do {
            guard try JSON.encode(value).count <= Self.maximumBytes else { return false }
        } catch {
            // What can't be written can't be kept.
            return false
        }
        self.value = value == .null ? nil : value
        return true
    }

    /// A driver ended. `given`: it had been started from this record. True when the record has just been dropped.
    mutating func driverDied(given: Bool, progress: Bool) -> Bool {
        guard !progress else {
            strikes = 0
            return false
        }
        guard given, value != nil else { return false }
        strikes += 1
        guard strikes >= Self.strikesToDrop else { return false }
        value = nil
        strikes = 0
        return true
    }

    mutating func drop() {
        value = nil
        strikes = 0
    }
}
