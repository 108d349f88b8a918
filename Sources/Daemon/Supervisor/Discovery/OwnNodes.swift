// Cameras that `userdriver-video` shows to the kernel: USB devices to everybody else, our own pictures to us.

import CLinux
import Glibc
import Wire

enum OwnNodes {
    /// Whether root has written down that the device at this bus path is a node. It is written before the device is there.
    static func contains(_ path: String, record: String = VideoNodeRecord.path) -> Bool {
        var status = stat()
        // Whoever could write there could hide a device; the daemon's own user can't.
        guard lstat(record, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == 0, status.st_mode & 0o022 == 0 else {
            return false
        }
        do throws(SystemFailure) {
            let bytes = try StateFile.read(record, maximumBytes: VideoNodeRecord.maximumBytes)
            return VideoNodeRecord(parsing: String(decoding: bytes, as: UTF8.self)).paths.contains(path)
        } catch {
            return false
        }
    }
}
