// The serial number by which a node is found again, in /dev/v4l/by-id and by `userdriver video`.

/// A camera's node has a serial number of its own: the camera's id, and which of its nodes it is.
public enum NodeSerial {
    private static let mostCharacters = 50

    /// `"046d-0825-A1B2C3D4"`; of a second node `"046d-0825-A1B2C3D4.2"`.
    /// - Parameter index: from 1.
    public static func text(camera: String, index: Int) -> String {
        var plain = ""
        var isExact = true
        for scalar in camera.unicodeScalars {
            guard plain.utf8.count < mostCharacters else {
                isExact = false
                break
            }
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", ".", "_": plain.unicodeScalars.append(scalar)
            case ":", "@", "/", "-": plain.append("-")
            default:
                plain.append("-")
                isExact = false
            }
        }
        // Two cameras whose ids differ in what is left out have different numbers.
        if !isExact { plain += "-" + hash(camera) }
        return index > 1 ? "\(plain).\(index)" : plain
    }

    /// FNV-1a, 32 bits: short, and the same for ever.
    private static func hash(_ text: String) -> String {
        let value = text.utf8.reduce(UInt32(0x811c_9dc5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
