// What a kind of process may do, as data.

/// What a sandboxed process may do, all else being forbidden. The tables of the kinds are in `SandboxPolicy+Kinds.swift`.
public struct SandboxPolicy: Hashable, Sendable {
    /// A limit of the kernel's (setrlimit), soft and hard.
    struct Limit: Hashable, Sendable {
        var resource: Int32
        var value: UInt64
    }

    /// `"driver"`
    public var name: String
    var calls: [SystemCallRule]
    var limits: [Limit]
    /// Folders below which files may be read, and mapped as code: the loader's. Nothing else can be opened, and nothing for writing.
    /// Those that don't exist are left out.
    public var libraryFolders: [String]
}
