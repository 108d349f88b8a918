// Somebody who listens to what happens to all devices.

import Wire

/// A call of `Events`. What devices say by themselves is left out for one who does not keep up, and how much is said when there is room again: an
/// honest listener is not cut off because of a driver that says too much. What the supervisor says is never left out.
@SupervisorActor
final class EventListener {
    private static let reminder = Duration.seconds(1)

    let call: ClientCall
    /// Bytes that may wait for it before something is left out.
    private let tolerance: Int
    private var omitted = 0
    private let timer = ReactorTimer()

    init(_ call: ClientCall, tolerance: Int) {
        self.call = call
        self.tolerance = tolerance
    }

    private var isBehind: Bool { call.backlog > tolerance }

    func tell(device: String, event: String, message: String, saying: DeviceSaying?) {
        // What a device says by itself has no bound but its quota.
        if saying != nil {
            if isBehind { return omit() }
            sayWhatWasOmitted()
        }
        send(device: device, event: event, message: message, saying: saying)
    }

    func stop() { timer.lift() }

    private func send(device: String, event: String, message: String, saying: DeviceSaying? = nil) {
        var parameters: [String: JSONValue] = [
            "time": .string(Timestamp.now()), "device": .string(device), "event": .string(event), "message": .string(message),
        ]
        if let saying {
            parameters["name"] = .string(saying.name)
            if case .object = saying.parameters { parameters["parameters"] = saying.parameters }
        }
        call.reply(VarlinkReply(.object(parameters), continues: true))
    }

    private func omit() {
        omitted += 1
        if !timer.isSet { remind() }
    }

    private func remind() {
        timer.set(after: Self.reminder) { [weak self] in
            guard let self else { return }
            if self.isBehind { self.remind() } else { self.sayWhatWasOmitted() }
        }
    }

    private func sayWhatWasOmitted() {
        guard omitted > 0 else { return }
        timer.lift()
        let count = omitted
        omitted = 0
        send(device: "", event: "notice", message: "\(count) events were dropped: they were not read in time.")
    }
}
