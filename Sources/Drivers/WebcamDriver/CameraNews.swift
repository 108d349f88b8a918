// What happens to a camera, told to whoever watches: what it says by itself, and what programs set.

import CameraInterface
import Synchronization
import UVC
import UserDriver

/// From any thread.
final class CameraNews: Sendable {
    private let function: VideoFunction
    private let supervisor: SupervisorLink
    /// The values that were told last: what is set to what it was is no news.
    private let told = Mutex<[String: Int]>([:])

    init(_ function: VideoFunction, _ supervisor: SupervisorLink) {
        self.function = function
        self.supervisor = supervisor
    }

    /// A packet of the status endpoint.
    func heard(_ packet: [UInt8]) {
        guard let event = StatusEvent(packet) else { return }
        for event in event.events(function) {
            if case .controlChanged(let change) = event, let name = change.name, let now = change.now { told.withLock { $0[name] = now } }
            tell(event)
        }
    }

    /// A program has set a control.
    func set(_ state: ControlState) {
        guard let value = state.value else { return }
        let control = state.control
        let isNews = told.withLock { $0.updateValue(value, forKey: control.name) != value }
        guard isNews else { return }
        tell(
            .controlChanged(
                CameraControlChange(
                    name: control.name, now: value, entity: Int(control.entity), selector: Int(control.definition.selector))))
    }

    private func tell(_ event: CameraEvent) {
        do {
            supervisor.event(event.name, try event.parameters)
        } catch {
            supervisor.log("error", "An event of the camera could not be written: \(error)")
        }
    }
}
