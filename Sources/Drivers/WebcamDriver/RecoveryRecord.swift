// What the next incarnation needs to go on where this one ended.

import DriverStreams
import Wire

/// Kept by the supervisor.
struct RecoveryRecord: Codable, Equatable {
    var stream: StreamRecord<StreamRequest>?
    /// Controls that clients have set, by name. A camera that was unplugged has forgotten them.
    var controls: [String: Int] = [:]

    /// A record that can't be read is no record: the driver starts as if for the first time, and
    /// says so.
    static func read(_ value: JSONValue?) throws -> RecoveryRecord {
        guard let value else { return RecoveryRecord() }
        return try value.decoded(as: RecoveryRecord.self)
    }
}
