// The camera's own events as clients are told of them.

import UVC
import Wire

extension StatusEvent {
    var name: String {
        switch kind {
        case .control: "controlChanged"
        case .button: "button"
        }
    }

    func parameters(_ function: VideoFunction) -> JSONValue {
        switch kind {
        case .control(let entity, let selector, let attribute, let value):
            [
                "name": VideoControls.announced(by: function).first { $0.entity == entity && $0.0.selector == selector }.map {
                    .string($0.0.name)
                } ?? .null,
                "entity": .int(Int64(entity)), "selector": .int(Int64(selector)), "attribute": .int(Int64(attribute)),
                "value": .array(value.map { .int(Int64($0)) }),
            ]
        case .button(let interface, let isPressed): ["interface": .int(Int64(interface)), "pressed": .bool(isPressed)]
        }
    }
}
