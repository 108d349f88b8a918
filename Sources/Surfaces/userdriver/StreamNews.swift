// What happens to a stream besides frames, in words for people.

import FrameRing
import UserDriverClient

enum StreamNews {
    /// A line for standard error; `nil` for what needs no words.
    static func line(_ event: FrameEvent) -> String? {
        switch event {
        case .frame: nil
        case .gap(_, let count, let cause):
            count == 0 ? "frame numbers start again: \(cause)" : "\(Figure.count(count, "frame")) missing: \(cause)"
        case .driverRestarted(let generation, _, let message): "driver restarted (incarnation \(generation))" + reason(message)
        case .deviceAbsent(let message): "device absent" + reason(message) + "; waiting for it"
        case .deviceBack(_, let message): "device back" + reason(message)
        case .driverFailed(let message): "driver failed" + reason(message) + "; waiting for `userdriver restart`"
        case .changed(let description): "stream changed" + (description.map { " to \($0)" } ?? "")
        case .notice(let message): message
        case .supervisorLost(let message): "daemon lost" + reason(message) + "; waiting for it"
        case .supervisorBack: "daemon back"
        }
    }

    /// A sentence as a part of another one.
    private static func reason(_ message: String) -> String {
        message.isEmpty ? "" : ": " + (message.hasSuffix(".") ? String(message.dropLast()) : message)
    }
}
