// The descriptors of real cameras, which are not part of the repository: a folder beside it, or where USERDRIVER_DEVICES says.

import Glibc
import Testing

enum DescriptorFiles {
    /// Shown where the folder is missing.
    static let reason: Comment = "The descriptors of real cameras are not here (../shared/devices, or USERDRIVER_DEVICES)."

    static let folder: String = {
        if let given = getenv("USERDRIVER_DEVICES") { return String(cString: given) + "/uvc" }
        // …/Tests/UVCTests/DescriptorFiles.swift, three levels below the package.
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return root + "/../shared/devices/uvc"
    }()

    static var areHere: Bool { access(folder, R_OK) == 0 }

    /// Names without `.hex`.
    static let names: [String] = {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".hex") { names.append(String(name.dropLast(4))) }
        }
        return names.sorted()
    }()

    struct File {
        /// The lines that begin with `# `.
        var notes: [String] = []
        var bytes: [UInt8] = []
    }

    static func load(_ name: String) throws -> File {
        let path = "\(folder)/\(name).hex"
        let stream = try #require(fopen(path, "r"), "\(path) can be opened")
        defer { fclose(stream) }
        var file = File()
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        while getline(&line, &capacity, stream) > 0, let line {
            let text = String(cString: line)
            if text.hasPrefix("#") {
                file.notes.append(String(text.dropLast()))
            } else {
                let digits = text.compactMap(\.hexDigitValue)
                file.bytes += stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
            }
        }
        return file
    }
}

/// SplitMix64: the same seed, the same mutations.
struct DescriptorMutations: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
