// Landlock: files that can be read, and nothing else of what the kernel's version of it can forbid.

import CLinux
import FileDescriptors
import Glibc

/// A ruleset's descriptor, which any number of processes can be restricted by.
final class LandlockRuleset: Sendable {
    /// What a version of Landlock's interface adds (`Documentation/userspace-api/landlock.rst`).
    struct Addition {
        var version: Int
        /// What it forbids, in a few words.
        var name: String
        /// The kernel that has it.
        var kernel: String
        var files: UInt64 = 0
        var network: UInt64 = 0
        var scopes: UInt64 = 0
    }

    static let additions = [
        // Bits 0…12: execute, write, read file, read folder, remove folder and file, make seven kinds of file.
        Addition(version: 1, name: "files", kernel: "Linux 5.13", files: 0x1fff),
        Addition(version: 2, name: "moving files between folders", kernel: "Linux 5.19", files: 1 << 13),
        Addition(version: 3, name: "truncating files", kernel: "Linux 6.2", files: 1 << 14),
        Addition(version: 4, name: "TCP", kernel: "Linux 6.7", network: 0b11),  // bind, connect
        Addition(version: 5, name: "requests to device files", kernel: "Linux 6.10", files: 1 << 15),
        Addition(version: 6, name: "abstract sockets and signals", kernel: "Linux 6.12", scopes: 0b11),
    ]
    private static let executeAndReadFile: UInt64 = 0b101

    var descriptor: Int32 { ruleset.number }
    private let ruleset: OwnedDescriptor

    /// Everything is forbidden that `version` knows, but to read and execute files below the folders that exist.
    init(version: Int, libraryFolders: [String]) throws(SandboxError) {
        let known = Self.additions.filter { $0.version <= version }
        let made = clinux_landlock_ruleset(
            known.reduce(0) { $0 | $1.files }, known.reduce(0) { $0 | $1.network }, known.reduce(0) { $0 | $1.scopes })
        guard let ruleset = OwnedDescriptor(opened: made) else { throw SandboxError(errno: -made, operation: "landlock_create_ruleset") }
        for folder in libraryFolders {
            let result = clinux_landlock_allow(ruleset.number, folder, Self.executeAndReadFile)
            guard result == 0 || result == -ENOENT else {
                throw SandboxError(errno: -result, operation: "landlock_add_rule(\(folder))")
            }
        }
        self.ruleset = ruleset
    }
}
