// The recovery record: changed by one after the other, and handed over at once.

import Synchronization
import UserDriver
import Wire

/// From any task. When `change` returns, the record is on its way, before anything that follows.
final class RecordKeeper: Sendable {
    private let record: Mutex<RecoveryRecord>
    private let supervisor: SupervisorLink

    init(_ record: RecoveryRecord, _ supervisor: SupervisorLink) {
        self.record = Mutex(record)
        self.supervisor = supervisor
    }

    var value: RecoveryRecord { record.withLock { $0 } }

    func change(_ change: (inout RecoveryRecord) -> Void) {
        record.withLock { record in
            change(&record)
            do {
                supervisor.record(try JSONValue(encoding: record))
            } catch {
                supervisor.log("error", "The recovery record could not be written: \(error)")
            }
        }
    }
}
