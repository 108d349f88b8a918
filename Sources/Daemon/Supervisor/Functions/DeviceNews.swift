// What a device's drivers say for people: events and log lines, within a quota.

import Bundles
import Logging
import Wire

/// How much of it is passed on. It is the device's and not the driver process's, which is soon replaced.
@SupervisorActor
final class DeviceNews {
    var events: Quota
    var lines: Quota
    /// Of a stream's form, of which every watcher is told with a descriptor.
    var changes: Quota
    /// Until it is said what was left out.
    let reminder = ReactorTimer()

    init(_ limits: SupervisorConfiguration.Limits) {
        events = Quota(limits.events)
        lines = Quota(limits.logLines)
        changes = Quota(limits.streamChanges)
    }
}

/// What a device said by itself, in its driver's words.
struct DeviceSaying {
    var name: String
    var parameters: JSONValue
}

extension DriverFunction {
    /// The event by which it is told what a device said by itself.
    static let saying = "device"
    private static let longestLine = 2000
    private static let reminder = Duration.seconds(1)

    func driverEvent(_ name: String, _ parameters: JSONValue) {
        var text = name
        if case .object(let members) = parameters, !members.isEmpty { text += " " + parameters.text }
        guard news.events.admits(text.utf8.count) else { return omit() }
        dependencies.announce(self, Self.saying, text, DeviceSaying(name: name, parameters: parameters))
    }

    func driverLine(_ level: String, _ text: String) {
        let text = text.clipped(toBytes: Self.longestLine)
        guard news.lines.admits(text.utf8.count) else { return omit() }
        logger.log(level: Logger.Level(rawValue: level) ?? .info, "\(text)", metadata: ["driver": "\(bundle?.manifest.id ?? "")"])
    }

    /// Whether a stream may change now. These can't be left out: a driver that changes it again and again is ended.
    func admitsChange() -> Bool {
        if news.changes.admits(0) { return true }
        incarnation?.kill("it changes its stream too often")
        return false
    }

    private func omit() {
        guard !news.reminder.isSet else { return }
        news.reminder.set(after: Self.reminder) { [weak self] in
            guard let self else { return }
            let (events, lines) = (self.news.events.takeOmitted(), self.news.lines.takeOmitted())
            self.announce("notice", "\(self.name): \(events) events and \(lines) log lines were dropped: its driver says too much.")
        }
    }
}
