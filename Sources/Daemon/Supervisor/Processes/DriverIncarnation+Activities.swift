// What a driver is at, activity by activity: for whoever asks for the status, and for reports of
// hangs.

import CLinux
import Wire

extension DriverIncarnation {
    /// For rates, which want a look every second.
    func measure(_ activities: [ProgressCounters], _ now: UInt64) {
        for (index, counters) in zip(meters.indices, activities) { meters[index].look(counters, now: now) }
    }

    /// As the report of a hang says it: in parentheses; nothing where it has no name.
    func name(of finding: Watchdog.Finding) -> String {
        var words: [String] = []
        let name = progress.name(finding.activity)
        if !name.isEmpty { words.append("\"\(name)\"") }
        switch finding.hang {
        case .longWait, .manyWaits: words.append(progress.reason(finding.activity))
        case .noTurn, .noFrame, .noUnit, .noHeartbeat, .notReady: break
        }
        words.removeAll(where: \.isEmpty)
        return words.isEmpty ? "" : " (\(words.joined(separator: ": ")))"
    }

    /// Those that the driver has begun and not ended.
    var activities: [DeviceStatus.Activity] {
        let now = clinux_monotonic_ns()
        return progress.activities.enumerated().filter { $0.element.number > 0 }.sorted { $0.element.number < $1.element.number }
            .map { slot, counters in
                DeviceStatus.Activity(
                    name: progress.name(slot), unit: progress.unit(slot),
                    // A number that any JSON reader takes.
                    done: min(counters.units &- counters.unitsBefore, 1 << 53), rate: meters[slot].rate(counters, now: now),
                    waiting: counters.isWaiting ? wait(slot, now) : nil)
            }
    }

    private func wait(_ slot: Int, _ now: UInt64) -> DeviceStatus.Activity.Wait? {
        guard let wait = watchdog.wait(slot, now: now) else { return nil }
        return DeviceStatus.Activity.Wait(
            reason: progress.reason(slot), seconds: Double(wait.elapsed / 1_000_000) / 1000, limit: Double(wait.limit / 1_000_000) / 1000)
    }
}
