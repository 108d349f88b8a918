// Formats and controls as io.userdriver.camera says them.

import UVC
import Wire

enum CameraCalls {
    /// `type Format`: a size of a format with its rates, the highest first.
    static func formats(_ interface: StreamingInterface) -> [JSONValue] {
        interface.formats.flatMap { format in
            format.frames.map { frame -> JSONValue in
                [
                    "format": .string(format.name), "width": .int(Int64(frame.width)), "height": .int(Int64(frame.height)),
                    "fps": .array(frame.intervals.rates.map { .double(($0 * 1000).rounded() / 1000) }),
                ]
            }
        }
    }

    /// `type Control`
    static func control(_ state: ControlState) -> JSONValue {
        let control = state.control
        let menu = control.items.map { JSONValue.object(["value": .int(Int64($0.value)), "text": .string($0.text)]) }
        return [
            "name": .string(control.name), "description": .string(control.definition.title),
            "type": .string(control.definition.kind.rawValue),
            "minimum": .int(Int64(control.minimum)), "maximum": .int(Int64(control.maximum)), "step": .int(Int64(control.step)),
            "default": .int(Int64(control.defaultValue)), "value": .int(Int64(state.value ?? control.defaultValue)),
            "menu": menu.isEmpty ? .null : .array(menu), "readable": .bool(control.isReadable), "writable": .bool(control.isWritable),
            "automatic": .bool(state.isAutomatic), "unit": .string(control.definition.measure),
            "selector": .int(Int64(control.definition.selector)),
        ]
    }

    /// Throws `InvalidParameter` where there is none.
    static func name(in parameters: JSONValue) throws(CallError) -> String {
        guard let name = parameters["name"]?.stringValue, !name.isEmpty else {
            throw CallError("InvalidParameter", "The call names no control.")
        }
        return name
    }
}
