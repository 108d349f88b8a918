// Formats and controls as io.userdriver.camera says them.

import UVC
import Wire

enum CameraCalls {
    /// `type Format`: a size of a format with its rates, the highest first; once, also where
    /// several interfaces offer it.
    static func formats(_ interfaces: [StreamingInterface]) -> [JSONValue] {
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
            [
                "format": .string(size.format), "width": .int(Int64(size.width)), "height": .int(Int64(size.height)),
                "fps": .array((rates[size] ?? []).sorted(by: >).map { .double($0) }),
            ]
        }
    }

    /// `type ControlName`
    static func name(_ definition: VideoControlDefinition) -> JSONValue {
        [
            "name": .string(definition.name), "description": .string(definition.title), "type": .string(definition.kind.rawValue),
            "unit": .string(definition.measure),
        ]
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
            "automatic": .bool(state.holder != nil), "unit": .string(control.definition.measure),
            "selector": .int(Int64(control.definition.selector)), "remedy": state.holder.map { .string($0.remedy) } ?? .null,
        ]
    }

    /// `type Control` of one that does not answer as well: without a value, with the field's range.
    static func control(_ reading: ControlReading) -> JSONValue {
        switch reading {
        case .state(let state): control(state)
        case .silent(let definition, let message): control(definition, problem: "silent", message)
        case .refused(let definition, let message): control(definition, problem: "refused", message)
        case .unread(let definition): control(definition, problem: "unread", "the others took too long")
        }
    }

    private static func control(_ definition: VideoControlDefinition, problem: String, _ message: String) -> JSONValue {
        let range = definition.fieldRange
        return [
            "name": .string(definition.name), "description": .string(definition.title), "type": .string(definition.kind.rawValue),
            "minimum": .int(Int64(range.lowerBound)), "maximum": .int(Int64(range.upperBound)), "step": 1, "default": 0, "value": 0,
            "menu": .null, "readable": false, "writable": false, "automatic": false, "unit": .string(definition.measure),
            "selector": .int(Int64(definition.selector)), "problem": .string(problem), "message": .string(message),
        ]
    }

    /// `type ControlFailure`
    static func failure(_ failure: ControlReset.Failure) -> JSONValue {
        ["name": .string(failure.name), "reason": .string(failure.reason), "message": .string(failure.message)]
    }

    /// Throws `InvalidParameter` where there is none.
    static func name(in parameters: JSONValue) throws(CallError) -> String {
        guard let name = parameters["name"]?.stringValue, !name.isEmpty else {
            throw CallError("InvalidParameter", "The call names no control.")
        }
        return name
    }

    /// `nil` where the call leaves them out. Throws `InvalidParameter` for anything but a list of
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
        throw CallError("InvalidParameter", "\"names\" is a list of controls' names.")
    }
}
