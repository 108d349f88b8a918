// Whole files in and out, and what is said when something goes wrong.

import Glibc

enum Files {
    /// The paths of the plain files of a folder; none when there is no such folder.
    static func list(_ folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var paths: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { paths.append(folder + "/" + name) }
        }
        return paths
    }

    /// `nil`, and said why, when the file can't be read.
    static func read(_ path: String, atMost limit: Int) -> [UInt8]? {
        guard let file = fopen(path, "rb") else {
            complain("\(path): \(String(cString: strerror(errno)))")
            return nil
        }
        defer { fclose(file) }
        return [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in count = fread(buffer.baseAddress, 1, limit, file) }
    }

    nonisolated(unsafe) private static var leftovers: [String] = []

    /// Files and empty folders that go when this process ends in order. From one thread.
    static func removeAtExit(_ paths: [String]) {
        if leftovers.isEmpty { atexit { for path in Files.leftovers where unlink(path) != 0 { rmdir(path) } } }
        leftovers += paths
    }

    static func write(_ bytes: [UInt8], to path: String) -> Bool {
        guard let file = fopen(path, "wb") else { return false }
        let written = fwrite(bytes, 1, bytes.count, file)
        return fclose(file) == 0 && written == bytes.count
    }
}

func complain(_ sentence: String) {
    let line = Array((sentence + "\n").utf8)
    _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
