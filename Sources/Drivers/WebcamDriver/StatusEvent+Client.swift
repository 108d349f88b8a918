// The camera's own events as clients are told of them.

import CameraInterface
import UVC

extension StatusEvent {
    /// One for each of the controls that are fields of what has changed (pan and tilt are one on the wire).
    func events(_ function: VideoFunction) -> [CameraEvent] {
        switch kind {
        case .control(let entity, let selector, let attribute, let value):
            let fields = VideoControls.announced(by: function).filter { $0.entity == entity && $0.0.selector == selector }.map(\.0)
            func change(_ field: VideoControlDefinition?) -> CameraEvent {
                .controlChanged(
                    CameraControlChange(
                        name: field?.name, now: attribute == 0 ? field?.decode(value) : nil, attribute: Int(attribute),
                        entity: Int(entity), selector: Int(selector), value: value.map(Int.init)))
            }
            return fields.isEmpty ? [change(nil)] : fields.map(change)
        case .button(let interface, let isPressed):
            return [.button(CameraButton(interface: Int(interface), pressed: isPressed))]
        }
    }
}
