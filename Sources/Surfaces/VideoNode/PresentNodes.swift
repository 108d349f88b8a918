// The nodes that are there now, as sysfs shows them to everybody.

import Glibc
public import Wire

/// A `/dev/videoN` that `userdriver-video` has made.
public struct PresentNode: Hashable, Sendable {
    /// The USB device's serial number: `NodeSerial`'s.
    public var serial: String
    /// `"/dev/video0"`; `nil` if the kernel has made none of it yet, or has no uvcvideo.
    public var path: String?

    /// `nil` where `userdriver-video` does not run.
    /// - Parameters:
    ///   - record: what the attacher writes down.
    ///   - devices: `/sys/bus/usb/devices`.
    public static func all(record: String = VideoNodeRecord.path, devices: String = "/sys/bus/usb/devices") -> [PresentNode]? {
        guard let text = SmallFile.read(record, limit: VideoNodeRecord.maximumBytes) else { return nil }
        return VideoNodeRecord(parsing: text).paths.compactMap { path in
            guard let serial = SmallFile.read("\(devices)/\(path)/serial", limit: 512) else { return nil }
            return PresentNode(serial: String(serial.prefix { $0 != "\n" }), path: node(devices, path))
        }
    }

    /// Of the control interface's video devices the one that has pictures; the other has what belongs to them.
    private static func node(_ devices: String, _ path: String) -> String? {
        let folder = "\(devices)/\(path)/\(path):1.0/video4linux"
        return (SmallFile.entries(folder) ?? []).first { name in
            SmallFile.read("\(folder)/\(name)/index", limit: 16)?.hasPrefix("0") == true
        }.map { "/dev/" + $0 }
    }
}
