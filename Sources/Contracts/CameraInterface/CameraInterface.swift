// io.userdriver.camera: what driver and clients of a webcam say to each other. The definition is
// the file beside, which the driver's bundle ships.

public import Wire

/// The interface of webcams.
public enum CameraInterface {
    public static let name = "io.userdriver.camera"
    /// Parsed at its first use.
    public static let interface = VarlinkInterface(ours: String(decoding: PackageResources.io_userdriver_camera_varlink, as: UTF8.self))

    /// Its methods, without the interface's name.
    public enum Method: String, CaseIterable, Sendable {
        case formats = "Formats"
        case controlNames = "ControlNames"
        case getControls = "GetControls"
        case getControl = "GetControl"
        case setControl = "SetControl"
        case resetControls = "ResetControls"
    }

    /// The reply of `Formats`.
    public struct Formats: Codable, Hashable, Sendable {
        public var formats: [CameraFormat]
        public init(formats: [CameraFormat]) { self.formats = formats }
    }

    /// The reply of `ControlNames`.
    public struct ControlNames: Codable, Hashable, Sendable {
        public var controls: [CameraControlName]
        /// The camera has a button, and tells when it is pressed (`CameraButton`).
        public var button: Bool?
        public init(controls: [CameraControlName], button: Bool? = nil) {
            self.controls = controls
            self.button = button
        }
    }

    /// The reply of `GetControls`.
    public struct Controls: Codable, Hashable, Sendable {
        public var controls: [CameraControl]
        public init(controls: [CameraControl]) { self.controls = controls }
    }

    /// The reply of `GetControl` and `SetControl`.
    public struct OneControl: Codable, Hashable, Sendable {
        public var control: CameraControl
        public init(control: CameraControl) { self.control = control }
    }
}
