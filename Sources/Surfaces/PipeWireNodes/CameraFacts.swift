// What is known of a camera, and what its nodes are called.

import UserDriverClient

struct CameraFacts: Equatable, Sendable {
    var id: String
    /// As the camera calls itself.
    var name: String
    /// USB's numbers, four hexadecimal digits each, by which programs know the model.
    var vendor: String
    var product: String
    var plan: NodePlan

    func description(of kind: NodeKind) -> String {
        switch kind {
        case .raw: name
        case .jpeg: "\(name) (MJPEG)"
        case .h264: "\(name) (H.264)"
        }
    }

    /// The same after each start, so that programs find their camera again.
    func nodeName(of kind: NodeKind) -> String {
        let plain = id.unicodeScalars.map { scalar -> Character in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "-", ".": Character(scalar)
            default: "_"
            }
        }
        let suffix =
            switch kind {
            case .raw: ""
            case .jpeg: ".mjpeg"
            case .h264: ".h264"
            }
        return "userdriver." + String(plain) + suffix
    }

    /// People's lists of cameras are made of what has the role, by the portal as by browsers. So a camera is there once: those of compressed pictures have none.
    func properties(of kind: NodeKind) -> [(String, String)] {
        var properties = [
            ("media.class", "Video/Source"), ("media.type", "Video"), ("media.category", "Capture"), ("node.name", nodeName(of: kind)),
            ("node.description", description(of: kind)), ("node.nick", description(of: kind)), ("object.path", "userdriver:\(id)"),
            ("device.api", "userdriver"), ("device.bus", "usb"), ("device.vendor.id", "0x" + vendor), ("device.product.id", "0x" + product),
            ("priority.session", kind == .raw ? "1000" : "100"),
        ]
        if kind == .raw { properties.append(("media.role", "Camera")) }
        return properties
    }
}
