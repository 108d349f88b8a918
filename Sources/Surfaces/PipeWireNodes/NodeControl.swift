// A camera's control as a node has it.

import CPipeWire
import UserDriverClient

struct NodeControl {
    private let control: CameraControl

    init(_ control: CameraControl) { self.control = control }

    /// Those that can be set and whose numbers PipeWire has room for.
    static func isShown(_ control: CameraControl) -> Bool {
        control.problem == nil && control.writable
            && [control.minimum, control.maximum, control.default, control.value].allSatisfy { Int32(exactly: $0) != nil }
    }

    private var kind: cpipewire_control_kind {
        switch control.type {
        case "boolean": CPIPEWIRE_BOOLEAN
        // Of a camera's bits one is set at a time.
        case "menu", "bitmap": (control.menu ?? []).isEmpty ? CPIPEWIRE_INTEGER : CPIPEWIRE_MENU
        default: CPIPEWIRE_INTEGER
        }
    }

    /// As C has it; what it points at is the memory's.
    func described(in memory: CMemory) -> cpipewire_control {
        let labels = (control.menu ?? []).prefix(64).compactMap { item in
            Int32(exactly: item.value).map { cpipewire_label(value: $0, text: memory.string(item.text)) }
        }
        return cpipewire_control(
            name: memory.string(control.name), description: memory.string(control.description), kind: kind,
            minimum: Int32(clamping: control.minimum), maximum: Int32(clamping: control.maximum),
            step: Int32(clamping: max(1, control.step)), default_value: Int32(clamping: control.default),
            value: Int32(clamping: control.value), labels: memory.array(Array(labels)), label_count: UInt32(labels.count))
    }
}
