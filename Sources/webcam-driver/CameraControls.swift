// placeholder
import USB
import UVC
import Wire
struct ControlState { var name = ""; var value = 0 }
actor CameraControls {
    init(device: any USBDeviceHandle, function: VideoFunction, quirks: VideoQuirks) {}
    static func order(_ a: String, _ b: String) -> Bool { a < b }
    func defaults() async throws -> [String: Int] { [:] }
    func set(_ name: String, to value: Int) async throws -> ControlState { ControlState() }
    func all() async throws -> [ControlState] { [] }
    func one(_ name: String) async throws -> ControlState { ControlState() }
    func reset(_ name: String?) async throws -> [ControlState] { [] }
}
enum CameraCalls {
    static func formats(_ interface: StreamingInterface) -> [JSONValue] { [] }
    static func control(_ state: ControlState) -> JSONValue { .null }
    static func name(in parameters: JSONValue) throws -> String { "" }
}
