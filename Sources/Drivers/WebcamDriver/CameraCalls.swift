// Formats and controls as io.userdriver.camera says them.

import CameraInterface
import UVC
import Wire

enum CameraCalls {
    /// A size of a format with its rates, the highest first; once, also where
    /// several interfaces offer it.
    static func formats(_ interfaces: [StreamingInterface]) -> [CameraFormat] {
        struct Size: Hashable {
            var format: String
            var width: Int
            var height: Int
        }
        var sizes: [Size] = []
        var rates: [Size: Set<Double>] = [:]
        for format in interfaces.flatMap(\.formats) {
            for frame in format.frames {
                let size = Size(format: format.name, width: frame.width, height: frame.height)
                if rates[size] == nil { sizes.append(size) }
                rates[size, default: []].formUnion(frame.intervals.roundedRates)
            }
        }
        return sizes.map { size in
            CameraFormat(format: size.format, width: size.width, height: size.height, fps: (rates[size] ?? []).sorted(by: >))
        }
    }

    static func name(_ definition: VideoControlDefinition) -> CameraControlName {
        CameraControlName(
            name: definition.name, description: definition.title, type: definition.kind.rawValue, unit: definition.measure)
    }

    static func control(_ state: ControlState) -> CameraControl {
        let control = state.control
        let menu = control.items.map { CameraControl.MenuItem(value: Int($0.value), text: $0.text) }
        return CameraControl(
            name: control.name, description: control.definition.title, type: control.definition.kind.rawValue,
            minimum: Int(control.minimum), maximum: Int(control.maximum), step: Int(control.step), default: Int(control.defaultValue),
            value: Int(state.value ?? control.defaultValue), menu: menu.isEmpty ? nil : menu, readable: control.isReadable,
            writable: control.isWritable, automatic: state.holder != nil, unit: control.definition.measure,
            selector: Int(control.definition.selector), remedy: state.holder?.remedy)
    }

    /// Of one that does not answer as well: without a value, with the field's range.
    static func control(_ reading: ControlReading) -> CameraControl {
        switch reading {
        case .state(let state): control(state)
        case .silent(let definition, let message): control(definition, problem: "silent", message)
        case .refused(let definition, let message): control(definition, problem: "refused", message)
        case .unread(let definition): control(definition, problem: "unread", "the others took too long")
        }
    }

    private static func control(_ definition: VideoControlDefinition, problem: String, _ message: String) -> CameraControl {
        let range = definition.fieldRange
        return CameraControl(
            name: definition.name, description: definition.title, type: definition.kind.rawValue, minimum: Int(range.lowerBound),
            maximum: Int(range.upperBound), step: 1, default: 0, value: 0, readable: false, writable: false, automatic: false,
            unit: definition.measure, selector: Int(definition.selector), problem: problem, message: message)
    }

    static func failure(_ failure: ControlReset.Failure) -> CameraControlReset.Failure {
        CameraControlReset.Failure(name: failure.name, reason: failure.reason, message: failure.message)
    }

    /// Throws `InvalidParameter` if there is none.
    static func name(in parameters: JSONValue) throws(CallError) -> String {
        guard let name = parameters["name"]?.stringValue, !name.isEmpty else {
            throw CallError("InvalidParameter", "The call names no control.")
        }
        return name
    }

    /// `nil` if the call leaves them out. Throws `InvalidParameter` for anything but a list of
    /// names.
    static func names(in parameters: JSONValue) throws(CallError) -> [String]? {
        switch parameters["names"] {
        case nil, .null: return nil
        case .array(let values):
            let names = values.compactMap(\.stringValue)
            guard names.count == values.count else { break }
            return names
        default: break
        }
        throw CallError("InvalidParameter", "\"names\" must be a list of control names.")
    }
}
