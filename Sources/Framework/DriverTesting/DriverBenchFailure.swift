// Why a bench could not go on, with everything that is known of the driver.

/// Something that did not happen in time, or an error of the test's body, with what the supervisor
/// knew then.
public struct DriverBenchFailure: Error, CustomStringConvertible {
    /// A full sentence.
    public var message: String
    /// Lines: the device's state, what the driver died of, the end of the daemon's log.
    public var details: [String]

    init(_ message: String, details: [String] = []) {
        self.message = message
        self.details = details
    }

    /// The message, then the details, a line each.
    public var description: String { ([message] + details.map { "  " + $0 }).joined(separator: "\n") }
}
