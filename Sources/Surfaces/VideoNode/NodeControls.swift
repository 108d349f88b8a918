// A node's controls: the camera's, laid out as the video class has them on the wire.

public import UserDriverClient
import UVC

/// One control on the wire, with the camera's controls that are its fields (pan and tilt are one).
public struct NodeControl: Hashable, Sendable {
    public struct Field: Hashable, Sendable {
        var definition: VideoControlDefinition
        /// As the camera said when the node was made: its range, not its value.
        public var control: CameraControl

        /// What is put in, as the field has room for it.
        func put(_ value: Int, into bytes: inout [UInt8]) {
            let range = definition.fieldRange
            bytes = definition.encode(min(max(value, range.lowerBound), range.upperBound), into: bytes)
        }
    }

    var unit: VideoControlDefinition.Unit
    public var selector: UInt8
    /// Of the wire's block.
    public var length: Int
    /// `bUnitID` or `bTerminalID`.
    var entity: UInt8 { unit == .cameraTerminal ? NodeEntity.camera : NodeEntity.processing }
    var bit: Int
    public var fields: [Field]

    var isReadable: Bool { fields.allSatisfy(\.control.readable) }
    var isWritable: Bool { fields.allSatisfy(\.control.writable) }

    func bytes(_ value: (Field) -> Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: length)
        for field in fields { field.put(value(field), into: &bytes) }
        return bytes
    }

    /// GET_RES: the step; of a set of bits those that there are.
    var resolution: [UInt8] {
        bytes { $0.definition.kind == .bitmap ? ($0.control.menu ?? []).reduce(0) { $0 | $1.value } : max(1, $0.control.step) }
    }
}

/// All controls of a node.
public struct NodeControls: Hashable, Sendable {
    public var controls: [NodeControl] = []

    public init(_ offered: [CameraControl]) {
        for definition in VideoControlDefinition.all {
            // The node speaks UVC 1.1: what came later has no bit there. Those two of analog television need a table of standards.
            guard let bit = definition.bit, definition.unit == .cameraTerminal ? bit <= 18 : bit <= 15,
                let control = offered.first(where: { $0.name == definition.name && $0.problem == nil && ($0.readable || $0.writable) })
            else { continue }
            let field = NodeControl.Field(definition: definition, control: control)
            if let index = controls.firstIndex(where: { $0.unit == definition.unit && $0.selector == definition.selector }) {
                controls[index].fields.append(field)
            } else {
                controls.append(
                    NodeControl(
                        unit: definition.unit, selector: definition.selector, length: definition.length, bit: bit, fields: [field]))
            }
        }
    }

    /// `bmControls`
    func bitmap(of unit: VideoControlDefinition.Unit) -> UInt32 {
        controls.filter { $0.unit == unit }.reduce(0) { $0 | 1 << UInt32($1.bit) }
    }

    func find(_ unit: VideoControlDefinition.Unit, _ selector: UInt8) -> NodeControl? {
        controls.first { $0.unit == unit && $0.selector == selector }
    }

    /// The one that has this control of the camera's among its fields.
    func find(_ name: String) -> NodeControl? { controls.first { $0.fields.contains { $0.control.name == name } } }

    /// Whether every control of the others' is here, whatever it is set to now. One that did not answer this time is no news.
    func cover(_ others: NodeControls) -> Bool {
        func plain(_ controls: NodeControls) -> [NodeControl] {
            controls.controls.map { control in
                var control = control
                for index in control.fields.indices {
                    control.fields[index].control.value = 0
                    control.fields[index].control.automatic = false
                    control.fields[index].control.remedy = nil
                }
                return control
            }
        }
        let own = plain(self)
        return plain(others).allSatisfy(own.contains)
    }
}
